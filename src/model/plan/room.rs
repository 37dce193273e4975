//! Whether a parent has room for a device, next to what is there and what the plan makes besides.

use std::collections::BTreeMap;

use super::{Place, Planner};
use crate::model::inventory::{Neighbour, Offer};
use crate::model::names::{ParentName, TypeName};
use crate::model::refusal::Refusal;

/// Whether there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Full,
    Fits,
}

impl Planner<'_> {
    /// Why a parent that offers the type cannot take a device of it.
    pub(super) fn refuse_for_room(&mut self, place: &Place, offer: &Offer) -> Option<Refusal> {
        let Place {
            parent, mdev_type, ..
        } = place;
        if let Some(refusal) = self.refuse_own_other_type(place) {
            return Some(refusal);
        }
        let given_back = self
            .leaving
            .iter()
            .filter(|record| record.parent == *parent && record.mdev_type == *mdev_type)
            .count();
        let given_back = u32::try_from(given_back).unwrap_or(u32::MAX);
        let available = offer.available.saturating_add(given_back);
        let alike = |(_, other): &&(_, Place)| other.parent == *parent && other.mdev_type == *mdev_type;
        let wanted = u32::try_from(self.placed.iter().filter(alike).count()).unwrap_or(u32::MAX) + 1;
        if wanted <= available {
            return self.refuse_gpu_full(place, offer.most);
        }
        if self.gives_other_room_back(place) {
            match self.gpu_after_another_type(place, offer.most) {
                Some(Verdict::Fits) => return None,
                Some(Verdict::Full) => {}
                None => {
                    self.is_hopeful = true;
                    return None;
                }
            }
        }
        Some(self.refuse_full(place, wanted, available))
    }

    /// Whether something of another type goes from the same GPU first: only the driver knows what room that makes.
    fn gives_other_room_back(&self, place: &Place) -> bool {
        let mut others = self
            .leaving
            .iter()
            .filter(|record| record.mdev_type != place.mdev_type);
        let gpu = self.inventory.gpu(&place.parent);
        others.any(|record| self.inventory.gpu(&record.parent) == gpu)
    }

    /// An NVIDIA GPU holds one type at a time; its driver says so only once there is a device.
    fn refuse_own_other_type(&self, place: &Place) -> Option<Refusal> {
        if !is_nvidia(&place.mdev_type) {
            return None;
        }
        let others = self
            .placed
            .iter()
            .filter(|(_, other)| other.mdev_type != place.mdev_type);
        let mut others = others.filter(|(_, other)| is_nvidia(&other.mdev_type)).peekable();
        others.peek()?;
        let gpu = self.inventory.gpu(&place.parent);
        let (other, its) = others.find(|(_, other)| self.inventory.gpu(&other.parent) == gpu)?;
        Some(Refusal::OwnOtherType {
            other: *other,
            other_type: its.mdev_type.clone(),
        })
    }

    /// What NVIDIA's driver will say once those of another type are gone: its GPUs hold one type at a time, and
    /// their descriptions tell how many of it.
    fn gpu_after_another_type(&self, place: &Place, most: Option<u32>) -> Option<Verdict> {
        let most = most.filter(|_| is_nvidia(&place.mdev_type))?;
        let has_room = self.staying(&place.parent).is_empty() && self.placed_on_gpu(&place.parent) < most;
        Some(if has_room { Verdict::Fits } else { Verdict::Full })
    }

    /// How many devices this plan makes on a parent's GPU.
    fn placed_on_gpu(&self, parent: &ParentName) -> u32 {
        let gpu = self.inventory.gpu(parent);
        let placed = self.placed.iter();
        let placed = placed.filter(|(_, other)| self.inventory.gpu(&other.parent) == gpu);
        u32::try_from(placed.count()).unwrap_or(u32::MAX)
    }

    /// Each virtual function of a GPU says whether it can take one device more, whatever the others are about to
    /// take.
    fn refuse_gpu_full(&self, place: &Place, most: Option<u32>) -> Option<Refusal> {
        let Place {
            parent, mdev_type, ..
        } = place;
        let (most, gpu) = (most?, self.inventory.gpu(parent));
        if gpu == parent.as_str() {
            return None;
        }
        let wanted = self.placed_on_gpu(parent) + 1;
        if wanted == 1 {
            return None;
        }
        let taken = self.staying(parent);
        let available = most.saturating_sub(u32::try_from(taken.len()).unwrap_or(u32::MAX));
        (wanted > available).then(|| Refusal::TooMany {
            parent: gpu.parse().unwrap_or_else(|_| parent.clone()),
            mdev_type: mdev_type.clone(),
            wanted,
            available,
            taken,
        })
    }

    /// The devices on a parent's GPU, without those that go first.
    fn staying(&self, parent: &ParentName) -> Vec<Neighbour> {
        let mut taken = self.inventory.neighbours(parent);
        taken.retain(|other| self.leaving.iter().all(|record| record.uuid != other.uuid));
        taken
    }

    fn refuse_full(&self, place: &Place, wanted: u32, available: u32) -> Refusal {
        let Place {
            parent, mdev_type, ..
        } = place;
        let taken = self.staying(parent);
        if available > 0 {
            let (parent, mdev_type) = (parent.clone(), mdev_type.clone());
            return Refusal::TooMany {
                parent,
                mdev_type,
                wanted,
                available,
                taken,
            };
        }
        let other = taken
            .iter()
            .find(|other| is_nvidia(mdev_type) && other.mdev_type != *mdev_type);
        if let Some(other) = other {
            let running = other.mdev_type.clone();
            let mut domains: Vec<String> = taken
                .iter()
                .filter(|neighbour| neighbour.mdev_type == running)
                .flat_map(|neighbour| neighbour.holders.iter().map(|holder| holder.name.clone()))
                .collect();
            domains.sort();
            domains.dedup();
            return Refusal::OtherType { running, domains };
        }
        Refusal::NoInstance {
            parent: parent.clone(),
            mdev_type: mdev_type.clone(),
            taken,
        }
    }

    /// Types of one parent may share its room, and the driver alone knows how.
    pub(super) fn is_uncertain(&self) -> bool {
        let mut types: BTreeMap<&ParentName, &TypeName> = BTreeMap::new();
        self.is_hopeful
            || self.placed.iter().any(|(_, place)| {
                types
                    .insert(&place.parent, &place.mdev_type)
                    .is_some_and(|other| *other != place.mdev_type)
            })
    }
}

/// NVIDIA names its types `nvidia-NUMBER`.
fn is_nvidia(mdev_type: &TypeName) -> bool {
    mdev_type.as_str().starts_with("nvidia-")
}
