//! The devices that are fought for, and the host on which they are defined.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{Definition, DomainXml, Host};

/// A device, as it is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) uuid: &'static str,
    pub(super) parent: &'static str,
    pub(super) mdev_type: &'static str,
}

const fn device(uuid: &'static str, parent: &'static str, mdev_type: &'static str) -> Device {
    Device {
        uuid,
        parent,
        mdev_type,
    }
}

/// One for each domain.
pub(super) const OWN: [Device; 3] = [
    device("0a000000-0000-4000-8000-000000000001", "mtty", "mtty-1"),
    device("0a000000-0000-4000-8000-000000000002", "mdpy", "mdpy-vga"),
    device("0a000000-0000-4000-8000-000000000003", "mbochs", "mbochs-large"),
];

/// All domains and wrappers want them.
pub(super) const SHARED: [Device; 2] = [
    device("0b000000-0000-4000-8000-000000000001", "mtty", "mtty-2"),
    device("0b000000-0000-4000-8000-000000000002", "mdpy", "mdpy-hd"),
];

/// One for each wrapper.
pub(super) const WRAPPED: [Device; 2] = [
    device("0c000000-0000-4000-8000-000000000001", "mtty", "mtty-1"),
    device("0c000000-0000-4000-8000-000000000002", "mdpy", "mdpy-xga"),
];

/// Domains want them, and people make them by hand.
pub(super) const BY_HAND: [Device; 2] = [
    device("0d000000-0000-4000-8000-000000000001", "mtty", "mtty-1"),
    device("0d000000-0000-4000-8000-000000000002", "mtty", "mtty-2"),
];

/// One of the pool's for each domain.
pub(super) const POOLED: [Device; 3] = [
    device("0e000000-0000-4000-8000-000000000001", "mdpy", "mdpy-vga"),
    device("0e000000-0000-4000-8000-000000000002", "mdpy", "mdpy-vga"),
    device("0e000000-0000-4000-8000-000000000003", "mdpy", "mdpy-vga"),
];

pub(super) const POOL: &str = "fought-for";

/// So many of the pool may be there at a time.
pub(super) const POOLS_LIMIT: usize = 2;

/// What each parent has to give, and what one device of a type takes of that.
pub(super) fn room(parent: &str) -> u32 {
    match parent {
        "mtty" => 24,
        "mdpy" => 4,
        _ => 256,
    }
}

pub(super) fn share(mdev_type: &str) -> u32 {
    match mdev_type {
        "mtty-2" => 2,
        "mbochs-small" => 4,
        "mbochs-medium" => 16,
        "mbochs-large" => 64,
        _ => 1,
    }
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = Device> {
    let defined = [&OWN[..], &SHARED, &WRAPPED, &BY_HAND];
    defined.into_iter().flatten().chain(&POOLED).copied()
}

/// The attribute of those that have one.
pub(super) const ATTRIBUTE: (&str, &str) = ("power/control", "on");

/// A stand-in for libvirt's daemon that ends with each of its calls.
pub(super) const SHORT_LIVED_DAEMON: &str = "/tmp/races/libvirtd";

/// A stand-in for QEMU that opens its device.
pub(super) const OPENS: &str = "/tmp/races/opens";

/// One that only claims it.
pub(super) const WAITS: &str = "/tmp/races/waits";

/// The host, with all that is defined.
pub(super) fn set_up() -> Host {
    let host = Host::without_libvirt();
    // What is tried is whether all stays right, not how long one waits on a slow host.
    host.settings(
        "[timeouts]\nhook = 120\nwrite = 60\nnode = 60\nidle = 2\nclaim = 1\nretry = 5\nparent = 0\nparent_at_boot = 0\n",
    );
    for device in [&OWN[..], &SHARED, &WRAPPED, &BY_HAND].into_iter().flatten() {
        let attributes: &[(&str, &str)] = if OWN.contains(device) { &[ATTRIBUTE] } else { &[] };
        let definition = Definition {
            parent: device.parent,
            mdev_type: device.mdev_type,
            attributes,
        };
        host.define(device.uuid, &definition);
    }
    host.pool(
        POOL,
        &format!("[[member]]\ntype = 'mdpy-vga'\nlimit = {POOLS_LIMIT}\n"),
    );
    drop(fs::remove_dir_all("/tmp/races"));
    fs::create_dir_all("/tmp/races").expect("a folder");
    fs::create_dir_all("/run/libvirt/qemu").expect("a folder");
    fs::copy("/bin/sh", SHORT_LIVED_DAEMON).expect("a copy");
    script(
        OPENS,
        "#!/bin/sh\ngroup=$(readlink \"${2#*sysfsdev=}/iommu_group\")\nexec 9<>/dev/vfio/${group##*/}\necho $$\nread line\nexit 0\n",
    );
    script(WAITS, "#!/bin/sh\necho $$\nread line\nexit 0\n");
    host
}

fn script(path: &str, text: &str) {
    fs::write(path, text).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
}

/// A domain that wants these.
pub(super) fn domain(name: &'static str, wanted: &[Device]) -> DomainXml {
    let domain = DomainXml::new(name);
    wanted.iter().fold(domain, |domain, device| {
        if POOLED.contains(device) {
            domain.of_pool(device.uuid, POOL)
        } else {
            domain.with(device.uuid)
        }
    })
}
