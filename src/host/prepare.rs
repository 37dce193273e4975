//! Gives a claimant its devices, all or none: read, plan, reserve, make.

use std::collections::BTreeSet;
use std::time::Instant;

use super::clock::Deadline;
use super::create::CreateError;
use super::detached;
use super::ledger::{Ledger, Lock, LockError, Swap};
use super::machine::Machine;
use super::pools::swap;
use super::processes;
use super::release::{self, Pace};
use super::remove;
use super::survey::Survey;
use super::sysfs;
use crate::model::affinity::Affinity;
use crate::model::claim::{Claimant, ProcessId, State};
use crate::model::inventory::Together;
use crate::model::names::{MdevUuid, ParentName, TypeName};
use crate::model::plan::{self, Action, Patience, Place, Plan, Wait, Wanted};
use crate::model::pool::MemberKind;

mod bounds;
mod error;
mod making;
mod reserve;
mod waiting;

use bounds::Bounds;
pub use error::{NotCreated, PrepareError};
use making::Made;
use reserve::device_of;
use waiting::waits;

/// Who wants devices.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who it is.
    pub claimant: Claimant,
    /// The domain's name, or the program's.
    pub name: String,
    /// The libvirt daemon that its claims depend on until it runs, where there is one.
    pub daemon: Option<ProcessId>,
    /// The process for which this is done, where it is another: once it has ended, nobody wants the devices any more.
    pub asker: Option<ProcessId>,
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
        silent: BTreeSet::new(),
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
    /// The GPUs whose drivers do not answer.
    silent: BTreeSet<String>,
}

/// What is done, and what has to be waited for first, and until when.
type Decision = (Plan, Option<(MdevUuid, Wait, Deadline)>);

impl Preparation<'_> {
    fn run(&mut self) -> Result<Vec<MdevUuid>, PrepareError> {
        let Request { claimant, wanted, .. } = self.request;
        loop {
            let own_lock = self.ledger.lock_claimant(*claimant, self.machine.deadline)?;
            // The claimant's next start may have come meanwhile, and what it has written is not to be overwritten.
            let is_gone = |process: &ProcessId| !processes::runs(&self.machine.root, *process);
            if self.request.asker.as_ref().is_some_and(is_gone) {
                return Err(PrepareError::Abandoned);
            }
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
            let Some((plan, wait)) = self.decide()? else {
                drop((host_lock, device_locks, own_lock));
                self.listen();
                continue;
            };
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
                self.wait(uuid, &wait, until);
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
                        // What it held is in the list as it was written before; it holds no more than what is left of that.
                        if self.request.extent == Extent::All && held != left {
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
        let begun = Instant::now();
        for (wanted, action) in &plan.devices {
            if let Action::Remake(old, _) = action {
                let uuid = wanted.uuid;
                if old.state == State::Ready && old.goes_by_itself() {
                    log::info!(uuid:%; "the driver of {} may still be cleaning up {uuid} after its last guest; it is made anew", old.parent);
                } else {
                    log::warn!(uuid:%; "{uuid} is there half made, or not as defined any more; it is made anew");
                }
                // Their drivers clean up at the same time.
                let mut machine = self.machine.clone();
                machine.timeouts.gone = machine.timeouts.gone.saturating_sub(begun.elapsed());
                remove::remove(&machine, self.ledger, old.clone()).map_err(|cause| {
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
        let begun = Instant::now();
        for uuid in held
            .iter()
            .filter(|held| self.request.wanted.iter().all(|wanted| wanted.uuid != **held))
        {
            let (claimant, pace) = (self.request.claimant, Pace::Done);
            // Their drivers clean up at the same time.
            let mut machine = self.machine.clone();
            machine.timeouts.gone = machine.timeouts.gone.saturating_sub(begun.elapsed());
            if let Err(error) = release::give_back(&machine, self.ledger, claimant, *uuid, pace) {
                log::warn!(uuid:%; "{}", release::chain(&error));
                left.push(*uuid);
            }
        }
        left
    }

    /// Makes the plan; none where a driver keeps silent of which that was not known.
    fn decide(&mut self) -> Result<Option<Decision>, PrepareError> {
        let Some(plan) = self.plan(Patience::Waiting)? else {
            return Ok(None);
        };
        let waits = waits(&plan);
        let is_over = waits.is_empty();
        let wait = waits.into_iter().find_map(|(uuid, wait)| {
            let until = self.bounds.until(&self.machine, &wait);
            (!until.has_passed()).then_some((uuid, wait, until))
        });
        if is_over || wait.is_some() {
            return Ok(Some((plan, wait)));
        }
        Ok(self.plan(Patience::Exhausted)?.map(|plan| (plan, None)))
    }

    fn plan(&mut self, patience: Patience) -> Result<Option<Plan>, PrepareError> {
        let survey = self.survey().hastily();
        let plan = plan::plan(&self.request.wanted, &survey, patience);
        if survey.met_silence() && !self.machine.deadline.has_passed() {
            // Each round knows of one more, so that they come to an end.
            self.silent = survey.into_silent();
            return Ok(None);
        }
        survey.finish()?;
        Ok(Some(plan))
    }

    /// Finds out, holding no lock, which other drivers do not answer. They are not asked again.
    fn listen(&mut self) {
        let survey = self.survey();
        plan::plan(&self.request.wanted, &survey, Patience::Waiting);
        self.silent = survey.into_silent();
    }

    fn survey(&self) -> Survey<'_> {
        let own = match self.request.extent {
            Extent::All => None,
            Extent::More => self.request.asker,
        };
        Survey::new(&self.machine.root, self.ledger, Some(self.request.claimant))
            .until(self.machine.deadline, self.machine.timeouts.write)
            .passing_over(&self.silent)
            .running_as(own)
            .sparing(self.machine.timeouts.gone)
            .placing(&self.machine.cordon, self.request.affinity.clone())
            .after(&self.refused)
            .without(&self.lost)
            .beside(&self.request.besides)
            .holding(&self.locked)
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
}

/// The device that makes way for the one of this place.
fn replaced(place: &Place) -> Option<MdevUuid> {
    match place.pool.as_ref()?.member {
        MemberKind::Device(device) => Some(device),
        MemberKind::Type | MemberKind::Definition(_) => None,
    }
}
