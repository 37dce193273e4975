//! One device that was left.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Mode, Reconciler};
use crate::host::clock::Deadline;
use crate::host::ledger::LedgerError;
use crate::host::machine::Machine;
use crate::host::pools::swap;
use crate::host::processes;
use crate::host::release::{self, chain};
use crate::host::remove::{self, RemoveError};
use crate::host::standing::{Standing, standing};
use crate::host::sysfs;
use crate::model::claim::{Claimant, Record, State};
use crate::model::leftover::{Hindrance, Outcome, Party};
use crate::model::names::MdevUuid;

/// What is known of a device afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The claimant has nothing to do with it any more.
    Nothing,
    /// It still has.
    Left,
}

impl Reconciler<'_> {
    /// Sees to a device that a claimant may claim. The caller holds the locks of both.
    pub(super) fn device_of(&mut self, machine: &Machine<'_>, party: &Party, uuid: MdevUuid) -> After {
        if self.is_given_back(uuid) {
            return After::Nothing;
        }
        match self.counts(uuid, party.claimant) {
            Ok(true) => return After::Left,
            Ok(false) => {}
            Err(error) => {
                self.keep((uuid, None), Some(party), Hindrance::Broken, &chain(&error));
                return After::Left;
            }
        }
        let had_claim = self.ledger.is_claimed_by(uuid, party.claimant);
        let record = match self.ledger.record(uuid) {
            Ok(record) => record,
            Err(error) => {
                self.keep((uuid, None), Some(party), Hindrance::Broken, &chain(&error));
                return After::Left;
            }
        };
        let others = match self.others(uuid, party.claimant) {
            Ok(others) => others,
            Err(error) => {
                self.keep(
                    (uuid, record.as_ref()),
                    Some(party),
                    Hindrance::Broken,
                    &chain(&error),
                );
                return After::Left;
            }
        };
        match record {
            Some(record) if others == Others::None => self.give_back(machine, Some(party), &record),
            _ if !had_claim => After::Nothing,
            record => {
                let reason = if others == Others::Live {
                    format!("{} is gone; another one uses the device", of(party))
                } else {
                    format!("{} is gone; automdev did not make the device", of(party))
                };
                if let Err(error) = self.drop_claim(uuid, party.claimant) {
                    self.keep(
                        (uuid, record.as_ref()),
                        Some(party),
                        Hindrance::Failed,
                        &chain(&error),
                    );
                    return After::Left;
                }
                if self.mode == Mode::Act && record.is_none() {
                    release::note_guests_end(machine, self.ledger, uuid);
                }
                let about = Some((uuid, record.as_ref()));
                self.tell(about, Some(party.clone()), Outcome::Forgotten, reason);
                After::Nothing
            }
        }
    }

    /// Sees to a record, in case that nobody claims its device.
    pub(super) fn record(&mut self, uuid: MdevUuid) {
        if self.told.contains(&uuid) || self.is_given_back(uuid) || self.has_claim(uuid) {
            return;
        }
        let machine = self.fresh();
        let _lock = match self.mode {
            Mode::DryRun => Vec::new(),
            Mode::Act => match self.lock_with_swapped(&BTreeSet::from([uuid]), machine.deadline) {
                Ok(locks) => locks,
                Err(error) => return self.keep((uuid, None), None, super::of_lock(&error), &chain(&error)),
            },
        };
        match self.ledger.record(uuid) {
            Ok(Some(record)) if !self.has_claim(uuid) => {
                self.give_back(&machine, None, &record);
            }
            // Dealt with above, or claimed meanwhile.
            Ok(_) => {}
            Err(error) => self.keep((uuid, None), None, Hindrance::Broken, &chain(&error)),
        }
    }

    /// Whether a device has claims, stale or not. Those that a dry run would have dropped do not count.
    fn has_claim(&self, uuid: MdevUuid) -> bool {
        let is_dropped = |claimant: &Claimant| {
            self.mode == Mode::DryRun
                && self.leftovers.iter().any(|leftover| {
                    let party = leftover.claimant.as_ref();
                    leftover.uuid == Some(uuid) && party.is_some_and(|party| party.claimant == *claimant)
                })
        };
        // What cannot be read may be somebody's.
        let claimants = self.ledger.claimants_of(uuid);
        claimants.map_or(true, |claimants| {
            claimants.iter().any(|claimant| !is_dropped(claimant))
        })
    }

    /// Whether a device of ours has been seen to already, which a dry run does not see from the ledger.
    pub(super) fn is_given_back(&self, uuid: MdevUuid) -> bool {
        self.mode == Mode::DryRun
            && self.leftovers.iter().any(|leftover| {
                leftover.uuid == Some(uuid)
                    && leftover.place.is_some()
                    && leftover.outcome.hindrance().is_none()
                    && !self.told.contains(&uuid)
            })
    }

    /// Who else claims a device.
    fn others(&self, uuid: MdevUuid, claimant: Claimant) -> Result<Others, LedgerError> {
        for other in self.ledger.claimants_of(uuid)? {
            if other != claimant && self.counts(uuid, other)? {
                return Ok(Others::Live);
            }
        }
        Ok(Others::None)
    }

    /// Gives a device of ours back that nobody claims who lives.
    fn give_back(&mut self, machine: &Machine<'_>, party: Option<&Party>, record: &Record) -> After {
        let about = (record.uuid, Some(record));
        let (outcome, reason) = self.judge(party, record);
        if let Outcome::Kept(hindrance) = outcome {
            self.keep(about, party, hindrance, &reason);
            return After::Left;
        }
        if self.mode == Mode::Act {
            if let Err((hindrance, error)) = self.carry_out(machine, record) {
                self.keep(about, party, hindrance, &error);
                return After::Left;
            }
        }
        self.tell(Some(about), party.cloned(), outcome, reason);
        if self.mode == Mode::Act {
            self.swaps_for(machine, record.uuid);
        }
        After::Nothing
    }

    /// What is to be done about a device of ours that nobody claims who lives, by a look.
    fn judge(&self, party: Option<&Party>, record: &Record) -> (Outcome, String) {
        let why = party.map_or_else(
            || "nobody claims it".to_owned(),
            |party| format!("{} is gone", of(party)),
        );
        if !self.is_made(record) {
            let reason = format!("{why}, but its driver is still making it; it is removed once it is there");
            return (Outcome::Kept(Hindrance::Creating), reason);
        }
        let standing = match standing(self.root(), record) {
            Ok(standing) => standing,
            Err(error) => {
                let reason = format!("{why}, but it cannot be told whether the device is there: {error}");
                return (Outcome::Kept(Hindrance::Failed), reason);
            }
        };
        match standing {
            Standing::Gone => (Outcome::Forgotten, format!("{why}, and so is the device")),
            Standing::Others => (
                Outcome::Forgotten,
                format!("{why}; somebody else has made the device anew, which stays"),
            ),
            Standing::BeforeBoot => (
                Outcome::Forgotten,
                "it was made before the host was booted".to_owned(),
            ),
            Standing::Here(_) if matches!(sysfs::active(self.root(), record.uuid), Ok(None)) => (
                Outcome::Kept(Hindrance::Removing),
                format!(
                    "{why}, but it is still on its way out: something holds it open; end that, or wait for its end"
                ),
            ),
            Standing::Here(_) => {
                let nodes = sysfs::nodes(self.root(), record.uuid);
                let users = processes::users(self.root(), &nodes);
                if users.is_empty() {
                    let how = match record.state {
                        State::Creating => ", and it is half made",
                        State::Removing => ", and its removal was interrupted",
                        State::Ready => "",
                    };
                    return (Outcome::Removed, format!("{why}{how}"));
                }
                let users: Vec<String> = users.iter().map(ToString::to_string).collect();
                let reason = format!(
                    "{why}, but it is in use by {}; end that, or wait for its end",
                    users.join(", ")
                );
                (Outcome::Kept(Hindrance::InUse), reason)
            }
        }
    }

    /// Whether no driver is at the creation of a device any more; waits for that where something is to be done.
    fn is_made(&self, record: &Record) -> bool {
        let patience = match self.mode {
            Mode::DryRun => Duration::ZERO,
            Mode::Act => self.machine.timeouts.idle,
        };
        let is_made = || !self.ledger.is_being_made(record.uuid);
        record.state != State::Creating
            || Deadline::after(patience)
                .poll(|| is_made().then_some(()))
                .is_some()
    }

    /// Drops the claims of those who are gone, and removes the device. The place of what had made way for it is kept.
    fn carry_out(&self, machine: &Machine<'_>, record: &Record) -> Result<(), (Hindrance, String)> {
        let failed = |error: LedgerError| (Hindrance::Failed, chain(&error));
        for claimant in self.ledger.claimants_of(record.uuid).map_err(failed)? {
            self.ledger.drop_claim(record.uuid, claimant).map_err(failed)?;
        }
        swap::reserve(machine, self.ledger, record.uuid).map_err(failed)?;
        remove::remove(machine, self.ledger, record.clone())
            .map_err(|error| (hindrance(&error), chain(&error)))
    }

    fn drop_claim(&self, uuid: MdevUuid, claimant: Claimant) -> Result<(), LedgerError> {
        match self.mode {
            Mode::DryRun => Ok(()),
            Mode::Act => self.ledger.drop_claim(uuid, claimant),
        }
    }

    pub(super) fn keep(
        &mut self,
        about: (MdevUuid, Option<&Record>),
        party: Option<&Party>,
        hindrance: Hindrance,
        reason: &str,
    ) {
        // Of one device it is told once.
        if !self.told.contains(&about.0) {
            let outcome = Outcome::Kept(hindrance);
            self.tell(Some(about), party.cloned(), outcome, reason.to_owned());
        }
    }
}

/// Who else claims a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    /// Nobody who lives.
    None,
    /// Somebody who does.
    Live,
}

pub(super) fn hindrance(error: &RemoveError) -> Hindrance {
    use crate::host::kernel::WriteError;
    match error {
        RemoveError::InUse { .. } => Hindrance::InUse,
        RemoveError::Creating { .. } => Hindrance::Creating,
        RemoveError::Callout { cause, .. } if !cause.may_pass() => Hindrance::Callout,
        RemoveError::Lingering { .. }
        | RemoveError::Kernel {
            source: WriteError::TimedOut,
            ..
        } => Hindrance::Removing,
        // No time was left: the next try has all of it.
        RemoveError::Lock(_)
        | RemoveError::Callout { .. }
        | RemoveError::Kernel {
            source: WriteError::NotTried,
            ..
        } => Hindrance::Busy,
        RemoveError::Kernel { .. } | RemoveError::Unknown { .. } | RemoveError::Ledger(_) => {
            Hindrance::Failed
        }
    }
}

/// A claimant, for people.
fn of(party: &Party) -> String {
    match (party.claimant, party.name.as_str()) {
        (Claimant::Domain(uuid), "") => format!("the domain {uuid}"),
        (Claimant::Process(process), "") => format!("process {}", process.pid),
        (_, name) => name.to_owned(),
    }
}
