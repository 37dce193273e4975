//! Takes back what a claimant had, from the ledger alone, and never stops half-way.

use std::error::Error;

use super::ledger::{Ledger, LedgerError, LockError};
use super::life;
use super::machine::Machine;
use super::remove::{self, RemoveError};
use crate::model::claim::{Claimant, Life};
use crate::model::names::MdevUuid;

/// Why something of a claimant's is left.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// A device is still there.
    #[error(transparent)]
    Remove(#[from] RemoveError),
    /// The ledger cannot be kept.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Somebody else is at it.
    #[error(transparent)]
    Lock(#[from] LockError),
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
/// so that its next call tries again.
///
/// # Errors
/// All that is left, and why.
pub fn release(machine: &Machine<'_>, claimant: Claimant) -> Result<(), Vec<ReleaseError>> {
    let ledger = Ledger::look(&machine.root, machine.kernel);
    if !ledger.has_holdings(claimant) {
        return Ok(());
    }
    ledger
        .check()
        .map_err(|error| vec![ReleaseError::Ledger(error)])?;
    let one = |error: LockError| vec![ReleaseError::Lock(error)];
    let _claimant = ledger.lock_claimant(claimant, machine.deadline).map_err(one)?;
    let held = holdings(&ledger, claimant).map_err(|error| vec![ReleaseError::Ledger(error)])?;
    let _devices = ledger
        .lock_devices(held.iter().copied(), machine.deadline)
        .map_err(one)?;
    let given = held
        .iter()
        .filter_map(|uuid| give_back(machine, &ledger, claimant, *uuid).err());
    let mut errors: Vec<ReleaseError> = given.collect();
    if errors.is_empty() {
        errors.extend(ledger.drop_holdings(claimant).err().map(ReleaseError::Ledger));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
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

/// Drops one claim, and removes the device if it is ours and that was the last one. The caller holds the
/// locks of the claimant and of the device.
///
/// # Errors
/// What is left, and why.
pub fn give_back(
    machine: &Machine<'_>,
    ledger: &Ledger<'_>,
    claimant: Claimant,
    uuid: MdevUuid,
) -> Result<(), ReleaseError> {
    ledger.drop_claim(uuid, claimant)?;
    for other in ledger.claimants_of(uuid)? {
        match ledger.claim(uuid, other)? {
            Some(claim) if life::of_claimant(&machine.root, other, &claim) == Life::Gone => {
                ledger.drop_claim(uuid, other)?;
            }
            Some(_) => return Ok(()),
            None => {}
        }
    }
    match ledger.record(uuid)? {
        Some(record) => Ok(remove::remove(machine, ledger, record)?),
        None => Ok(()),
    }
}
