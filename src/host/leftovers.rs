//! What a supervisor left that was killed itself, once its QEMU is gone, too.

use std::time::Duration;

use super::clock::Deadline;
use super::ledger::Ledger;
use super::machine::Machine;
use super::processes;
use super::reconcile::{self, Mode};
use super::release;
use super::sysfs;
use crate::model::claim::Claimant;
use crate::model::leftover::Leftover;
use crate::model::names::MdevUuid;

/// Gives back what processes claim that run no more, where that can be done at once: who calls this has other devices to see
/// to. What is left for another time is logged.
pub fn clear(machine: &Machine<'_>) {
    const SHORT: Duration = Duration::from_secs(1);
    let ledger = Ledger::look(&machine.root, machine.kernel);
    let mut machine = machine.clone();
    machine.timeouts.idle = machine.timeouts.idle.min(SHORT);
    for claimant in ledger.claimants().unwrap_or_default() {
        let Claimant::Process(process) = claimant else {
            continue;
        };
        if processes::runs(&machine.root, process) {
            continue;
        }
        let held = release::holdings(&ledger, claimant).unwrap_or_default();
        // Somebody sees to it already. A process that it started may live on with its devices, and would keep us waiting.
        let is_busy = ledger.lock_claimant(claimant, Deadline::now()).is_err();
        let is_kept = |uuid: &MdevUuid| ledger.is_busy(*uuid) || is_open(&machine, *uuid);
        if is_busy || held.iter().any(is_kept) || !can_be_done(&machine, claimant) {
            continue;
        }
        log::info!("{claimant} has ended without giving back its devices");
        for error in release::release(&machine, claimant).err().into_iter().flatten() {
            log::warn!("{}", release::chain(&error));
        }
    }
}

/// Whether anything of what it has left can be given back, as far as can be seen.
fn can_be_done(machine: &Machine<'_>, claimant: Claimant) -> bool {
    let is_its = |one: &Leftover| {
        let party = one.claimant.as_ref();
        party.is_some_and(|party| party.claimant == claimant)
    };
    let left = reconcile::claimant(machine, claimant, Mode::DryRun).unwrap_or_default();
    let mut own = left.iter().filter(|one| is_its(one));
    own.any(|one| one.outcome.hindrance().is_none())
}

fn is_open(machine: &Machine<'_>, uuid: MdevUuid) -> bool {
    !processes::users(&machine.root, &sysfs::nodes(&machine.root, uuid)).is_empty()
}
