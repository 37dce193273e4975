//! Takes back what a claimant had, from the ledger alone, and never stops half-way.

use std::error::Error;
use std::time::Instant;

use super::detached;
use super::ledger::{Ledger, LedgerError, LockError};
use super::life;
use super::machine::Machine;
use super::pools::swap::{self, PutBackError};
use super::processes;
use super::remove::{self, RemoveError};
use super::standing::{Standing, standing};
use super::sysfs;
use crate::model::claim::{Claimant, Holdings, ProcessId, Record, goes_by_itself};
use crate::model::names::MdevUuid;
use crate::model::settings::Timeouts;

/// Why something of a claimant's is left.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// A device is still there.
    #[error(transparent)]
    Remove(#[from] RemoveError),
    /// A device that made way for it is not back.
    #[error(transparent)]
    PutBack(#[from] PutBackError),
    /// The ledger cannot be kept.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Somebody else is at it.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl ReleaseError {
    /// Whether time alone may help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Remove(error) => error.may_pass(),
            Self::PutBack(error) => error.may_pass(),
            Self::Lock(error) => error.may_pass(),
            Self::Ledger(_) => false,
        }
    }
}

/// An error with all that caused it, on one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Drops all claims of a claimant; a device of ours that nobody claims any more is removed. Where nothing is
/// known of the claimant, nothing is done. The list of what it may claim stays while something of that is left,
/// so that its next call tries again, and so does a process in the background.
///
/// # Errors
/// All that is left, and why.
pub fn release(machine: &Machine<'_>, claimant: Claimant) -> Result<(), Vec<ReleaseError>> {
    release_for(machine, claimant, None)
}

/// The same, which waits for the end of all of it as long as a call may take: by a process that nobody waits for, and with
/// whom all that it starts may end.
///
/// # Errors
/// All that is left, and why.
pub fn release_and_wait(machine: &Machine<'_>, claimant: Claimant) -> Result<(), Vec<ReleaseError>> {
    let ledger = Ledger::look(&machine.root, machine.kernel);
    let drop_unlocked = || drop_claims(machine, &ledger, claimant);
    release_those(machine, claimant, Pace::Done, (|_| true, || true), drop_unlocked)
}

/// The same as [`release`], as a libvirt daemon has asked for it. Once that has ended, its claimant may have started anew, by another
/// daemon: then what it claims by that one stays.
///
/// # Errors
/// All that is left, and why.
pub fn release_for(
    machine: &Machine<'_>,
    claimant: Claimant,
    asker: Option<ProcessId>,
) -> Result<(), Vec<ReleaseError>> {
    let root = &machine.root;
    let ledger = Ledger::look(root, machine.kernel);
    let is_orphaned = || asker.is_some_and(|asker| !processes::runs(root, asker));
    let is_over = |uuid| match ledger.claim(uuid, claimant) {
        Ok(Some(claim)) => life::of_claimant(root, machine.kernel, claimant, &claim).is_over(),
        Ok(None) => true,
        Err(_) => false,
    };
    let is_meant = |uuid| !is_orphaned() || is_over(uuid);
    let drop_unlocked = || {
        // Of one that is orphaned they are of no worth by themselves, and it cannot be told from what comes just now.
        if !is_orphaned() {
            drop_claims(machine, &ledger, claimant);
        }
    };
    release_those(machine, claimant, Pace::Soon, (is_meant, || true), drop_unlocked)
}

/// Drops all claims of a claimant whose locks are not to be had: that needs none, and all others see that it has ended.
fn drop_claims(machine: &Machine<'_>, ledger: &Ledger<'_>, claimant: Claimant) {
    for uuid in holdings(ledger, claimant).unwrap_or_default() {
        if ledger.record(uuid).is_ok_and(|record| record.is_none()) {
            note_guests_end(machine, ledger, uuid);
        }
        if let Err(error) = ledger.drop_claim(uuid, claimant) {
            log::error!(uuid:%; "{}", chain(&error));
        }
    }
}

/// The same for some of a claimant's devices, whose going is waited for; it keeps the others. Nothing is done where
/// `may` says so, which is asked once these are locked.
///
/// # Errors
/// All that is left of these, and why.
pub fn release_some(
    machine: &Machine<'_>,
    claimant: Claimant,
    devices: &[MdevUuid],
    may: impl FnOnce() -> bool,
) -> Result<(), Vec<ReleaseError>> {
    let is_meant = |uuid| devices.contains(&uuid);
    release_those(machine, claimant, Pace::Done, (is_meant, may), || {})
}

fn release_those(
    machine: &Machine<'_>,
    claimant: Claimant,
    pace: Pace,
    terms: (impl Fn(MdevUuid) -> bool, impl FnOnce() -> bool),
    without_locks: impl FnOnce(),
) -> Result<(), Vec<ReleaseError>> {
    let ledger = Ledger::look(&machine.root, machine.kernel);
    if !ledger.has_holdings(claimant) {
        return Ok(());
    }
    machine.kernel.ready();
    let mut is_left = false;
    let released = try_release(machine, &ledger, claimant, pace, terms, &mut is_left);
    if matches!(released, Err(ReleaseError::Lock(_))) {
        without_locks();
    }
    let errors = released.unwrap_or_else(|error| vec![error]);
    // Its locks are let go of by now.
    if is_left || errors.iter().any(ReleaseError::may_pass) {
        detached::start(machine, claimant);
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// What cannot be given back, and whether something is left to the background; an error where nothing was tried.
fn try_release(
    machine: &Machine<'_>,
    ledger: &Ledger<'_>,
    claimant: Claimant,
    pace: Pace,
    (is_meant, may): (impl Fn(MdevUuid) -> bool, impl FnOnce() -> bool),
    is_left: &mut bool,
) -> Result<Vec<ReleaseError>, ReleaseError> {
    ledger.check()?;
    let _own = ledger.lock_claimant(claimant, machine.deadline)?;
    let held = holdings(ledger, claimant)?;
    let (held, kept): (Vec<MdevUuid>, Vec<MdevUuid>) = held.into_iter().partition(|uuid| is_meant(*uuid));
    let swapped = ledger.swapped_for(&held);
    let _devices = ledger.lock_devices(held.iter().copied().chain(swapped), machine.deadline)?;
    if !may() {
        return Ok(Vec::new());
    }
    let mut errors = Vec::new();
    let begun = Instant::now();
    for uuid in held {
        let mut machine = machine.clone();
        // Their guest has ended, and their drivers have been cleaning up since then, all of them.
        machine.timeouts.gone = machine.timeouts.gone.saturating_sub(begun.elapsed());
        match give_back(&machine, ledger, claimant, uuid, pace) {
            Ok(Given::Back) => {}
            Ok(Given::Later) => *is_left = true,
            Err(error) => errors.push(error),
        }
    }
    machine.kernel.done();
    if errors.is_empty() && !*is_left {
        let noted = if kept.is_empty() {
            ledger.drop_holdings(claimant)
        } else {
            note_kept(ledger, claimant, kept)
        };
        errors.extend(noted.err().map(ReleaseError::Ledger));
    }
    Ok(errors)
}

/// A broken list stays as it is: the claims themselves tell it, too.
fn note_kept(ledger: &Ledger<'_>, claimant: Claimant, kept: Vec<MdevUuid>) -> Result<(), LedgerError> {
    match ledger.holdings(claimant) {
        Ok(Some(holdings)) => {
            let devices = kept;
            ledger.write_holdings(claimant, &Holdings { devices, ..holdings })
        }
        Ok(None) | Err(LedgerError::Broken { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The devices that a claimant may claim.
///
/// # Errors
/// They cannot be told.
pub fn holdings(ledger: &Ledger<'_>, claimant: Claimant) -> Result<Vec<MdevUuid>, LedgerError> {
    match ledger.holdings(claimant) {
        Ok(holdings) => Ok(holdings.unwrap_or_default().devices),
        // The list is only a short cut: the claims themselves tell it, too.
        Err(LedgerError::Broken { .. }) => ledger.claims_of(claimant),
        Err(error) => Err(error),
    }
}

/// What has become of a device that was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Given {
    /// There is nothing left to be done about it.
    Back,
    /// Its driver is to clean up first, which takes longer than its domain's end may: it is left to the background.
    Later,
}

/// Whether a removal that takes its time is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    /// What takes its time is left to the background.
    Soon,
    /// It is waited for: its room may be wanted at once.
    Done,
}

/// Drops one claim, and removes the device if it is ours and that was the last one. The caller holds the
/// locks of the claimant, of the device and of what made way for it.
///
/// # Errors
/// What is left, and why.
pub fn give_back(
    machine: &Machine<'_>,
    ledger: &Ledger<'_>,
    claimant: Claimant,
    uuid: MdevUuid,
    pace: Pace,
) -> Result<Given, ReleaseError> {
    ledger.drop_claim(uuid, claimant)?;
    for other in ledger.claimants_of(uuid)? {
        match ledger.claim(uuid, other)? {
            Some(claim) if life::of_claimant(&machine.root, machine.kernel, other, &claim).is_over() => {
                ledger.drop_claim(uuid, other)?;
            }
            Some(_) => return Ok(Given::Back),
            None => {}
        }
    }
    match ledger.record(uuid)? {
        Some(record) if pace == Pace::Soon && is_for_later(machine, &record) => return Ok(Given::Later),
        Some(record) => {
            swap::reserve(machine, ledger, uuid)?;
            remove::remove(machine, ledger, record)?;
        }
        None => note_guests_end(machine, ledger, uuid),
    }
    swap::put_back(machine, ledger, uuid)?;
    Ok(Given::Back)
}

/// Notes that a device which somebody else made has had its last guest, where its driver cleans up after each.
pub(super) fn note_guests_end(machine: &Machine<'_>, ledger: &Ledger<'_>, uuid: MdevUuid) {
    let active = sysfs::active(&machine.root, uuid).ok().flatten();
    if active.is_some_and(|active| goes_by_itself(&active.mdev_type)) {
        ledger.note_guests_end(&machine.root, uuid);
    }
}

fn is_for_later(machine: &Machine<'_>, record: &Record) -> bool {
    let Timeouts { gone, retry, .. } = machine.timeouts;
    let has_time = !gone.is_zero() && !retry.is_zero();
    has_time && record.goes_by_itself() && matches!(standing(&machine.root, record), Ok(Standing::Here(_)))
}
