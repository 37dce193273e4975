//! Whether a parent has room for a device, next to what is there, what others have reserved and what the plan
//! makes besides.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Place, Planner};
use crate::model::claim::Record;
use crate::model::inventory::{Neighbour, Offer};
use crate::model::names::{MdevUuid, ParentName, TypeName};
use crate::model::refusal::Refusal;

/// A device that the plan makes.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) uuid: MdevUuid,
    pub(super) place: Place,
    /// Whether it takes the room of a device that goes before.
    pub(super) brings_room: bool,
}

/// What makes it fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// The driver says that there is room.
    Told,
    /// Something goes before, and only the driver knows what room that makes.
    Hoped,
}

/// Why it does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// The GPU holds one type at a time, and this plan puts another there.
    OwnOtherType(MdevUuid, TypeName),
    /// The same, and another start does.
    OthersType(TypeName),
    /// The GPU is full, as a whole.
    Gpu { wanted: u32, available: u32 },
    /// The parent is full.
    Parent { wanted: u32, available: u32 },
    /// The kernel has said so.
    Refused(String),
}

/// Whether there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Full,
    Fits,
}

impl Planner<'_> {
    /// Whether a parent that offers the type can take a device of it.
    pub(super) fn room(&self, place: &Place, offer: &Offer) -> Result<Fit, NoRoom> {
        self.check_refused(place)?;
        self.check_other_type(place)?;
        let told = self.look.available(&place.parent, &place.mdev_type);
        let (parent, mdev_type) = (&place.parent, &place.mdev_type);
        let available = self
            .given_back(parent, mdev_type)
            .saturating_add(told.unwrap_or_default())
            .saturating_sub(self.reserved_at(parent, mdev_type));
        let wanted = self.placed_at(parent, mdev_type) + 1;
        if wanted <= available {
            self.check_gpu(place, offer.most)?;
            return Ok(Fit::Told);
        }
        if self.gives_other_room_back(place) {
            match self.gpu_after_another_type(place, offer.most) {
                Some(Verdict::Fits) => return Ok(Fit::Told),
                Some(Verdict::Full) => {}
                None => return Ok(Fit::Hoped),
            }
        }
        Err(NoRoom::Parent { wanted, available })
    }

    /// How many more of the type the parent itself has; none where it does not offer it.
    pub(super) fn left_here(&self, place: &Place) -> Option<u32> {
        let told = self.look.available(&place.parent, &place.mdev_type)?;
        Some(self.left_at(&place.parent, &place.mdev_type, told))
    }

    /// Whether it is worth asking for more where the driver's count leaves so many: false where it alone says no.
    pub(super) fn may_have_room(&self, place: &Place, left_here: Option<u32>) -> bool {
        left_here.is_some_and(|left| left > 0 || self.gives_other_room_back(place))
    }

    /// How many more places of the type a GPU has.
    pub(super) fn left(&self, place: &Place, most: Option<u32>) -> u32 {
        let Place {
            parent, mdev_type, ..
        } = place;
        let left_at = |parent: &ParentName| {
            let told = self.look.available(parent, mdev_type).unwrap_or_default();
            self.left_at(parent, mdev_type, told)
        };
        if !self.look.is_part(parent) {
            return left_at(parent);
        }
        let gpu = self.look.gpu(parent);
        let left = self.look.functions(&gpu).iter().map(left_at);
        let left = left.fold(0, u32::saturating_add);
        most.map_or(left, |most| {
            let taken = self.look.devices_on(&gpu) + self.reserved_on(&gpu) + self.placed_on_gpu(parent);
            left.min(most.saturating_sub(taken))
        })
    }

    /// How many more of a type a parent has, where its driver says so many.
    pub(super) fn left_at(&self, parent: &ParentName, mdev_type: &TypeName, told: u32) -> u32 {
        self.given_back(parent, mdev_type)
            .saturating_add(told)
            .saturating_sub(self.reserved_at(parent, mdev_type))
            .saturating_sub(self.placed_at(parent, mdev_type))
    }

    /// How many devices of that very place go first.
    fn given_back(&self, parent: &ParentName, mdev_type: &TypeName) -> u32 {
        let same = self
            .leaving
            .iter()
            .filter(|record| record.parent == *parent && record.mdev_type == *mdev_type);
        count(same)
    }

    /// How many devices of that very place others have reserved and not made yet.
    fn reserved_at(&self, parent: &ParentName, mdev_type: &TypeName) -> u32 {
        if !self.has_choice {
            return 0;
        }
        let same = self
            .reserved()
            .filter(|record| record.parent == *parent && record.mdev_type == *mdev_type);
        count(same)
    }

    /// What others have reserved and not made yet.
    fn reserved(&self) -> impl Iterator<Item = &Record> {
        let reserved = self.look.reserved().iter();
        reserved.filter(|record| !self.chosen.contains(&record.uuid))
    }

    fn reserved_on(&self, gpu: &Rc<str>) -> u32 {
        if !self.has_choice {
            return 0;
        }
        count(
            self.reserved()
                .filter(|record| self.look.gpu(&record.parent) == *gpu),
        )
    }

    /// How many devices this plan makes at that very place, beyond those that bring their room.
    fn placed_at(&self, parent: &ParentName, mdev_type: &TypeName) -> u32 {
        let same = self.placed.iter().filter(|other| {
            !other.brings_room && other.place.parent == *parent && other.place.mdev_type == *mdev_type
        });
        count(same)
    }

    /// What the kernel has refused once during this start is not tried again.
    fn check_refused(&self, place: &Place) -> Result<(), NoRoom> {
        for together in self.look.refused() {
            let is_here = |(parent, mdev_type): &(ParentName, TypeName)| {
                *parent == place.parent && *mdev_type == place.mdev_type
            };
            if !together.places.iter().any(is_here) {
                continue;
            }
            let mut counts: BTreeMap<&(ParentName, TypeName), u32> = BTreeMap::new();
            for one in &together.places {
                *counts.entry(one).or_default() += 1;
            }
            let has_all = counts.iter().all(|((parent, mdev_type), needed)| {
                let there = self
                    .placed
                    .iter()
                    .filter(|other| other.place.parent == *parent && other.place.mdev_type == *mdev_type);
                let is_this = *parent == place.parent && *mdev_type == place.mdev_type;
                count(there) + u32::from(is_this) >= *needed
            });
            if has_all {
                return Err(NoRoom::Refused(together.why.clone()));
            }
        }
        Ok(())
    }

    /// Whether something of another type goes from the same GPU first: only the driver knows what room that makes.
    pub(super) fn gives_other_room_back(&self, place: &Place) -> bool {
        let mut others = self
            .leaving
            .iter()
            .filter(|record| record.mdev_type != place.mdev_type)
            .peekable();
        if others.peek().is_none() {
            return false;
        }
        let gpu = self.look.gpu(&place.parent);
        others.any(|record| self.look.gpu(&record.parent) == gpu)
    }

    /// An NVIDIA GPU holds one type at a time; its driver says so only once there is a device.
    fn check_other_type(&self, place: &Place) -> Result<(), NoRoom> {
        if !is_nvidia(&place.mdev_type) {
            return Ok(());
        }
        let is_other = |mdev_type: &TypeName| *mdev_type != place.mdev_type && is_nvidia(mdev_type);
        let mut own = self.placed.iter();
        let own = own.find(|other| {
            is_other(&other.place.mdev_type)
                && self.look.gpu(&other.place.parent) == self.look.gpu(&place.parent)
        });
        if let Some(own) = own {
            return Err(NoRoom::OwnOtherType(own.uuid, own.place.mdev_type.clone()));
        }
        if self.has_choice {
            let other = self.reserved().find(|record| {
                is_other(&record.mdev_type) && self.look.gpu(&record.parent) == self.look.gpu(&place.parent)
            });
            if let Some(other) = other {
                return Err(NoRoom::OthersType(other.mdev_type.clone()));
            }
        }
        Ok(())
    }

    /// What NVIDIA's driver will say once those of another type are gone: its GPUs hold one type at a time, and
    /// their descriptions tell how many of it.
    fn gpu_after_another_type(&self, place: &Place, most: Option<u32>) -> Option<Verdict> {
        let most = most.filter(|_| is_nvidia(&place.mdev_type))?;
        let has_room = self.staying(&place.parent).is_empty() && self.placed_on_gpu(&place.parent) < most;
        Some(if has_room { Verdict::Fits } else { Verdict::Full })
    }

    /// How many devices this plan makes on a parent's GPU, beyond those that bring their room.
    fn placed_on_gpu(&self, parent: &ParentName) -> u32 {
        if self.placed.is_empty() {
            return 0;
        }
        let gpu = self.look.gpu(parent);
        let placed = self.placed.iter().filter(|other| !other.brings_room);
        count(placed.filter(|other| self.look.gpu(&other.place.parent) == gpu))
    }

    /// Each virtual function of a GPU says whether it can take one device more, whatever the others are about to
    /// take.
    fn check_gpu(&self, place: &Place, most: Option<u32>) -> Result<(), NoRoom> {
        let Some(most) = most else { return Ok(()) };
        if !self.look.is_part(&place.parent) {
            return Ok(());
        }
        let reserved = self.reserved_on(&self.look.gpu(&place.parent));
        let wanted = self.placed_on_gpu(&place.parent) + 1;
        if wanted + reserved == 1 {
            return Ok(());
        }
        let taken = u32::try_from(self.staying(&place.parent).len()).unwrap_or(u32::MAX);
        let available = most.saturating_sub(taken).saturating_sub(reserved);
        if wanted > available {
            Err(NoRoom::Gpu { wanted, available })
        } else {
            Ok(())
        }
    }

    /// The devices on a parent's GPU, without those that go first.
    fn staying(&self, parent: &ParentName) -> Vec<Neighbour> {
        let all = self.look.neighbours(parent);
        let stays = |other: &&Neighbour| self.leaving.iter().all(|record| record.uuid != other.uuid);
        all.iter().filter(stays).cloned().collect()
    }

    /// The same for people.
    pub(super) fn explain(&self, place: &Place, no_room: NoRoom) -> Refusal {
        let Place {
            parent, mdev_type, ..
        } = place.clone();
        match no_room {
            NoRoom::OwnOtherType(other, other_type) => Refusal::OwnOtherType { other, other_type },
            NoRoom::OthersType(running) => Refusal::OtherType {
                running,
                domains: Vec::new(),
            },
            NoRoom::Refused(why) => Refusal::Kernel {
                parent,
                mdev_type,
                why,
            },
            NoRoom::Gpu { wanted, available } => Refusal::TooMany {
                parent: self.look.gpu(&parent).parse().unwrap_or_else(|_| parent.clone()),
                mdev_type,
                wanted,
                available,
                taken: self.staying(&parent),
            },
            NoRoom::Parent { wanted, available } => self.refuse_full(place, wanted, available),
        }
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
            || self.placed.iter().any(|Placed { place, .. }| {
                types
                    .insert(&place.parent, &place.mdev_type)
                    .is_some_and(|other| *other != place.mdev_type)
            })
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

/// NVIDIA names its types `nvidia-NUMBER`.
pub(super) fn is_nvidia(mdev_type: &TypeName) -> bool {
    mdev_type.as_str().starts_with("nvidia-")
}
