//! Gives a claimant its devices, all or none: read, plan, reserve, make.

use std::time::{Duration, Instant};

use super::clock::Deadline;
use super::create::CreateError;
use super::detached;
use super::ledger::{self, Ledger, Lock, LockError, Swap};
use super::life;
use super::machine::Machine;
use super::pools::swap;
use super::processes;
use super::release::{self, Pace};
use super::remove;
use super::survey::Survey;
use super::sysfs;
use crate::model::affinity::Affinity;
use crate::model::claim::{Claimant, Holdings, Kind, Life, ProcessId, Record, SCHEMA, State};
use crate::model::inventory::{Inventory, Together};
use crate::model::names::{MdevUuid, ParentName, TypeName};
use crate::model::plan::{self, Action, Adoption, Patience, Place, Plan, Wait, Wanted};
use crate::model::pool::MemberKind;

mod bounds;
mod error;
mod making;

use bounds::Bounds;
pub use error::{NotCreated, PrepareError};
use making::Made;

/// Who wants devices.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who it is.
    pub claimant: Claimant,
    /// The domain's name, or the program's.
    pub name: String,
    /// The libvirt daemon that asks for it, where there is one.
    pub daemon: Option<ProcessId>,
    /// What it wants.
    pub wanted: Vec<Wanted>,
    /// What it has besides, which no pool may hand out to it, or take away for it.
    pub besides: Vec<MdevUuid>,
    /// Where the domain runs.
    pub affinity: Affinity,
    /// What becomes of what it has already.
    pub extent: Extent,
}

/// What becomes of what a claimant has already and does not ask for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// It is given back: the claimant starts, and this is all that it wants.
    All,
    /// It stays: the claimant runs, and wants more.
    More,
}

/// Gives a claimant all that it wants, and takes back what it had before and does not want any more, where that is
/// [`Extent::All`].
///
/// Tells which device each of the wanted ones is, in their order: its own UUID, or that of one of a pool's.
///
/// # Errors
/// See [`PrepareError`].
pub fn prepare(machine: &Machine<'_>, request: &Request) -> Result<Vec<MdevUuid>, PrepareError> {
    let ledger = Ledger::open(&machine.root, machine.kernel)?;
    let mut preparation = Preparation {
        machine: machine.clone(),
        ledger: &ledger,
        request,
        bounds: Bounds::default(),
        is_left: false,
        refused: Vec::new(),
        lost: Vec::new(),
        locked: Vec::new(),
        has_cleared: false,
    };
    let prepared = preparation.run();
    // Its locks are let go of by now.
    if preparation.is_left {
        detached::start(machine, request.claimant);
    }
    prepared
}

struct Preparation<'a> {
    machine: Machine<'a>,
    ledger: &'a Ledger<'a>,
    request: &'a Request,
    bounds: Bounds,
    /// Something is to be given back, or undone, once that can be.
    is_left: bool,
    /// What the kernel has refused so far.
    refused: Vec<Together>,
    /// Devices of the pools' own that others were quicker to lock.
    lost: Vec<MdevUuid>,
    /// The devices that are locked in this round.
    locked: Vec<MdevUuid>,
    /// What made way for a device that goes elsewhere now has been put back, as far as it could be.
    has_cleared: bool,
}

impl Preparation<'_> {
    fn run(&mut self) -> Result<Vec<MdevUuid>, PrepareError> {
        let Request { claimant, wanted, .. } = self.request;
        loop {
            let own_lock = self.ledger.lock_claimant(*claimant, self.machine.deadline)?;
            let held = release::holdings(self.ledger, *claimant)?;
            let mut all: Vec<MdevUuid> = wanted
                .iter()
                .map(|wanted| wanted.uuid)
                .chain(held.iter().copied())
                .collect();
            all.extend(self.ledger.swapped_for(&all));
            self.locked.clone_from(&all);
            let device_locks = self.ledger.lock_devices(all, self.machine.deadline)?;
            let left = match self.request.extent {
                Extent::All => self.give_back_unwanted(&held),
                Extent::More => Vec::new(),
            };
            let host_lock = self.ledger.lock_host(self.machine.deadline)?;
            let mut plan = self.plan(Patience::Waiting)?;
            let waits = waits(&plan);
            let wait = waits.iter().find_map(|(uuid, wait)| {
                let until = self.bounds.until(&self.machine, wait);
                (!until.has_passed()).then_some((*uuid, wait, until))
            });
            if !waits.is_empty() && wait.is_none() {
                plan = self.plan(Patience::Exhausted)?;
            }
            if let Some((wanted, refusal, place)) = plan.refusal() {
                return Err(PrepareError::Refused {
                    uuid: wanted.uuid,
                    place: place.cloned().map(Box::new),
                    refusal: Box::new(refusal.clone()),
                });
            }
            if let Some((uuid, wait, until)) = wait {
                drop((host_lock, device_locks, own_lock));
                let begun = Instant::now();
                self.wait(uuid, wait, until);
                if matches!(wait, Wait::Late(_) | Wait::LateMembers(_)) && self.bounds.is_at_boot {
                    self.machine.deadline = self.machine.deadline.later(begun.elapsed());
                }
                // What was refused then may be had by now.
                self.refused.clear();
                self.lost.clear();
            } else if plan
                .devices
                .iter()
                .any(|(_, action)| matches!(action, Action::Remake(..)))
            {
                drop(host_lock);
                self.clear(&plan)?;
            } else if !self.has_cleared && self.has_old_swaps(&plan) {
                drop(host_lock);
                self.has_cleared = true;
                self.clear_old_swaps(&plan);
            } else {
                let carried_out = self.carry_out(&plan, &held, host_lock);
                // A start that failed leaves the list of what it claims where it could not undo all.
                self.is_left =
                    !left.is_empty() || (carried_out.is_err() && self.ledger.has_holdings(*claimant));
                match carried_out {
                    Err(PrepareError::Create(error)) if plan.has_choice && error.is_about_place() => {
                        self.note_refused(&error);
                    }
                    Err(PrepareError::Lost { device }) if !self.lost.contains(&device) => {
                        log::info!(uuid:% = device; "another automdev call is at work on {device}; another place is looked for");
                        self.lost.push(device);
                    }
                    done => {
                        done?;
                        if self.request.extent == Extent::All {
                            self.note_holdings(&plan, &left)?;
                        }
                        return Ok(plan.devices.iter().map(|one| device_of(&one.0, &one.1)).collect());
                    }
                }
            }
        }
    }

    /// Another place is tried, if there is one; this one no more.
    fn note_refused(&mut self, error: &NotCreated) {
        let NotCreated {
            uuid,
            place,
            cause,
            before,
            ..
        } = error;
        let Place {
            parent, mdev_type, ..
        } = place;
        log::warn!(uuid:%, parent:%; "{}; another place is looked for", release::chain(error));
        let gpu = sysfs::gpu(&self.machine.root, parent);
        let is_near = |(other, _): &&(ParentName, TypeName)| sysfs::gpu(&self.machine.root, other) == gpu;
        let mut places: Vec<_> = before.iter().filter(is_near).cloned().collect();
        places.push((parent.clone(), mdev_type.clone()));
        let why = match cause {
            CreateError::Refused { errno, .. } => errno.desc().to_owned(),
            other => other.to_string(),
        };
        self.refused.push(Together { places, why });
    }

    /// Takes away what is to be made anew; its room counts when the plan is made again.
    fn clear(&self, plan: &Plan) -> Result<(), PrepareError> {
        for (wanted, action) in &plan.devices {
            if let Action::Remake(old, _) = action {
                log::warn!(uuid:% = wanted.uuid; "{} is there half made, or not as defined any more; it is made anew", wanted.uuid);
                remove::remove(&self.machine, self.ledger, old.clone()).map_err(|cause| {
                    PrepareError::Leftover {
                        uuid: wanted.uuid,
                        cause,
                    }
                })?;
                self.put_back(wanted.uuid);
            }
        }
        Ok(())
    }

    /// Puts back what made way for a device that is gone; what cannot be is tried again later.
    fn put_back(&self, uuid: MdevUuid) {
        if let Err(error) = swap::put_back(&self.machine, self.ledger, uuid) {
            log::error!(uuid:%; "{}", release::chain(&error));
        }
    }

    /// Gives back what the claimant had before and does not want any more; a start that never came to be, say.
    /// What could not be given back is told.
    fn give_back_unwanted(&self, held: &[MdevUuid]) -> Vec<MdevUuid> {
        let mut left = Vec::new();
        for uuid in held
            .iter()
            .filter(|held| self.request.wanted.iter().all(|wanted| wanted.uuid != **held))
        {
            let (claimant, pace) = (self.request.claimant, Pace::Done);
            if let Err(error) = release::give_back(&self.machine, self.ledger, claimant, *uuid, pace) {
                log::warn!(uuid:%; "{}", release::chain(&error));
                left.push(*uuid);
            }
        }
        left
    }

    fn plan(&self, patience: Patience) -> Result<Plan, PrepareError> {
        let deadline = self.machine.deadline.or_after(self.machine.timeouts.write);
        let survey = Survey::new(&self.machine.root, self.ledger, Some(self.request.claimant))
            .until(deadline)
            .placing(&self.machine.cordon, self.request.affinity.clone())
            .after(&self.refused)
            .without(&self.lost)
            .beside(&self.request.besides)
            .holding(&self.locked);
        let plan = plan::plan(&self.request.wanted, &survey, patience);
        survey.finish()?;
        Ok(plan)
    }

    /// Waits, holding no lock, until it is worth looking again.
    fn wait(&self, uuid: MdevUuid, wait: &Wait, until: Deadline) {
        match wait {
            Wait::Claim(claimant, name) => {
                log::info!(uuid:%; "waiting for {name} to give {uuid} back");
                until.poll(|| (!self.is_pending(uuid, *claimant)).then_some(()));
            }
            Wait::Users => {
                log::info!(uuid:%; "waiting until nobody uses {uuid}, which is to be made anew");
                let nodes = sysfs::nodes(&self.machine.root, uuid);
                until.poll(|| {
                    processes::users(&self.machine.root, &nodes)
                        .is_empty()
                        .then_some(())
                });
            }
            Wait::Late(places) => {
                let shown: Vec<String> = places
                    .iter()
                    .map(|(parent, mdev_type)| format!("{mdev_type} on {parent}"))
                    .collect();
                let seconds = until.left().as_secs_f64();
                log::info!(uuid:%; "waiting up to {seconds:.0} s for {}, which this host does not offer yet, for {uuid}", shown.join(" or "));
                until.poll(|| {
                    let root = &self.machine.root;
                    let mut places = places.iter();
                    places
                        .any(|(parent, mdev_type)| sysfs::is_registered(root, parent, mdev_type))
                        .then_some(())
                });
            }
            Wait::Creation(parent) => {
                log::info!(uuid:%, parent:%; "waiting for the driver of {parent} to come to an end of making {uuid}");
                until.poll(|| (!self.ledger.is_being_made(uuid)).then_some(()));
            }
            Wait::LateMembers(members) => {
                let shown: Vec<String> = members
                    .iter()
                    .map(|(mdev_type, _)| mdev_type.to_string())
                    .collect();
                let seconds = until.left().as_secs_f64();
                log::info!(uuid:%; "waiting up to {seconds:.0} s for a parent that offers {}, for {uuid}", shown.join(" or "));
                until.poll(|| {
                    let root = &self.machine.root;
                    let is_there = |parent: &ParentName| {
                        members.iter().any(|(mdev_type, globs)| {
                            let is_meant =
                                globs.is_empty() || globs.iter().any(|glob| glob.matches(parent.as_str()));
                            is_meant && sysfs::is_registered(root, parent, mdev_type)
                        })
                    };
                    sysfs::parents(root).iter().any(is_there).then_some(())
                });
            }
            Wait::Others(others) => {
                log::debug!(uuid:%; "waiting for {} other devices that are being made or removed", others.len());
                until.poll(|| {
                    let is_over = |other: &MdevUuid| !self.ledger.is_under_way(*other);
                    others.iter().all(is_over).then_some(())
                });
            }
            Wait::Busy(devices) => {
                log::debug!(uuid:%; "waiting for {} devices that others are at work on", devices.len());
                until.poll(|| {
                    let mut devices = devices.iter();
                    devices.any(|device| !self.ledger.is_busy(*device)).then_some(())
                });
            }
            Wait::Room(Place { parent, .. }) => {
                log::info!(uuid:%, parent:%; "waiting for room on {parent} for {uuid}, where a device is about to go");
                let survey = Survey::new(&self.machine.root, self.ledger, Some(self.request.claimant));
                until.poll(|| (!survey.is_leaving(parent)).then_some(()));
            }
            Wait::Removal(parent) => {
                log::info!(uuid:%, parent:%; "waiting for {uuid} to be gone from {parent}");
                until.poll(|| {
                    sysfs::inode_below(&self.machine.root, parent, uuid)
                        .is_none()
                        .then_some(())
                });
            }
        }
    }

    fn is_pending(&self, uuid: MdevUuid, claimant: Claimant) -> bool {
        let Ok(Some(claim)) = self.ledger.claim(uuid, claimant) else {
            return false;
        };
        let life = life::of_claimant(&self.machine.root, claimant, &claim);
        matches!(life, Life::Starting | Life::Pending)
    }

    fn carry_out(&self, plan: &Plan, held: &[MdevUuid], host_lock: Lock) -> Result<(), PrepareError> {
        self.note_holdings(plan, held)?;
        let mut made = Made::new(&self.machine, self.ledger, self.request.claimant);
        let reserved = self.reserve(plan, &mut made);
        drop(host_lock);
        if let Err(error) = reserved {
            made.forget_untried(0);
            let left = made.undo();
            for error in &left {
                log::error!("{}", release::chain(error));
            }
            return Err(match error {
                // Something of this place is left: that is no time for another.
                PrepareError::Lost { device } if !left.is_empty() => LockError::TimedOut {
                    what: device.to_string(),
                }
                .into(),
                error => error,
            });
        }
        if let Err(mut error) = made.make() {
            error.rollback = made.undo();
            return Err(PrepareError::Create(error));
        }
        Ok(())
    }

    /// Whether something made way for a device in an earlier start that goes elsewhere now.
    fn has_old_swaps(&self, plan: &Plan) -> bool {
        self.old_swaps(plan).next().is_some()
    }

    /// Puts that back.
    fn clear_old_swaps(&self, plan: &Plan) {
        for uuid in self.old_swaps(plan) {
            self.put_back(uuid);
        }
    }

    fn old_swaps(&self, plan: &Plan) -> impl Iterator<Item = MdevUuid> {
        let swaps = self.ledger.swaps();
        plan.devices.iter().filter_map(move |(wanted, action)| {
            let Action::Create(place) = action else {
                return None;
            };
            let is_other = |swap: &Swap| swap.stand_in == wanted.uuid && replaced(place) != Some(swap.device);
            swaps.iter().any(is_other).then_some(wanted.uuid)
        })
    }

    /// Notes what the claimant may claim: what it wants, or has instead, and what it still has.
    fn note_holdings(&self, plan: &Plan, held: &[MdevUuid]) -> Result<(), PrepareError> {
        let Request { claimant, name, .. } = self.request;
        let wanted = plan.devices.iter();
        let mut devices: Vec<MdevUuid> = wanted.map(|(wanted, action)| device_of(wanted, action)).collect();
        devices.extend(held);
        devices.sort_unstable();
        devices.dedup();
        if devices.is_empty() {
            return Ok(self.ledger.drop_holdings(*claimant)?);
        }
        let holdings = Holdings {
            schema: SCHEMA,
            name: name.clone(),
            devices,
        };
        if self.ledger.holdings(*claimant).ok().flatten().as_ref() == Some(&holdings) {
            return Ok(());
        }
        Ok(self.ledger.write_holdings(*claimant, &holdings)?)
    }

    /// Writes the records of what is to be made, and all claims.
    fn reserve(&self, plan: &Plan, made: &mut Made<'_>) -> Result<(), PrepareError> {
        let boot = ledger::boot(&self.machine.root)?;
        for (wanted, action) in &plan.devices {
            let uuid = device_of(wanted, action);
            match action {
                Action::Create(place) => {
                    if let Some(device) = replaced(place) {
                        self.lock_pools_own(device, made)?;
                        let swap = swap::note(device, uuid, place);
                        self.ledger.write_swap(&swap)?;
                        made.swaps.push(swap);
                    }
                    let record = Record {
                        schema: SCHEMA,
                        kind: Kind::Mdev,
                        uuid,
                        parent: place.parent.clone(),
                        mdev_type: place.mdev_type.clone(),
                        attributes: place.attributes.clone(),
                        state: State::Creating,
                        inode: None,
                        boot: boot.clone(),
                        pool: place.pool.clone(),
                    };
                    made.before.extend(self.ledger.record(uuid)?);
                    self.ledger.write_record(&record)?;
                    made.records.push(record);
                    made.starts.insert(uuid, place.start);
                }
                Action::Adopt(active, adoption) => self.adopt(uuid, active, *adoption)?,
                Action::HandOut(_, active) => {
                    self.lock_pools_own(uuid, made)?;
                    self.adopt(uuid, active, Adoption::AsDefined)?;
                }
                Action::Keep(_) | Action::Remake(..) | Action::Wait(_) | Action::Refuse(..) => {}
            }
            let claim = life::new_claim(
                &self.machine.root,
                boot.clone(),
                &self.request.name,
                self.request.daemon,
            );
            if !self.ledger.is_claimed_by(uuid, self.request.claimant) {
                made.claims.push(uuid);
            }
            self.take_over(uuid)?;
            self.ledger.write_claim(uuid, self.request.claimant, &claim)?;
        }
        Ok(())
    }

    /// Locks a device of a pool's own. Under the host's lock nothing is waited for: whoever has it now lets go of it
    /// at once, or is at work on it.
    fn lock_pools_own(&self, device: MdevUuid, made: &mut Made<'_>) -> Result<(), PrepareError> {
        const SHORT: Duration = Duration::from_millis(20);
        if self.locked.contains(&device) {
            return Ok(());
        }
        match self.ledger.lock_devices([device], Deadline::after(SHORT)) {
            Ok(locks) => made.locks.extend(locks),
            Err(LockError::TimedOut { .. }) => return Err(PrepareError::Lost { device }),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Drops the claims of those who are gone: what the plan gives here is nobody else's.
    fn take_over(&self, uuid: MdevUuid) -> Result<(), PrepareError> {
        for other in self.ledger.claimants_of(uuid)? {
            if other != self.request.claimant {
                log::warn!(uuid:%; "{other} claimed {uuid} and is gone; it is given to {}", self.request.name);
                self.ledger.drop_claim(uuid, other)?;
            }
        }
        Ok(())
    }

    fn adopt(
        &self,
        uuid: MdevUuid,
        active: &crate::model::inventory::Active,
        adoption: Adoption,
    ) -> Result<(), PrepareError> {
        // A record of ours that is not about this device is about one that is gone.
        self.ledger.drop_record(uuid)?;
        let crate::model::inventory::Active {
            parent, mdev_type, ..
        } = active;
        let name = &self.request.name;
        match adoption {
            Adoption::AsDefined => {
                log::info!(uuid:%, parent:%, mdev_type:%; "{uuid} ({mdev_type} on {parent}) was there before; {name} uses it and leaves it standing");
            }
            Adoption::Undefined => {
                log::warn!(uuid:%, parent:%, mdev_type:%; "{uuid} ({mdev_type} on {parent}) was there before, and this host has no definition of it; {name} uses it and leaves it standing");
            }
        }
        Ok(())
    }
}

/// The device that a wanted one is: itself, or another of its pool's.
fn device_of(wanted: &Wanted, action: &Action) -> MdevUuid {
    match action {
        Action::HandOut(device, _) => *device,
        _ => wanted.uuid,
    }
}

/// The device that makes way for the one of this place.
fn replaced(place: &Place) -> Option<MdevUuid> {
    match place.pool.as_ref()?.member {
        MemberKind::Device(device) => Some(device),
        MemberKind::Type | MemberKind::Definition(_) => None,
    }
}

/// All that the plan waits for.
fn waits(plan: &Plan) -> Vec<(MdevUuid, Wait)> {
    let waits = plan.devices.iter().filter_map(|(wanted, action)| match action {
        Action::Wait(wait) => Some((wanted.uuid, wait.clone())),
        _ => None,
    });
    waits.collect()
}
