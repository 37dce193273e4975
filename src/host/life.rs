//! Whether those who claim devices still use them: by their processes and libvirt's run-time files, never by
//! asking libvirt, which waits for us.

use std::io;

use super::files;
use super::kernel::Kernel;
use super::machine;
use super::processes;
use super::root::Root;
use crate::model::claim::{Claim, Claimant, Life, ProcessId, SCHEMA};
use crate::model::names::DomainUuid;

/// Where libvirt keeps the process numbers of the domains that run: `NAME.pid`.
pub const LIBVIRT_RUN: &str = "/run/libvirt/qemu";

/// How long, in seconds, a claim is believed without a process of its domain.
const PENDING: u64 = 600;

/// How long, in seconds, a claim is taken for that of a domain that is about to start: libvirt has its own work to do
/// between our `prepare` and QEMU, for a minute where storage or a network is slow. Nothing tells such a claim from one
/// of a domain that has ended already, whose `release` is still to come.
const STARTING: u64 = 60;

/// A claim that is made now, in that boot.
#[must_use]
pub fn new_claim(root: &Root, boot: String, name: &str, daemon: Option<ProcessId>) -> Claim {
    Claim {
        schema: SCHEMA,
        name: name.to_owned(),
        boot,
        time: machine::now(),
        uptime: uptime(root),
        daemon,
    }
}

fn uptime(root: &Root) -> Option<u64> {
    machine::uptime(root).map(|uptime| uptime.as_secs())
}

/// How old a claim of this boot is, in seconds. The clock may have been set since; it counts only where nothing else
/// tells.
fn age(root: &Root, claim: &Claim) -> u64 {
    match (claim.uptime, uptime(root)) {
        (Some(then), Some(now)) => now.saturating_sub(then),
        _ => machine::now().saturating_sub(claim.time),
    }
}

/// Whether a claimant still uses what it claims.
#[must_use]
pub fn of_claimant(root: &Root, kernel: &dyn Kernel, claimant: Claimant, claim: &Claim) -> Life {
    if !machine::is_this_boot(root, &claim.boot) {
        return Life::Gone;
    }
    match claimant {
        Claimant::Process(id) if processes::runs(root, id) => Life::Running,
        Claimant::Process(_) => Life::Gone,
        Claimant::Domain(uuid) if may_have_qemu(root, kernel, uuid, &claim.name) => Life::Running,
        Claimant::Domain(_) => {
            if !claim.daemon.is_some_and(|daemon| processes::runs(root, daemon)) {
                return Life::Gone;
            }
            match age(root, claim) {
                ..STARTING => Life::Starting,
                STARTING..PENDING => Life::Pending,
                PENDING.. => Life::Ended,
            }
        }
    }
}

/// A domain's QEMU, while it runs: libvirt calls it with the domain's UUID. One that cannot be asked for its arguments is
/// taken for it.
#[must_use]
pub fn qemu_of(root: &Root, kernel: &dyn Kernel, uuid: DomainUuid, name: &str) -> Option<ProcessId> {
    look_for_qemu(root, kernel, uuid, name).ok().flatten()
}

/// Whether a domain's QEMU runs, for all that can be told.
fn may_have_qemu(root: &Root, kernel: &dyn Kernel, uuid: DomainUuid, name: &str) -> bool {
    look_for_qemu(root, kernel, uuid, name).map_or(true, |qemu| qemu.is_some())
}

/// It cannot be told where the host has too many open files, say.
fn look_for_qemu(
    root: &Root,
    kernel: &dyn Kernel,
    uuid: DomainUuid,
    name: &str,
) -> io::Result<Option<ProcessId>> {
    const LARGEST: usize = 64;
    if name.contains('/') {
        return Ok(None);
    }
    let file = root.path(LIBVIRT_RUN).join(format!("{name}.pid"));
    let content = match files::read_bounded(&file, LARGEST) {
        // What has no errno is no such file of libvirt's.
        Err(error) if error.raw_os_error().is_some() => return Err(error),
        content => content.ok().flatten().unwrap_or_default(),
    };
    let Some(pid) = std::str::from_utf8(&content)
        .ok()
        .and_then(|pid| pid.trim().parse().ok())
    else {
        return Ok(None);
    };
    let process = processes::look_for(root, pid)?;
    let is_its = |_: &_| processes::may_be_called_with(root, kernel, pid, &uuid.to_string());
    Ok(process.filter(is_its).map(|process| process.id))
}
