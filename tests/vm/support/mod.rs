//! What the tests on a real host stand on: its sysfs, its libvirt, its mdevctl store, all of them real.

mod domain;
pub(crate) mod files;
mod hook;
mod left;
pub(crate) mod libvirt;
pub(crate) mod strace;
pub(crate) mod vfio;

pub(crate) use domain::{
    DomainXml, Guest, IDLE_FIRMWARE, WRITING_DISK, empty_qcow2, idle_firmware, writing_disk,
};
pub(crate) use files::{Definition, Host, Install};
pub(crate) use hook::{Called, call, hook, hook_as, reconcile, sweep};
pub(crate) use left::{Left, open_files};
pub(crate) use libvirt::{Virsh, our_line, virsh, virsh_fails};

use std::time::{Duration, Instant};

/// UUIDs that stand apart at a glance.
pub(crate) const A: &str = "aaaaaaaa-0000-4000-8000-000000000001";
pub(crate) const B: &str = "bbbbbbbb-0000-4000-8000-000000000002";
pub(crate) const C: &str = "cccccccc-0000-4000-8000-000000000003";

/// Looks until it is so; panics after a minute, which is long on these slow machines, too.
#[track_caller]
pub(crate) fn eventually(what: &str, is_so: impl FnMut() -> bool) {
    within(Duration::from_secs(60), what, is_so);
}

/// The same with another limit.
#[track_caller]
pub(crate) fn within(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
