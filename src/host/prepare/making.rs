//! Makes what has been reserved, and takes it back where that fails.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::NotCreated;
use crate::host::callouts::Callouts;
use crate::host::create::{self, CreateError, Then};
use crate::host::kernel::WriteError;
use crate::host::ledger::{Ledger, Lock, Swap};
use crate::host::machine::Machine;
use crate::host::pools::swap;
use crate::host::release;
use crate::host::remove::{self, RemoveError};
use crate::model::callout::{Outcome, Subject};
use crate::model::claim::{Claimant, Record};
use crate::model::definition::Start;
use crate::model::names::{MdevUuid, ParentName};
use crate::model::plan::Place;

/// What this call has written so far.
pub(super) struct Made<'a> {
    machine: &'a Machine<'a>,
    ledger: &'a Ledger<'a>,
    claimant: Claimant,
    pub(super) records: Vec<Record>,
    /// When mdevctl would make these devices: its scripts are told.
    pub(super) starts: BTreeMap<MdevUuid, Start>,
    /// Devices that the claimant did not claim before.
    pub(super) claims: Vec<MdevUuid>,
    /// What these records have replaced: of devices that seemed to be gone.
    pub(super) before: Vec<Record>,
    /// A driver is still at the creation of one of them, for all that is known.
    is_unanswered: bool,
    /// Devices that make way for some of these.
    pub(super) swaps: Vec<Swap>,
    /// The locks of devices of the pools' own that were taken late.
    pub(super) locks: Vec<Lock>,
    /// What could not be taken back before all else is.
    errors: Vec<RemoveError>,
}

impl<'a> Made<'a> {
    pub(super) fn new(machine: &'a Machine<'a>, ledger: &'a Ledger<'a>, claimant: Claimant) -> Self {
        Made {
            machine,
            ledger,
            claimant,
            records: Vec::new(),
            starts: BTreeMap::new(),
            claims: Vec::new(),
            before: Vec::new(),
            is_unanswered: false,
            swaps: Vec::new(),
            locks: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Makes the devices of the records, between the scripts before and those after.
    pub(super) fn make(&mut self) -> Result<(), Box<NotCreated>> {
        self.make_way()?;
        let scripts = self.announce()?;
        let mut created = Vec::new();
        let then = match &scripts[..] {
            [(_, callouts)] if callouts.has_none() => Then::Nothing,
            _ => Then::Others,
        };
        let result = self.create(then, &mut created);
        for (uuid, callouts) in scripts {
            let outcome = if created.contains(&uuid) {
                Outcome::Success
            } else {
                Outcome::Failure
            };
            callouts.end(outcome);
        }
        result?;
        for record in &mut self.records {
            create::finish(self.machine, self.ledger, record).map_err(|cause| failed(record, cause))?;
        }
        self.machine.kernel.done();
        Ok(())
    }

    /// Takes away what makes way.
    fn make_way(&mut self) -> Result<(), Box<NotCreated>> {
        let taken = self.swaps.iter().find_map(|swap| {
            let cause = swap::take_away(self.machine, self.ledger, swap).err()?;
            let record = self.records.iter().find(|record| record.uuid == swap.stand_in)?;
            let device = swap.device;
            let cause = Box::new(cause);
            Some(failed(record, CreateError::NoWay { device, cause }))
        });
        let Some(error) = taken else { return Ok(()) };
        self.forget_untried(0);
        Err(error)
    }

    /// Calls the scripts before anything is made.
    fn announce(&mut self) -> Result<Vec<(MdevUuid, Callouts<'a>)>, Box<NotCreated>> {
        let mut announced = Vec::new();
        for record in &self.records {
            let start = self.starts.get(&record.uuid).copied().unwrap_or_default();
            match Callouts::before_start(self.machine, subject(record), start, &record.attributes) {
                Ok(callouts) => announced.push((record.uuid, callouts)),
                Err(error) => {
                    let error = failed(record, CreateError::Callout(error));
                    self.forget_untried(0);
                    for (_, callouts) in announced {
                        callouts.end(Outcome::Failure);
                    }
                    return Err(error);
                }
            }
        }
        Ok(announced)
    }

    /// Makes all devices of one parent under its lock, then those of the next. No parent is kept from others while
    /// another one is waited for, and as all go by the parents' names, of two domains that want the last places of several
    /// the one that gets the first gets them all.
    fn create(&mut self, then: Then, created: &mut Vec<MdevUuid>) -> Result<(), Box<NotCreated>> {
        self.records.sort_by(|one, other| one.parent.cmp(&other.parent));
        let mut failure = None;
        let mut locked: Option<(ParentName, Lock)> = None;
        for (index, record) in self.records.iter_mut().enumerate() {
            if locked.as_ref().is_none_or(|(parent, _)| *parent != record.parent) {
                drop(locked.take());
                match self.ledger.lock_parent(&record.parent, self.machine.deadline) {
                    Ok(lock) => locked = Some((record.parent.clone(), lock)),
                    Err(error) => {
                        let error = failed(record, CreateError::Lock(error));
                        self.forget_untried(index);
                        return Err(error);
                    }
                }
            }
            if let Err(cause) = create::create(self.machine, self.ledger, record, then) {
                failure = Some((index, failed(record, cause)));
                break;
            }
            created.push(record.uuid);
        }
        drop(locked);
        let Some((index, mut error)) = failure else {
            return Ok(());
        };
        let before = self.records[..index].iter();
        error.before = before
            .map(|record| (record.parent.clone(), record.mdev_type.clone()))
            .collect();
        self.forget_untried(index + 1);
        let record = self.records.remove(index);
        self.undo_failed(record, &error.cause);
        Err(error)
    }

    /// Sees to the records of devices whose creation has not been tried, so that undoing does not take somebody
    /// else's for one of them.
    pub(super) fn forget_untried(&mut self, from: usize) {
        for record in self.records.drain(from..) {
            let before = self.before.iter().find(|before| before.uuid == record.uuid);
            let kept = match before {
                Some(before) => self.ledger.write_record(before),
                None => self.ledger.drop_record(record.uuid),
            };
            self.errors.extend(kept.err().map(RemoveError::Ledger));
        }
    }

    /// Sees to a device whose creation has failed. As mdevctl does, no script is called for what is left of it.
    fn undo_failed(&mut self, record: Record, cause: &CreateError) {
        match cause {
            // What is there under this UUID, if anything, is not ours; unless an earlier call gave up waiting for
            // its creation, which has begun all the same.
            CreateError::Refused { errno, .. } => {
                let before = self.before.iter().find(|before| before.uuid == record.uuid);
                let kept = match before {
                    Some(before) if *errno == Errno::EEXIST => self.ledger.write_record(before),
                    _ => self.ledger.drop_record(record.uuid),
                };
                self.errors.extend(kept.err().map(RemoveError::Ledger));
            }
            CreateError::Unanswered {
                source: WriteError::NotTried,
                ..
            } => {
                self.records.push(record);
                self.forget_untried(self.records.len() - 1);
            }
            // The device may still come: what is known of it stays, for whoever comes next.
            CreateError::Unanswered { .. } => self.is_unanswered = true,
            _ => self
                .errors
                .extend(remove::take_back(self.machine, self.ledger, record).err()),
        }
    }

    /// Takes it back, last things first, and goes on whatever fails.
    pub(super) fn undo(self) -> Vec<RemoveError> {
        let Made {
            machine,
            ledger,
            claimant,
            is_unanswered,
            mut errors,
            ..
        } = self;
        let tried: Vec<MdevUuid> = self.records.iter().map(|record| record.uuid).collect();
        for record in self.records.into_iter().rev() {
            errors.extend(remove::undo(machine, ledger, record).err());
        }
        let mut is_owed = false;
        for swap in self.swaps.into_iter().rev() {
            // The note stays, and with it whoever comes next tries again.
            if let Err(error) = swap::put_back(machine, ledger, swap.stand_in) {
                log::error!(uuid:% = swap.device; "{}", release::chain(&error));
                is_owed = true;
            }
        }
        for uuid in self.claims.into_iter().rev() {
            match ledger.drop_claim(uuid, claimant) {
                Ok(()) if !is_unanswered && !tried.contains(&uuid) => {
                    errors.extend(remove_unclaimed(machine, ledger, uuid).err());
                }
                Ok(()) => {}
                Err(error) => errors.push(RemoveError::Ledger(error)),
            }
        }
        let held = release::holdings(ledger, claimant).unwrap_or_default();
        let is_left = |uuid: &MdevUuid| {
            ledger.is_claimed_by(*uuid, claimant) || !matches!(ledger.record(*uuid), Ok(None))
        };
        // What is left is tried again by the `release` that follows.
        if errors.is_empty() && !is_unanswered && !is_owed && !held.iter().any(is_left) {
            errors.extend(ledger.drop_holdings(claimant).err().map(RemoveError::Ledger));
        }
        errors
    }
}

/// Removes a device of ours that this call has taken over from one who is gone: nobody else would.
fn remove_unclaimed(machine: &Machine<'_>, ledger: &Ledger<'_>, uuid: MdevUuid) -> Result<(), RemoveError> {
    if !ledger.claimants_of(uuid)?.is_empty() {
        return Ok(());
    }
    match ledger.record(uuid)? {
        Some(record) => remove::remove(machine, ledger, record),
        None => Ok(()),
    }
}

fn subject(record: &Record) -> Subject {
    Subject {
        uuid: record.uuid,
        parent: record.parent.clone(),
        mdev_type: record.mdev_type.clone(),
    }
}

fn failed(record: &Record, cause: CreateError) -> Box<NotCreated> {
    let place = Place {
        parent: record.parent.clone(),
        mdev_type: record.mdev_type.clone(),
        start: Start::default(),
        attributes: record.attributes.clone(),
        pool: record.pool.clone(),
    };
    Box::new(NotCreated {
        uuid: record.uuid,
        place,
        cause,
        rollback: Vec::new(),
        before: Vec::new(),
    })
}
