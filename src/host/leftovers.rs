//! What a supervisor left that was killed itself, once its QEMU is gone, too.

use super::ledger::Ledger;
use super::machine::Machine;
use super::processes;
use super::release;
use super::sysfs;
use crate::model::claim::Claimant;
use crate::model::names::MdevUuid;

/// Gives back what processes claim that run no more. What is left for another time is logged.
pub fn clear(machine: &Machine<'_>) {
    let ledger = Ledger::look(&machine.root, machine.kernel);
    for claimant in ledger.claimants().unwrap_or_default() {
        let Claimant::Process(process) = claimant else {
            continue;
        };
        if processes::runs(&machine.root, process) {
            continue;
        }
        let held = release::holdings(&ledger, claimant).unwrap_or_default();
        // A process that it started may live on with its devices, and would keep us waiting.
        if held.iter().any(|uuid| is_open(machine, *uuid)) {
            continue;
        }
        log::info!("{claimant} has ended without giving back its devices");
        for error in release::release(machine, claimant).err().into_iter().flatten() {
            log::warn!("{}", release::chain(&error));
        }
    }
}

fn is_open(machine: &Machine<'_>, uuid: MdevUuid) -> bool {
    !processes::users(&machine.root, &sysfs::nodes(&machine.root, uuid)).is_empty()
}
