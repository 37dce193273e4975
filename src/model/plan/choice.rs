//! The places at which a device could be had, and what stands against each of them.

use std::cell::OnceCell;
use std::rc::Rc;

use super::room::Fit;
use super::{Patience, Place, Planner, Wanted, model_mismatch};
use crate::model::claim::Record;
use crate::model::inventory::{Active, Defined, MadeWay, ParentState};
use crate::model::names::{MdevUuid, ParentName, TypeName};
use crate::model::nearest::nearest;
use crate::model::pool::{FromPool, Member, MemberKind, Numa, Pool, TypeMember};
use crate::model::refusal::Refusal;

/// How a device is had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// It is made where there is room.
    Make,
    /// It is made in the place of this one, which is taken away first.
    Replace(MdevUuid),
    /// This one is used under its own UUID.
    HandOut(MdevUuid, Box<Active>),
}

/// One place at which a device could be had.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Which member of the pool, or which of the definitions.
    pub(super) member: usize,
    /// Where the member's own list has the parent.
    pub(super) rank: usize,
    pub(super) place: Place,
    pub(super) way: Way,
    /// What stands against it, whatever else is made; found out when it is needed.
    fault: OnceCell<Option<Box<Refusal>>>,
}

/// A device for which a place is to be chosen.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) wanted: Wanted,
    /// What is taken away before.
    pub(super) old: Option<Record>,
    pub(super) pool: Option<Rc<Pool>>,
    pub(super) candidates: Vec<Candidate>,
    /// Members, or definitions, that have no place at all, and why.
    pub(super) hopeless: Vec<(usize, Option<ParentName>, Refusal)>,
}

impl Choice {
    /// The places of a device's own definitions, in the order of their parents' names.
    pub(super) fn of_definitions(wanted: &Wanted, defined: &[Defined], old: Option<Record>) -> Choice {
        let mut choice = Choice::new(wanted, old, None);
        let usable = defined.iter().filter(|one| !wanted.is_elsewhere(&one.parent));
        for (member, one) in usable.enumerate() {
            match place_of(one, None) {
                Ok(place) => choice.add(member, 0, place, Way::Make),
                Err(refusal) => choice.hopeless.push((member, Some(one.parent.clone()), refusal)),
            }
        }
        choice
    }
}

impl Planner<'_> {
    /// The places of a pool's members.
    pub(super) fn choice_of_pool(&self, wanted: &Wanted, pool: &Rc<Pool>, old: Option<Record>) -> Choice {
        let mut choice = Choice::new(wanted, old, Some(pool.clone()));
        let is_type = |member: &&Member| matches!(member, Member::Type(_));
        let types = pool.members.iter().filter(is_type).count();
        // Of hundreds, all at once.
        choice.candidates.reserve(types * self.look.parents().len());
        for (number, member) in pool.members.iter().enumerate() {
            match member {
                Member::Type(member) => self.add_type(&mut choice, number, member),
                Member::Definition(uuid) => self.add_definition(&mut choice, number, *uuid),
                Member::Device { uuid, replace } => self.add_device(&mut choice, number, *uuid, *replace),
            }
        }
        choice
    }

    fn add_type(&self, choice: &mut Choice, number: usize, member: &TypeMember) {
        let pool = choice.from(MemberKind::Type);
        let before = choice.candidates.len();
        for parent in self.look.parents() {
            let Some(rank) = member.rank(parent) else {
                continue;
            };
            let place = Place {
                parent: parent.clone(),
                mdev_type: member.mdev_type.clone(),
                start: crate::model::definition::Start::Manual,
                attributes: member.attributes.clone(),
                pool: pool.clone(),
            };
            choice.add(number, rank, place, Way::Make);
        }
        if choice.candidates.len() == before {
            let file = choice.pool.as_ref().map(|pool| pool.file()).unwrap_or_default();
            let wrong = member.parents.iter().map(|glob| glob.means_nothing(&file));
            let refusal = Refusal::NoParent {
                wrong: wrong.collect(),
            };
            choice.hopeless.push((number, None, refusal));
        }
    }

    fn add_definition(&self, choice: &mut Choice, number: usize, uuid: MdevUuid) {
        let defined = self.look.inventory.definitions(uuid);
        if defined.is_empty() {
            let nearest = nearest(&uuid, self.look.inventory.all_defined());
            choice
                .hopeless
                .push((number, None, Refusal::NoDefinition { nearest }));
        }
        for one in defined {
            match place_of(&one, choice.from(MemberKind::Definition(uuid))) {
                Ok(place) => choice.add(number, 0, place, Way::Make),
                Err(refusal) => choice.hopeless.push((number, Some(one.parent), refusal)),
            }
        }
    }

    /// A device that was made beforehand, as it is and as it is defined.
    fn add_device(&self, choice: &mut Choice, number: usize, uuid: MdevUuid, replace: bool) {
        match self.idle_device(choice, uuid, replace) {
            Ok((place, way)) => choice.add(number, 0, place, way),
            Err(refusal) => choice.hopeless.push((number, None, refusal)),
        }
    }

    fn idle_device(&self, choice: &Choice, uuid: MdevUuid, replace: bool) -> Result<(Place, Way), Refusal> {
        let inventory = self.look.inventory;
        let busy = |by: String| Refusal::Busy { by };
        let is_another = uuid != choice.wanted.uuid;
        if is_another && (self.chosen.contains(&uuid) || inventory.besides().contains(&uuid)) {
            return Err(busy("this domain itself".to_owned()));
        }
        let made_way = inventory.made_way(uuid);
        if let Some(other) = made_way.as_ref().map(|made_way| made_way.stand_in) {
            if other != choice.wanted.uuid {
                return Err(busy(format!("{other}, made in its place")));
            }
        }
        let defined = inventory.definitions(uuid);
        let is_taken_away = made_way.is_some();
        let Some(active) = inventory.active(uuid) else {
            // It is put back where it was, whatever else defines it.
            return match made_way.filter(|_| replace) {
                Some(made_way) => {
                    let place = place_left_by(made_way, &defined, choice.from(MemberKind::Device(uuid)));
                    Ok((place, Way::Replace(uuid)))
                }
                None => Err(Refusal::NotThere),
            };
        };
        let is_it = |one: &&Defined| {
            one.parent == active.parent
                && one
                    .definition
                    .as_ref()
                    .is_ok_and(|definition| definition.mdev_type == active.mdev_type)
        };
        let Some(own) = defined.iter().find(is_it) else {
            return Err(Refusal::NotAsDefined {
                parent: active.parent,
                mdev_type: active.mdev_type,
            });
        };
        if let Some(holder) = inventory
            .holders(uuid)
            .iter()
            .find(|holder| !holder.life.is_over())
        {
            return Err(busy(holder.name.clone()));
        }
        if !is_taken_away && inventory.record(uuid).is_some() || inventory.is_busy(uuid) {
            return Err(busy("another automdev call".to_owned()));
        }
        if let Some(user) = inventory.users(uuid).into_iter().next() {
            return Err(busy(user));
        }
        if self.patience == Patience::Waiting && inventory.is_resting(uuid) {
            return Err(busy("its driver".to_owned()));
        }
        let place = place_of(own, choice.from(MemberKind::Device(uuid)))?;
        if choice.wanted.origin.takes_other_uuid() {
            Ok((place, Way::HandOut(uuid, Box::new(active))))
        } else if replace {
            Ok((place, Way::Replace(uuid)))
        } else {
            Err(Refusal::NotReplaceable { device: uuid })
        }
    }

    /// Whether a device can be had at a place, next to what the plan makes so far. Cheap where it cannot.
    pub(super) fn fit(&self, choice: &Choice, candidate: &Candidate) -> Option<Fit> {
        let place = &candidate.place;
        if candidate.way == Way::Make && !self.may_have_room(place, self.left_here(place)) {
            return None;
        }
        self.check(choice, candidate).ok()
    }

    /// The same, and why not.
    pub(super) fn check(&self, choice: &Choice, candidate: &Candidate) -> Result<Fit, Refusal> {
        let fault = candidate
            .fault
            .get_or_init(|| self.fault(choice, candidate).map(Box::new));
        if let Some(fault) = fault {
            return Err(Refusal::clone(fault));
        }
        let place = &candidate.place;
        match &candidate.way {
            Way::Replace(device) | Way::HandOut(device, _) => self.check_device(*device),
            Way::Make => {
                let offer = self.look.offer(&place.parent, &place.mdev_type);
                let offer = offer.ok_or_else(|| self.type_unknown(place))?;
                let told = self.look.available(&place.parent, &place.mdev_type);
                told.ok_or_else(|| self.type_unknown(place))?;
                self.check_uses(choice, candidate)?;
                let room = self.room(place, &offer);
                room.map_err(|no_room| self.explain(place, no_room))
            }
        }
    }

    /// What stands against a place, whatever else is made.
    fn fault(&self, choice: &Choice, candidate: &Candidate) -> Option<Refusal> {
        let place = &candidate.place;
        let parent = place.parent.clone();
        match self.look.inventory.parent(&parent) {
            ParentState::There => {}
            ParentState::NotMdev => return Some(Refusal::NotMdev { parent }),
            ParentState::NvidiaVfio => return Some(Refusal::NvidiaVfio { parent }),
            ParentState::Absent => {
                let nearest = nearest(&parent, self.look.inventory.all_parents());
                return Some(Refusal::ParentAbsent { parent, nearest });
            }
        }
        let Some(offer) = self.look.offer(&parent, &place.mdev_type) else {
            return Some(self.type_unknown(place));
        };
        let mismatch = model_mismatch(choice.wanted.model, &parent, &place.mdev_type, &offer.device_api);
        if mismatch.is_some() {
            return mismatch;
        }
        let uuid = choice.wanted.uuid;
        let inventory = self.look.inventory;
        if choice.old.is_none() && inventory.active(uuid).is_none() && inventory.lingers(uuid, &parent) {
            return Some(Refusal::Removing {
                parent,
                holders: Vec::new(),
            });
        }
        if !matches!(candidate.way, Way::HandOut(..)) && inventory.is_cordoned(&parent) {
            return Some(Refusal::Cordoned { parent });
        }
        let numa = choice.pool.as_ref().map_or(Numa::Ignore, |pool| pool.numa);
        if numa == Numa::Require && self.distance(&parent) == Distance::Far {
            return Some(Refusal::Far {
                node: self.look.node(&parent).unwrap_or_default(),
                home: self.look.home().iter().copied().collect(),
                parent,
            });
        }
        None
    }

    fn type_unknown(&self, place: &Place) -> Refusal {
        if self.look.inventory.is_silent(&place.parent) {
            return Refusal::Silent {
                parent: place.parent.clone(),
            };
        }
        Refusal::TypeUnknown {
            parent: place.parent.clone(),
            mdev_type: place.mdev_type.clone(),
            offered: self.look.inventory.offered(&place.parent),
        }
    }

    /// A device that was made beforehand is there for one.
    fn check_device(&self, device: MdevUuid) -> Result<Fit, Refusal> {
        let is_it = |place: &Place| {
            let member = place.pool.as_ref().map(|pool| pool.member);
            member == Some(MemberKind::Device(device))
        };
        match self
            .placed
            .iter()
            .find(|other| is_it(&other.place) || other.uuid == device)
        {
            Some(other) => Err(Refusal::Busy {
                by: format!("this domain's {}", other.uuid),
            }),
            None => Ok(Fit::Told),
        }
    }

    /// Whether the member may be used once more.
    fn check_uses(&self, choice: &Choice, candidate: &Candidate) -> Result<(), Refusal> {
        let Some(pool) = &choice.pool else { return Ok(()) };
        match &pool.members[candidate.member] {
            // Whichever member it is of: a limit is one of the pool, the type and the parents.
            Member::Type(_) => pool.members.iter().try_for_each(|member| match member {
                Member::Type(member)
                    if member.mdev_type == candidate.place.mdev_type
                        && member.rank(&candidate.place.parent).is_some() =>
                {
                    self.check_limit(pool, member)
                }
                _ => Ok(()),
            }),
            Member::Definition(uuid) => self.check_definition(*uuid),
            Member::Device { .. } => Ok(()),
        }
    }

    fn check_limit(&self, pool: &Pool, member: &TypeMember) -> Result<(), Refusal> {
        let Some(limit) = member.limit else { return Ok(()) };
        let is_of = |from: Option<&FromPool>, mdev_type: &TypeName, parent: &ParentName| {
            from.is_some_and(|from| from.name == pool.name && from.member == MemberKind::Type)
                && *mdev_type == member.mdev_type
                && member.rank(parent).is_some()
        };
        let own = self
            .placed
            .iter()
            .map(|other| &other.place)
            .filter(|place| is_of(place.pool.as_ref(), &place.mdev_type, &place.parent))
            .count();
        let most = self.look.taken_at_most(&pool.name);
        if u32::try_from(own).is_ok_and(|own| own.saturating_add(most) < limit.get()) {
            return Ok(());
        }
        let taken = self.look.taken_from(&pool.name);
        let others = taken
            .iter()
            .filter(|record| self.is_others(record.uuid))
            .filter(|record| is_of(record.pool.as_ref(), &record.mdev_type, &record.parent))
            .count();
        if u32::try_from(own + others).is_ok_and(|used| used < limit.get()) {
            Ok(())
        } else {
            Err(Refusal::Limit { limit: limit.get() })
        }
    }

    /// A pattern for one device is used once: not beside the device that it defines, either.
    fn check_definition(&self, uuid: MdevUuid) -> Result<(), Refusal> {
        let is_like = |place: &Place| {
            let member = place.pool.as_ref().map(|pool| pool.member);
            member == Some(MemberKind::Definition(uuid))
        };
        let own = self
            .placed
            .iter()
            .find(|other| is_like(&other.place) || other.uuid == uuid);
        let used = |by| Err(Refusal::Busy { by });
        if let Some(own) = own {
            return used(format!("this domain's {}", own.uuid));
        }
        let inventory = self.look.inventory;
        if self.is_others(uuid) && inventory.active(uuid).is_some() {
            return used("the device that it defines".to_owned());
        }
        let others = inventory.made_like(uuid);
        match others.into_iter().find(|other| self.is_others(*other)) {
            Some(other) => used(
                inventory
                    .holders(other)
                    .first()
                    .map_or_else(|| other.to_string(), |holder| holder.name.clone()),
            ),
            None => Ok(()),
        }
    }

    /// Whether a device is none of those that this plan sees to, or takes away.
    fn is_others(&self, uuid: MdevUuid) -> bool {
        self.leaving.iter().all(|record| record.uuid != uuid) && !self.chosen.contains(&uuid)
    }

    /// Whether nothing at a place would do, whatever its driver says.
    pub(super) fn is_out(&self, choice: &Choice, candidate: &Candidate) -> bool {
        let parent = &candidate.place.parent;
        let numa = choice.pool.as_ref().map_or(Numa::Ignore, |pool| pool.numa);
        self.look.inventory.is_cordoned(parent)
            || numa == Numa::Require && self.distance(parent) == Distance::Far
    }

    /// How far a parent is from the domain's memory.
    pub(super) fn distance(&self, parent: &ParentName) -> Distance {
        let home = self.look.home();
        match self.look.node(parent) {
            _ if home.is_empty() => Distance::Near,
            Some(node) if home.contains(&node) => Distance::Near,
            Some(_) => Distance::Far,
            None => Distance::Unknown,
        }
    }
}

/// How far a parent is from the domain's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Distance {
    /// On one of its nodes, or the domain is bound to none.
    Near,
    /// The parent belongs to no node.
    Unknown,
    /// On another node.
    Far,
}

impl Choice {
    fn new(wanted: &Wanted, old: Option<Record>, pool: Option<Rc<Pool>>) -> Self {
        Choice {
            wanted: wanted.clone(),
            old,
            pool,
            candidates: Vec::new(),
            hopeless: Vec::new(),
        }
    }

    fn add(&mut self, member: usize, rank: usize, place: Place, way: Way) {
        self.candidates.push(Candidate {
            member,
            rank,
            place,
            way,
            fault: OnceCell::new(),
        });
    }

    fn from(&self, member: MemberKind) -> Option<FromPool> {
        let pool = self.pool.as_ref()?;
        Some(FromPool {
            name: pool.name.clone(),
            member,
        })
    }
}

/// The place that a device has made way in: as its definition there says by now, or else as it said then.
fn place_left_by(made_way: MadeWay, defined: &[Defined], pool: Option<FromPool>) -> Place {
    let now = defined.iter().filter(|one| one.parent == made_way.parent);
    let mut now = now.filter_map(|one| one.definition.as_ref().ok());
    let now = now.find(|now| now.mdev_type == made_way.definition.mdev_type);
    let definition = now.cloned().unwrap_or(made_way.definition);
    Place {
        parent: made_way.parent,
        mdev_type: definition.mdev_type,
        start: definition.start,
        attributes: definition.attributes,
        pool,
    }
}

/// The place that a definition means.
fn place_of(defined: &Defined, pool: Option<FromPool>) -> Result<Place, Refusal> {
    match &defined.definition {
        Ok(definition) => Ok(Place {
            parent: defined.parent.clone(),
            mdev_type: definition.mdev_type.clone(),
            start: definition.start,
            attributes: definition.attributes.clone(),
            pool,
        }),
        Err(error) => Err(Refusal::DefinitionBroken {
            file: defined.file.clone(),
            why: error.to_string(),
        }),
    }
}
