//! Migrations that fail: the domain runs on where it was, with the device that it has, and the other host is as before.

use super::side::{Side, migration, sides};
use crate::support::{A, Definition, DomainXml, Guest, WRITING_DISK, our_line, writing_disk};

/// Fills all 24 ports of a host's mtty, or empties them again.
fn fill(side: &Side) {
    side.sh("for n in $(seq 10 21); do echo ffffffff-0000-4000-8000-0000000000$n > /sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/create || exit; done");
}

fn empty(side: &Side) {
    side.sh("for file in /sys/bus/mdev/devices/ffffffff-*/remove; do echo 1 > $file; done");
}

/// A hook that is called after ours.
const FOREIGN_HOOK: &str = "/etc/libvirt/hooks/qemu.d/90-fails";

/// Whatever keeps the far host from having the device is told to whoever migrates.
#[test]
fn a_host_that_cannot_have_the_device_refuses_the_domain() {
    let (near, far) = sides();
    near.define(A, &Definition::new("mtty", "mtty-2"));
    let domain = DomainXml::new("stays").with(A).that_can_move();
    near.virsh_with("create", &domain);
    near.assert_runs(&domain, A, "mtty-2 on mtty");
    let identity = near.identity("stays", A);
    let _ = near.operations();
    let migrate = migration("--live --p2p", "stays", &far);
    let assert_stays = || {
        far.assert_clean(&[]);
        near.assert_runs(&domain, A, "mtty-2 on mtty");
        assert_eq!(near.identity("stays", A), identity);
        assert_eq!(near.operations(), Vec::<String>::new());
    };

    let complaint = near.migration_fails(&migrate);
    assert_eq!(
        our_line(&complaint),
        format!(
            "automdev: stays: cannot create {A}: this host has no definition of it; make one with automdev define --uuid UUID --parent PARENT --type TYPE"
        )
    );
    assert_stays();

    far.define(A, &Definition::new("mtty", "mtty-2"));
    fill(&far);
    let complaint = near.migration_fails(&migrate);
    empty(&far);
    let refused = format!(
        "automdev: stays: cannot create {A} (mtty-2 on mtty): no instance of mtty-2 is left on mtty ("
    );
    assert!(our_line(&complaint).starts_with(&refused), "{complaint}");
    assert_stays();

    // The driver does not take what it was there.
    far.define(A, &Definition::new("mtty", "mtty-1"));
    let _ = far.operations();
    let complaint = near.migration_fails(&migrate);
    assert!(!complaint.contains("automdev: "), "{complaint}");
    assert_stays();
    let tried = far.operations();
    assert!(tried.contains(&format!("start -: {A}")), "{tried:?}");
    assert!(tried.contains(&format!("release failed: {A}")), "{tried:?}");

    // Somebody else's hook does not want it, when ours has made the device.
    far.define(A, &Definition::new("mtty", "mtty-2"));
    far.put(
        FOREIGN_HOOK,
        "#!/bin/sh\n[ \"$2\" != start ] || { echo not today >&2; exit 1; }\n",
    );
    far.sh(&format!("chmod 0755 {FOREIGN_HOOK}"));
    let _ = far.operations();
    let complaint = near.migration_fails(&migrate);
    far.sh(&format!("rm {FOREIGN_HOOK}"));
    assert!(complaint.contains("not today"), "{complaint}");
    assert_stays();
    let tried = far.operations();
    assert!(tried.contains(&format!("start -: {A}")), "{tried:?}");
    assert!(tried.contains(&format!("release failed: {A}")), "{tried:?}");

    // A domain there has the same device.
    let other = DomainXml::new("other").with(A);
    far.virsh_with("create", &other);
    far.assert_runs(&other, A, "mtty-2 on mtty");
    let theirs = far.identity("other", A);
    let complaint = near.migration_fails(&migrate);
    assert_eq!(
        our_line(&complaint),
        format!(
            "automdev: stays: cannot use {A}: it belongs to other, which is running; stop that one first or give this domain another device"
        )
    );
    far.assert_runs(&other, A, "mtty-2 on mtty");
    assert_eq!(far.identity("other", A), theirs);
    far.sh("virsh --quiet destroy other");
    assert_stays();

    // Nothing of all that is in the way of the next try.
    near.sh(&migrate);
    far.assert_runs(&domain, A, "mtty-2 on mtty");
    near.assert_clean(&[]);
    far.sh("virsh --quiet destroy stays");
    far.assert_clean(&[]);
}

/// A domain whose migration does not end by itself, and how it is ended. It runs on where it was, and nothing is left on the
/// far host.
struct HalfWay {
    near: Side,
    far: Side,
    domain: DomainXml,
}

impl HalfWay {
    fn new() -> Self {
        let (near, far) = sides();
        let domain = DomainXml::new("busy")
            .with(A)
            .that_can_move()
            .guest(Guest::Writes);
        for side in [&near, &far] {
            side.define(A, &Definition::new("mtty", "mtty-2"));
            side.put(WRITING_DISK, writing_disk());
        }
        near.virsh_with("create", &domain);
        HalfWay { near, far, domain }
    }

    /// Half-way, this is done, and virsh fails.
    fn is_ended_by(&self, options: &str, how: &str, end: impl FnOnce(&Self)) {
        let HalfWay { near, far, domain } = self;
        // A daemon that comes back takes up each domain, and calls nothing else.
        let is_taken_up = how == NEAR_DAEMON;
        near.assert_runs(domain, A, "mtty-2 on mtty");
        let identity = near.identity(domain.name, A);
        println!("{how} ({options}):");
        let _ = (near.operations(), far.operations());
        let begun = near.begin(options, domain.name, far);
        end(self);
        begun.fails();
        far.assert_clean(&[]);
        near.assert_runs(domain, A, "mtty-2 on mtty");
        assert_eq!(near.identity(domain.name, A), identity, "{how}");
        let (here, there) = (near.operations(), far.operations());
        println!("near: {here:?}\nfar: {there:?}");
        let taken_up = vec![format!("reconnect -: {A}"); usize::from(is_taken_up)];
        assert_eq!(here, taken_up, "{how}");
        assert!(
            there.last().is_some_and(|call| call.starts_with("release ")),
            "{there:?}"
        );
    }

    fn end(self) {
        let HalfWay { near, far, .. } = self;
        near.sh("virsh --quiet destroy busy");
        near.assert_clean(&[]);
        far.assert_clean(&[]);
    }
}

const NEAR_DAEMON: &str = "the near libvirtd is restarted";

const DAEMON: &str = "systemctl restart libvirtd.service";

#[test]
fn a_domain_runs_on_where_a_migration_ends_half_way() {
    let half_way = HalfWay::new();
    half_way.is_ended_by("--p2p", "the far QEMU is killed", |on| {
        on.far.sh("kill -KILL $(cat /run/libvirt/qemu/busy.pid)");
    });
    half_way.is_ended_by("--p2p", NEAR_DAEMON, |on| {
        on.near.sh(DAEMON);
    });
    half_way.end();
}

#[test]
#[ignore = "takes minutes"]
fn a_domain_runs_on_however_a_migration_ends_half_way() {
    let half_way = HalfWay::new();
    half_way.is_ended_by("", "the far QEMU is killed", |on| {
        on.far.sh("kill -KILL $(cat /run/libvirt/qemu/busy.pid)");
    });
    half_way.is_ended_by("", NEAR_DAEMON, |on| {
        on.near.sh(DAEMON);
    });
    for options in ["", "--p2p"] {
        half_way.is_ended_by(options, "the far libvirtd is restarted", |on| {
            on.far.sh(DAEMON);
        });
        half_way.is_ended_by(options, "it is given up", |on| {
            on.near.sh("virsh --quiet domjobabort busy");
        });
    }
    // libvirt's daemons ask each other whether they are still there, and give up after half a minute without an answer.
    half_way.is_ended_by("--p2p", "the network is lost", |on| {
        on.far.goes_off(120).ends();
    });
    half_way.end();
}

/// There is nothing to run on: nothing is left anywhere.
#[test]
#[ignore = "takes a minute"]
fn a_domain_whose_qemu_dies_half_way_leaves_nothing_on_either_host() {
    let HalfWay { near, far, domain } = HalfWay::new();
    near.assert_runs(&domain, A, "mtty-2 on mtty");
    let begun = near.begin("--p2p", "busy", &far);
    near.sh("kill -KILL $(cat /run/libvirt/qemu/busy.pid)");
    begun.fails();
    near.assert_clean(&[]);
    far.assert_clean(&[]);
}
