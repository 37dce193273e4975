//! What a start would do, decided once: `plan` prints what `hook` and `run` carry out.

use super::claim::{Claimant, Life, Record, State};
use super::definition::{Attribute, Definition, Start};
use super::domain::Model;
use super::inventory::{Active, Defined, Inventory};
use super::names::{MdevUuid, ParentName, PoolName, TypeName};
use super::nearest::nearest;
use super::pool::{FromPool, Glob, Member, MemberKind, PoolError};
use super::refusal::Refusal;

mod choice;
mod choose;
mod look;
mod room;
mod search;
mod startable;
mod waiting;
mod wanted;

use choice::Choice;
use look::Look;
use room::Placed;

pub use startable::Startable;
pub use wanted::{Origin, Wanted, besides, wanted};

/// What a start does about one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Makes it.
    Create(Place),
    /// Takes away what a crash or another definition left of ours, then makes it.
    Remake(Record, Place),
    /// Uses the one that automdev made before.
    Keep(Active),
    /// Uses one that somebody else made, and leaves it standing afterwards.
    Adopt(Active, Adoption),
    /// Uses this one of the pool's instead, which was made beforehand, and leaves it standing afterwards.
    HandOut(MdevUuid, Active),
    /// Waits, holding no lock, until this is over, then decides again.
    Wait(Wait),
    /// Does not start.
    Refuse(Refusal, Option<Place>),
}

/// Whether an adopted device is as this host defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Adoption {
    /// Its parent and type are those of a definition.
    AsDefined,
    /// Nothing here defines it.
    Undefined,
}

/// What is worth waiting for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// The domain of this claim has ended, or has not begun; its `release` or its process is to come.
    Claim(Claimant, String),
    /// The device is being made on this parent, for a start that was given up.
    Creation(ParentName),
    /// The device is on its way out.
    Removal(ParentName),
    /// Somebody uses the device who has no claim to it.
    Users,
    /// There is no room on this parent, but one that has ended is about to give its back.
    Room(Place),
    /// Nothing can host it now, but a driver that registers late may: then one of these parents offers that type.
    Late(Vec<(ParentName, TypeName)>),
    /// The same, on any of the parents that these mean; each of these has none at all so far.
    LateMembers(Vec<(TypeName, Vec<Glob>)>),
    /// Other calls are making or removing these just now, and there may be room afterwards.
    Others(Vec<MdevUuid>),
    /// Other calls are at work on these, or their drivers are, which may be idle afterwards.
    Busy(Vec<MdevUuid>),
}

/// Where and as what a device is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub parent: ParentName,
    /// As what.
    pub mdev_type: TypeName,
    /// When mdevctl would make it; its scripts are told.
    pub start: Start,
    /// What is written into it, in this order.
    pub attributes: Vec<Attribute>,
    /// The pool that it is taken from, if any.
    pub pool: Option<FromPool>,
}

/// What a start does, device by device, in the domain's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Each device, and what is done about it.
    pub devices: Vec<(Wanted, Action)>,
    /// Several types of one parent are wanted, or make room for each other, and only the driver knows whether they
    /// share its room.
    pub is_uncertain: bool,
    /// There are other places to be tried, should the kernel refuse these.
    pub has_choice: bool,
}

impl Plan {
    /// The first refusal.
    #[must_use]
    pub fn refusal(&self) -> Option<(&Wanted, &Refusal, Option<&Place>)> {
        self.devices.iter().find_map(|(wanted, action)| match action {
            Action::Refuse(refusal, place) => Some((wanted, refusal, place.as_ref())),
            _ => None,
        })
    }
}

/// How patient a plan is with what will probably be over soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Patience {
    /// There is still time: wait for it.
    Waiting,
    /// It has been waited for long enough: a claim that nobody fills is taken over, a removal that does not
    /// end is refused, and so is a parent that does not come.
    Exhausted,
}

/// Decides what a start does about each device.
pub fn plan(wanted: &[Wanted], inventory: &dyn Inventory, patience: Patience) -> Plan {
    let mut planner = Planner {
        inventory,
        look: Look::new(inventory),
        patience,
        // They give their room back before anything is made.
        leaving: wanted
            .iter()
            .filter_map(|wanted| to_be_remade(wanted, inventory))
            .chain(inventory.given_back())
            .collect(),
        placed: Vec::new(),
        choices: Vec::new(),
        chosen: wanted.iter().map(|wanted| wanted.uuid).collect(),
        has_choice: false,
        is_hopeful: false,
    };
    let mut devices: Vec<(Wanted, Action)> = wanted
        .iter()
        .map(|wanted| (wanted.clone(), planner.decide(wanted)))
        .collect();
    for (uuid, action) in planner.choose() {
        let device = devices.iter_mut().find(|(wanted, _)| wanted.uuid == uuid);
        device.expect("only a wanted device has a choice").1 = action;
    }
    Plan {
        is_uncertain: planner.is_uncertain(),
        has_choice: planner.has_choice,
        devices,
    }
}

/// The record of a device of ours that cannot be kept as it is.
fn to_be_remade(wanted: &Wanted, inventory: &dyn Inventory) -> Option<Record> {
    let record = inventory.record(wanted.uuid)?;
    let active = inventory.active(wanted.uuid)?;
    let is_kept = is_wanted_so(&record, wanted, inventory) && !may_be_going(&record, inventory);
    (is_ours(&record, &active) && !is_kept).then_some(record)
}

/// Whether a device of ours may still be cleaned up after a guest, or about to go by itself: whoever had it has ended, and
/// nobody knows for how long that has been so. The next guest would find it gone, or could not open it.
fn may_be_going(record: &Record, inventory: &dyn Inventory) -> bool {
    record.goes_by_itself() && !inventory.has_already(record.uuid)
}

/// Whether a device of ours is whole and, where something says what it is to be, so.
fn is_wanted_so(record: &Record, wanted: &Wanted, inventory: &dyn Inventory) -> bool {
    match wanted.origin.pool() {
        None => is_good(record, &inventory.definitions(wanted.uuid)),
        Some(pool) => record.state == State::Ready && is_of_pool(record, pool, inventory),
    }
}

/// Whether a device is what its pool hands out today. It stays where it is, wherever the pool would put it now, and
/// also where the pool's file has become useless.
fn is_of_pool(record: &Record, pool: &PoolName, inventory: &dyn Inventory) -> bool {
    let Some(from) = record.pool.as_ref().filter(|from| from.name == *pool) else {
        return false;
    };
    let Ok(pool) = inventory.pool(pool) else {
        return true;
    };
    let is_defined = |uuid| is_good(record, &inventory.definitions(uuid));
    pool.members.iter().any(|member| match (member, from.member) {
        (Member::Type(member), MemberKind::Type) => {
            member.mdev_type == record.mdev_type
                && member.attributes == record.attributes
                && member.rank(&record.parent).is_some()
        }
        (Member::Definition(uuid), MemberKind::Definition(like))
        | (Member::Device { uuid, .. }, MemberKind::Device(like)) => *uuid == like && is_defined(like),
        _ => false,
    })
}

/// Whether a device of ours is whole and, where something defines it, as defined.
fn is_good(record: &Record, defined: &[Defined]) -> bool {
    let as_defined = |one: &Defined| {
        let same = |definition: &Definition| {
            definition.mdev_type == record.mdev_type && definition.attributes == record.attributes
        };
        one.parent == record.parent && one.definition.as_ref().is_ok_and(same)
    };
    record.state == State::Ready && (defined.is_empty() || defined.iter().any(as_defined))
}

struct Planner<'a> {
    inventory: &'a dyn Inventory,
    look: Look<'a>,
    patience: Patience,
    /// What goes first.
    leaving: Vec<Record>,
    /// What this plan makes.
    placed: Vec<Placed>,
    /// What a place has to be found for.
    choices: Vec<Choice>,
    /// The devices of this plan.
    chosen: Vec<MdevUuid>,
    /// A device could be had in several places; what others have reserved counts then.
    has_choice: bool,
    /// It hopes for room that only the driver can tell.
    is_hopeful: bool,
}

impl Planner<'_> {
    fn decide(&mut self, wanted: &Wanted) -> Action {
        let holders = self.inventory.holders(wanted.uuid);
        if let Some(holder) = holders.iter().find(|holder| holder.life == Life::Running) {
            return Action::Refuse(
                Refusal::Claimed {
                    name: holder.name.clone(),
                },
                None,
            );
        }
        // Those that start come before those that have ended.
        let pending = holders.into_iter().filter(|holder| holder.life != Life::Gone);
        match (pending.min_by_key(|holder| holder.life), self.patience) {
            (Some(holder), Patience::Waiting) => {
                return Action::Wait(Wait::Claim(holder.claimant, holder.name));
            }
            (Some(holder), Patience::Exhausted) if holder.life == Life::Starting => {
                return Action::Refuse(Refusal::Starting { name: holder.name }, None);
            }
            _ => {}
        }
        let mut defined = match wanted.origin.pool() {
            None => self.inventory.definitions(wanted.uuid),
            Some(_) => Vec::new(),
        };
        let record = self.inventory.record(wanted.uuid);
        if let Some(action) = record.as_ref().and_then(|record| self.decide_unmade(record)) {
            return action;
        }
        match (self.inventory.active(wanted.uuid), record) {
            (Some(active), Some(record)) if is_ours(&record, &active) => {
                if wanted.is_elsewhere(&active.parent) {
                    return self.create(wanted, &defined, Some(record));
                }
                defined.retain(|one| !wanted.is_elsewhere(&one.parent));
                self.decide_ours(wanted, &defined, active, record)
            }
            (Some(active), _) => match wanted.refuse_elsewhere(vec![active.parent.clone()]) {
                Some(refusal) => Action::Refuse(refusal, None),
                // One of a pool's own, say, picked before.
                None if wanted.origin.pool().is_some() => {
                    self.decide_others(wanted, &self.inventory.definitions(wanted.uuid), active)
                }
                None => self.decide_others(wanted, &defined, active),
            },
            (None, Some(record)) if self.inventory.lingers(wanted.uuid, &record.parent) => {
                self.decide_lingering(record.parent)
            }
            (None, _) => self.create(wanted, &defined, None),
        }
    }

    fn decide_ours(
        &mut self,
        wanted: &Wanted,
        defined: &[Defined],
        active: Active,
        record: Record,
    ) -> Action {
        let is_wanted = is_wanted_so(&record, wanted, self.inventory);
        if is_wanted && !may_be_going(&record, self.inventory) {
            return match model_mismatch(
                wanted.model,
                &active.parent,
                &active.mdev_type,
                &active.device_api,
            ) {
                Some(refusal) => Action::Refuse(refusal, None),
                None => self.decide_used(wanted.uuid).unwrap_or(Action::Keep(active)),
            };
        }
        let users = self.inventory.users(wanted.uuid);
        match self.patience {
            _ if users.is_empty() => self.create(wanted, defined, Some(record)),
            Patience::Waiting => Action::Wait(Wait::Users),
            Patience::Exhausted if is_wanted => Action::Refuse(Refusal::Used { users }, None),
            Patience::Exhausted => Action::Refuse(Refusal::InUse { users }, None),
        }
    }

    /// What is done about a device that somebody else made.
    fn decide_others(&self, wanted: &Wanted, defined: &[Defined], active: Active) -> Action {
        match decide_others(wanted, defined, active) {
            Action::Adopt(active, adoption) => self
                .decide_used(wanted.uuid)
                .unwrap_or(Action::Adopt(active, adoption)),
            other => other,
        }
    }

    /// What is done about a device that is as it should be, while somebody uses it whom nobody knows of: a QEMU that its
    /// domain has given up, or somebody else's. The next one could not open it.
    fn decide_used(&self, uuid: MdevUuid) -> Option<Action> {
        if self.inventory.has_already(uuid) {
            return None;
        }
        if self.patience == Patience::Waiting && self.inventory.is_resting(uuid) {
            return Some(Action::Wait(Wait::Busy(vec![uuid])));
        }
        let users = self.inventory.other_users(uuid);
        match self.patience {
            _ if users.is_empty() => None,
            Patience::Waiting => Some(Action::Wait(Wait::Users)),
            Patience::Exhausted => Some(Action::Refuse(Refusal::Used { users }, None)),
        }
    }

    fn decide_lingering(&self, parent: ParentName) -> Action {
        match self.patience {
            Patience::Waiting => Action::Wait(Wait::Removal(parent)),
            Patience::Exhausted => Action::Refuse(
                Refusal::Removing {
                    parent,
                    holders: Vec::new(),
                },
                None,
            ),
        }
    }

    /// A place is to be found for it. Until then it is said to go to the first that there is.
    fn create(&mut self, wanted: &Wanted, defined: &[Defined], old: Option<Record>) -> Action {
        let choice = match wanted.origin.pool() {
            None => Choice::of_definitions(wanted, defined, old),
            Some(name) => match self.look.pool(name) {
                Ok(pool) => self.choice_of_pool(wanted, &pool, old),
                Err(error) => return Action::Refuse(self.refuse_pool(name, &error), None),
            },
        };
        let Some(first) = choice.candidates.first() else {
            return self.refuse(&choice, defined);
        };
        let action = choice.action(first);
        self.choices.push(choice);
        action
    }

    fn refuse_pool(&self, pool: &PoolName, error: &PoolError) -> Refusal {
        match error {
            PoolError::Absent => Refusal::NoPool {
                pool: pool.clone(),
                nearest: nearest(pool, self.inventory.all_pools()),
            },
            error => Refusal::PoolBroken {
                why: error.to_string(),
            },
        }
    }
}

/// Ours is the device that the record names, by the inode of its folder. A crash between the creation and
/// the look at the folder leaves a record without an inode; then the place decides.
#[must_use]
pub fn is_ours(record: &Record, active: &Active) -> bool {
    match record.inode {
        Some(inode) => inode == active.inode,
        None => {
            record.state == State::Creating
                && record.parent == active.parent
                && record.mdev_type == active.mdev_type
        }
    }
}

fn model_mismatch(
    model: Option<Model>,
    parent: &ParentName,
    mdev_type: &TypeName,
    device_api: &str,
) -> Option<Refusal> {
    let model = model.filter(|model| model.as_str() != device_api)?;
    if device_api.is_empty() {
        return Some(Refusal::NoInterface {
            parent: parent.clone(),
            mdev_type: mdev_type.clone(),
        });
    }
    Some(Refusal::ModelMismatch {
        model,
        mdev_type: mdev_type.clone(),
        device_api: device_api.to_owned(),
    })
}

/// The same, whoever uses it.
fn decide_others(wanted: &Wanted, defined: &[Defined], active: Active) -> Action {
    if let Some(refusal) = model_mismatch(
        wanted.model,
        &active.parent,
        &active.mdev_type,
        &active.device_api,
    ) {
        return Action::Refuse(refusal, None);
    }
    let Some(first) = defined.first() else {
        return Action::Adopt(active, Adoption::Undefined);
    };
    let mut good = defined
        .iter()
        .filter_map(|one| Some((&one.parent, one.definition.as_ref().ok()?)));
    let is_same = |(parent, definition): &(&ParentName, &Definition)| {
        **parent == active.parent && definition.mdev_type == active.mdev_type
    };
    if good.clone().any(|one| is_same(&one)) {
        return Action::Adopt(active, Adoption::AsDefined);
    }
    let refusal = match (good.next(), &first.definition) {
        (Some((parent, definition)), _) => Refusal::ActiveMismatch {
            active_parent: active.parent,
            active_type: active.mdev_type,
            defined_parent: parent.clone(),
            defined_type: definition.mdev_type.clone(),
        },
        (None, Err(error)) => Refusal::DefinitionBroken {
            file: first.file.clone(),
            why: error.to_string(),
        },
        (None, Ok(_)) => unreachable!("a first definition that is good is the first good one"),
    };
    Action::Refuse(refusal, None)
}
