//! Lets a further process claim devices that are claimed already: the claims of a QEMU that goes into the
//! background are never without a living process.

use super::ledger::{self, Ledger};
use super::life;
use super::machine::Machine;
use super::release::ReleaseError;
use crate::model::claim::{Claimant, Holdings, SCHEMA};
use crate::model::names::MdevUuid;

/// Writes the claims of one more claimant.
///
/// # Errors
/// They cannot be written, or somebody else is at it.
pub fn share(
    machine: &Machine<'_>,
    devices: &[MdevUuid],
    claimant: Claimant,
    name: &str,
) -> Result<(), ReleaseError> {
    let ledger = Ledger::look(&machine.root, machine.kernel);
    let _claimant = ledger.lock_claimant(claimant, machine.deadline)?;
    let _devices = ledger.lock_devices(devices.iter().copied(), machine.deadline)?;
    let boot = ledger::boot(&machine.root)?;
    let holdings = Holdings {
        schema: SCHEMA,
        name: name.to_owned(),
        devices: devices.to_vec(),
    };
    ledger.write_holdings(claimant, &holdings)?;
    let claim = life::new_claim(&machine.root, boot, name, None);
    for uuid in devices {
        ledger.write_claim(*uuid, claimant, &claim)?;
    }
    Ok(())
}
