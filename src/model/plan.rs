//! What a start would do, decided once: `plan` prints what `hook` and `run` carry out.

use super::claim::{Claimant, Life, Record, State};
use super::definition::{Attribute, Definition, Start};
use super::domain::{Domain, Hostdev, Mark, Model, Select, Source};
use super::inventory::{Active, Defined, Inventory, ParentState};
use super::names::{MdevUuid, ParentName, TypeName};
use super::nearest::nearest;
use super::refusal::Refusal;

mod room;

/// A device that a start has to see to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The device.
    pub uuid: MdevUuid,
    /// The interface that the guest expects, where it says one.
    pub model: Option<Model>,
    /// From where.
    pub origin: Origin,
}

/// What says what a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Its own definition.
    Definition,
    /// Its own definition under this parent, below which alone it is looked for.
    DefinitionUnder(ParentName),
    /// A pool.
    Pool(super::names::PoolName),
}

impl Wanted {
    /// Whether it is of no use below this parent.
    fn is_elsewhere(&self, parent: &ParentName) -> bool {
        matches!(&self.origin, Origin::DefinitionUnder(asked) if asked != parent)
    }

    /// Why it cannot be had, where these are the parents below which it is, or would be.
    fn refuse_elsewhere(&self, parents: Vec<ParentName>) -> Option<Refusal> {
        match &self.origin {
            Origin::DefinitionUnder(asked) if !parents.is_empty() && !parents.contains(asked) => {
                Some(Refusal::Elsewhere {
                    asked: asked.clone(),
                    parents,
                })
            }
            _ => None,
        }
    }
}

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
    /// The device is to be made anew, and somebody still uses it.
    Users,
    /// Nothing can host it now, but a driver that registers late may: then one of these parents offers that type.
    Late(Vec<(ParentName, TypeName)>),
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
}

/// What a start does, device by device, in the domain's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Each device, and what is done about it.
    pub devices: Vec<(Wanted, Action)>,
    /// Several types of one parent are wanted, or make room for each other, and only the driver knows whether they
    /// share its room.
    pub is_uncertain: bool,
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

/// The devices of a domain that count as marked. `defined` is asked where that decides.
pub fn wanted(domain: &Domain, select: Select, defined: impl Fn(MdevUuid) -> bool) -> Vec<Wanted> {
    let is_marked = |hostdev: &Hostdev| match (hostdev.mark, select) {
        (Mark::Yes, _) => true,
        (Mark::No, _) | (Mark::Absent, Select::Marked) => false,
        (Mark::Absent, Select::Managed) => hostdev.managed,
        (Mark::Absent, Select::Defined) => hostdev.source.uuid().is_some_and(&defined),
    };
    let marked = domain.hostdevs.iter().filter(|hostdev| is_marked(hostdev));
    marked
        .filter_map(|hostdev| {
            let origin = match &hostdev.source {
                Source::Uuid(_) => Origin::Definition,
                Source::Pool(pool) | Source::PoolAs(pool, _) => Origin::Pool(pool.clone()),
            };
            Some(Wanted {
                uuid: hostdev.source.uuid()?,
                model: Some(hostdev.model),
                origin,
            })
        })
        .collect()
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
        patience,
        // They give their room back before anything is made.
        leaving: wanted
            .iter()
            .filter_map(|wanted| to_be_remade(wanted, inventory))
            .chain(inventory.given_back())
            .collect(),
        placed: Vec::new(),
        is_hopeful: false,
    };
    let devices: Vec<(Wanted, Action)> = wanted
        .iter()
        .map(|wanted| (wanted.clone(), planner.decide(wanted)))
        .collect();
    Plan {
        is_uncertain: planner.is_uncertain(),
        devices,
    }
}

/// The record of a device of ours that cannot be kept as it is.
fn to_be_remade(wanted: &Wanted, inventory: &dyn Inventory) -> Option<Record> {
    let record = inventory.record(wanted.uuid)?;
    let active = inventory.active(wanted.uuid)?;
    (is_ours(&record, &active) && !is_good(&record, &inventory.definitions(wanted.uuid))).then_some(record)
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
    patience: Patience,
    /// What goes first.
    leaving: Vec<Record>,
    /// What this plan makes.
    placed: Vec<(MdevUuid, Place)>,
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
        if let Origin::Pool(pool) = &wanted.origin {
            return Action::Refuse(Refusal::NoPool { pool: pool.clone() }, None);
        }
        let mut defined = self.inventory.definitions(wanted.uuid);
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
                None => decide_others(wanted, &defined, active),
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
        if is_good(&record, defined) {
            return match model_mismatch(
                wanted.model,
                &active.parent,
                &active.mdev_type,
                &active.device_api,
            ) {
                Some(refusal) => Action::Refuse(refusal, None),
                None => Action::Keep(active),
            };
        }
        let users = self.inventory.users(wanted.uuid);
        match self.patience {
            _ if users.is_empty() => self.create(wanted, defined, Some(record)),
            Patience::Waiting => Action::Wait(Wait::Users),
            Patience::Exhausted => Action::Refuse(Refusal::InUse { users }, None),
        }
    }

    /// What is done about a device that is being made for a start that was given up.
    fn decide_unmade(&self, record: &Record) -> Option<Action> {
        if record.state != State::Creating || !self.inventory.is_being_made(record.uuid) {
            return None;
        }
        let parent = record.parent.clone();
        Some(match self.patience {
            Patience::Waiting => Action::Wait(Wait::Creation(parent)),
            Patience::Exhausted => Action::Refuse(Refusal::Creating { parent }, None),
        })
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

    /// Takes the first definition that can be hosted.
    fn create(&mut self, wanted: &Wanted, defined: &[Defined], old: Option<Record>) -> Action {
        let mut refusals: Vec<(ParentName, Refusal, Option<Place>)> = Vec::new();
        for one in defined.iter().filter(|one| !wanted.is_elsewhere(&one.parent)) {
            let place = match &one.definition {
                Ok(definition) => Place {
                    parent: one.parent.clone(),
                    mdev_type: definition.mdev_type.clone(),
                    start: definition.start,
                    attributes: definition.attributes.clone(),
                },
                Err(error) => {
                    let broken = Refusal::DefinitionBroken {
                        file: one.file.clone(),
                        why: error.to_string(),
                    };
                    refusals.push((one.parent.clone(), broken, None));
                    continue;
                }
            };
            if let Some(refusal) = self.refuse_place(wanted, &place) {
                refusals.push((one.parent.clone(), refusal, Some(place)));
                continue;
            }
            self.placed.push((wanted.uuid, place.clone()));
            return match old {
                Some(record) => Action::Remake(record, place),
                None => Action::Create(place),
            };
        }
        if self.patience == Patience::Waiting {
            let late: Vec<_> = refusals.iter().filter_map(may_come).collect();
            if !late.is_empty() {
                return Action::Wait(Wait::Late(late));
            }
        }
        match refusals.len() {
            0 => {
                let parents = defined.iter().map(|one| one.parent.clone()).collect();
                let refusal = wanted.refuse_elsewhere(parents);
                let refusal = refusal.unwrap_or_else(|| Refusal::NoDefinition {
                    nearest: nearest(&wanted.uuid, self.inventory.all_defined()),
                });
                Action::Refuse(refusal, None)
            }
            1 => {
                let (_, refusal, place) = refusals.remove(0);
                Action::Refuse(refusal, place)
            }
            _ => {
                let each = refusals
                    .into_iter()
                    .map(|(parent, refusal, _)| (parent, refusal))
                    .collect();
                Action::Refuse(Refusal::NoneOf { each }, None)
            }
        }
    }

    /// Why a device cannot be made at a place, if so.
    fn refuse_place(&mut self, wanted: &Wanted, place: &Place) -> Option<Refusal> {
        let Place {
            parent, mdev_type, ..
        } = place;
        match self.inventory.parent(parent) {
            ParentState::There => {}
            ParentState::NotMdev => {
                return Some(Refusal::NotMdev {
                    parent: parent.clone(),
                });
            }
            ParentState::NvidiaVfio => {
                return Some(Refusal::NvidiaVfio {
                    parent: parent.clone(),
                });
            }
            ParentState::Absent => {
                let nearest = nearest(parent, self.inventory.all_parents());
                return Some(Refusal::ParentAbsent {
                    parent: parent.clone(),
                    nearest,
                });
            }
        }
        let Some(offer) = self.inventory.offer(parent, mdev_type) else {
            if self.inventory.is_silent(parent) {
                return Some(Refusal::Silent {
                    parent: parent.clone(),
                });
            }
            return Some(Refusal::TypeUnknown {
                parent: parent.clone(),
                mdev_type: mdev_type.clone(),
                offered: self.inventory.offered(parent),
            });
        };
        if let Some(refusal) = model_mismatch(wanted.model, parent, mdev_type, &offer.device_api) {
            return Some(refusal);
        }
        let is_active = self.inventory.active(wanted.uuid).is_some();
        if !is_active && self.inventory.lingers(wanted.uuid, parent) {
            return Some(Refusal::Removing {
                parent: parent.clone(),
                holders: Vec::new(),
            });
        }
        self.refuse_for_room(place, &offer)
    }
}

/// The place that a driver may yet offer: some register their parents long after these are there.
fn may_come(refused: &(ParentName, Refusal, Option<Place>)) -> Option<(ParentName, TypeName)> {
    let (_, refusal, place) = refused;
    let may = matches!(
        refusal,
        Refusal::ParentAbsent { .. } | Refusal::NotMdev { .. } | Refusal::TypeUnknown { .. }
    );
    let place = place.as_ref().filter(|_| may)?;
    Some((place.parent.clone(), place.mdev_type.clone()))
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

/// What to do about a device that somebody else made.
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
