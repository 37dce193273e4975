//! The whole program as libvirt's hook, over a host in a folder: all that its caller, the journal's reader and
//! whoever looks at the host afterwards see.

pub(crate) mod domain;
pub(crate) mod host;

mod again;
mod attributes;
mod broken;
pub(crate) mod crash;
mod create;
mod faults;
mod input;
mod late;
mod later;
mod race;
mod random;
mod refusals;
mod rights;
mod several;
mod sharing;
mod stuck;
mod unmarked;
mod users;

use std::fs;

use domain::Domain;
use host::Host;

use crate::support::FaultKind;

/// Devices.
const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b";
const C: &str = "e8a4d1f0-3c55-4a0e-a2b1-5f2d7c9b0e13";

/// Lets somebody whom only the kernel sees have an active device open: a removal begins and comes to no end.
pub(crate) fn hold(host: &Host, uuid: &str) {
    let group = host.group(uuid).expect("the device is active");
    host.link_text("proc/hidden/fd/0", &format!("/dev/vfio/{group}"));
}

/// Ends what [`hold`] began.
pub(crate) fn let_go(host: &Host) {
    fs::remove_dir_all(host.at("proc/hidden")).expect("somebody holds a device");
    host.kernel().settle();
}
