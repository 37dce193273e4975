//! Whether those who claim devices still use them: by their processes and libvirt's run-time files, never by
//! asking libvirt, which waits for us.

use std::fs;

use super::machine;
use super::processes;
use super::root::Root;
use crate::model::claim::{Claim, Claimant, Life};
use crate::model::names::DomainUuid;

/// Where libvirt keeps the process numbers of the domains that run: `NAME.pid`.
pub const LIBVIRT_RUN: &str = "/run/libvirt/qemu";

/// How long, in seconds, a claim is believed without a process of its domain.
const PENDING: u64 = 600;

/// Whether a claimant still uses what it claims.
#[must_use]
pub fn of_claimant(root: &Root, claimant: Claimant, claim: &Claim) -> Life {
    if claim.boot != machine::boot_id(root) {
        return Life::Gone;
    }
    match claimant {
        Claimant::Process(id) if processes::runs(root, id) => Life::Running,
        Claimant::Process(_) => Life::Gone,
        Claimant::Domain(uuid) if is_running(root, uuid, &claim.name) => Life::Running,
        Claimant::Domain(_) => {
            let is_fresh = machine::now().saturating_sub(claim.time) < PENDING;
            let has_daemon = claim.daemon.is_some_and(|daemon| processes::runs(root, daemon));
            if is_fresh && has_daemon {
                Life::Pending
            } else {
                Life::Gone
            }
        }
    }
}

/// Whether a domain's QEMU runs: libvirt calls it with the domain's UUID.
fn is_running(root: &Root, uuid: DomainUuid, name: &str) -> bool {
    if name.contains('/') {
        return false;
    }
    let pid = fs::read_to_string(root.path(LIBVIRT_RUN).join(format!("{name}.pid"))).ok();
    let Some(pid) = pid.and_then(|pid| pid.trim().parse().ok()) else {
        return false;
    };
    processes::find(root, pid).is_some() && processes::is_called_with(root, pid, &uuid.to_string())
}
