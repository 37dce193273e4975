//! Devices that are in use when they should go, and drivers that do not answer.

use super::*;
use std::time::{Duration, Instant};

const TIMEOUTS: &str = "idle = 0.2\nclaim = 0.2\nwrite = 0.2\nnode = 0.2\nhook = 5\nretry = 0";

fn a_host() -> (Host, Domain) {
    let host = Host::new();
    host.timeouts(TIMEOUTS)
        .mtty()
        .definition("mtty", A, "mtty-2", &[])
        .process(4711, "qemu-system-x86", &["qemu-system-x86_64"], 9);
    (host, Domain::new("vm1", 1).with(A))
}

/// A release ends in time, says who has the device, writes nothing into `remove` and keeps the record.
#[track_caller]
fn release_in_vain(host: &Host, vm: &Domain) {
    let began = Instant::now();
    let (state, writes) = (host.state(), host.writes());
    let line = format!("{A} on mtty is in use by qemu-system-x86 (4711); it is removed when that has ended");
    host.release(vm).refused(&format!("vm1: {line}"));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    state.assert_unchanged(&host.state());
    assert_eq!(host.writes(), writes, "a device in use was written to");
    assert_eq!(
        host.ledger(),
        [
            format!("claimants/{} vm1 {A}", vm.claimant()),
            format!("devices/{A} ready"),
        ]
    );
}

#[test]
fn a_device_in_use_is_left_until_the_next_release() {
    let (host, vm) = a_host();
    let before = host.state();
    host.prepare(&vm).done();
    host.open_device(4711, A);
    release_in_vain(&host, &vm);
    release_in_vain(&host, &vm);
    host.close_devices(4711);
    host.release(&vm).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// What the kernel counts of VFIO's module.
fn count_uses(host: &Host, count: &str, holders: &[&str]) {
    host.file("sys/module/vfio/refcnt", &format!("{count}\n"));
    for holder in holders {
        host.folder(&format!("sys/module/vfio/holders/{holder}"));
    }
}

#[test]
fn a_user_is_looked_for_where_the_module_has_more_uses_than_those_of_modules() {
    let (host, vm) = a_host();
    host.prepare(&vm).done();
    host.open_device(4711, A);
    for count in ["6", "7", "3", "none"] {
        count_uses(
            &host,
            count,
            &["mdev", "mtty", "vfio_iommu_type1", "vfio_pci_core"],
        );
        release_in_vain(&host, &vm);
    }
}

#[test]
fn nobody_is_looked_for_where_only_modules_and_vfios_file_system_use_vfio() {
    for count in ["2", "3"] {
        let (host, vm) = a_host();
        host.prepare(&vm).done();
        // No kernel tells both: it shows whom automdev asks.
        host.open_device(4711, A);
        count_uses(&host, count, &["mdev", "mtty"]);
        let line = format!("cannot remove {A} on mtty: the driver did not answer in time");
        host.release(&vm).refused(&format!("vm1: {line}"));
    }
}

#[test]
fn a_device_in_use_is_kept_by_the_next_prepare() {
    let (host, vm) = a_host();
    host.prepare(&vm).done();
    host.open_device(4711, A);
    release_in_vain(&host, &vm);
    host.close_devices(4711);
    host.prepare(&vm).done();
    host.release(&vm).done();
    assert!(host.devices().is_empty());
    host.assert_ledger_empty();
}

#[test]
fn a_device_that_becomes_idle_in_time_is_removed() {
    let (host, vm) = a_host();
    host.timeouts("idle = 10\nretry = 0");
    host.prepare(&vm).done();
    host.open_device(4711, A);
    let child = host.start(&["vm1", "release", "end", "-"], vm.xml().as_bytes());
    std::thread::sleep(Duration::from_millis(100));
    host.close_devices(4711);
    host.finish(child).done();
    assert!(host.devices().is_empty());
    host.assert_ledger_empty();
}

/// Whoever came while the parent was waited for is seen.
#[test]
fn a_device_that_is_taken_into_use_while_its_parent_is_locked() {
    let (host, vm) = a_host();
    host.prepare(&vm).done();
    let lock = host.lock("parent-mtty");
    let child = host.start(&["vm1", "release", "end", "-"], vm.xml().as_bytes());
    std::thread::sleep(Duration::from_millis(300));
    host.open_device(4711, A);
    let writes = host.writes();
    drop(lock);
    let line = format!("{A} on mtty is in use by qemu-system-x86 (4711); it is removed when that has ended");
    host.finish(child).refused(&format!("vm1: {line}"));
    assert_eq!(host.writes(), writes, "a device in use was written to");
}

/// One that a start does not want any more and cannot give back either keeps its trace.
#[test]
fn a_device_in_use_that_is_not_wanted_any_more_is_given_back_later() {
    let (host, vm) = a_host();
    host.mdpy().definition("mdpy", B, "mdpy-hd", &[]);
    host.prepare(&vm).done();
    host.open_device(4711, A);
    let other_set = Domain::new("vm1", 1).with(B);
    host.prepare(&other_set).done();
    assert_eq!(
        host.ledger(),
        [
            format!("claimants/{} vm1 {A} {B}", vm.claimant()),
            format!("claims/{B}/{}", vm.claimant()),
            format!("devices/{A} ready"),
            format!("devices/{B} ready"),
        ]
    );
    host.close_devices(4711);
    host.release(&other_set).done();
    assert!(host.devices().is_empty());
    host.assert_ledger_empty();
}

#[test]
fn a_removal_that_comes_to_no_end_is_waited_for_by_the_next_start() {
    let (host, vm) = a_host();
    let before = host.state();
    host.prepare(&vm).done();
    hold(&host, A);
    host.release(&vm).refused(&format!(
        "vm1: cannot remove {A} on mtty: the driver did not answer in time"
    ));
    assert!(host.devices().is_empty() && host.is_below("mtty", A));
    host.timeouts(&TIMEOUTS.replace("claim = 0.2", "claim = 4"));
    let child = host.start(&["vm1", "prepare", "begin", "-"], vm.xml().as_bytes());
    std::thread::sleep(Duration::from_millis(150));
    let_go(&host);
    host.finish(child).done();
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    host.release(&vm).done();
    host.timeouts(TIMEOUTS);
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

#[test]
fn a_removal_that_ended_late_leaves_no_record_behind_the_next_release() {
    let (host, vm) = a_host();
    host.prepare(&vm).done();
    hold(&host, A);
    assert!(!host.release(&vm).succeeded());
    // While it lasts, a release says so and does not write again.
    let writes = host.writes();
    let began = Instant::now();
    assert!(!host.release(&vm).succeeded());
    assert!(began.elapsed() < Duration::from_secs(4));
    assert_eq!(
        host.writes().iter().filter(|line| line.ends_with("done")).count(),
        writes.iter().filter(|line| line.ends_with("done")).count()
    );
    assert!(host.ledger().contains(&format!("devices/{A} removing")));
    let_go(&host);
    host.release(&vm).done();
    host.assert_ledger_empty();
}

/// The driver sits on `create` past its deadline, and comes to it later.
#[test]
fn a_creation_that_was_given_up_on_keeps_its_record() {
    let (host, vm) = a_host();
    let before = host.state();
    host.kernel()
        .configure(|config| config.blocked.push("mtty-2/create".to_owned()));
    let began = Instant::now();
    let line = format!(
        "vm1: cannot create {A} (mtty-2 on mtty): the driver of mtty: the driver did not answer in time; look at the \
         kernel's log (dmesg)"
    );
    host.prepare(&vm).refused(&line);
    assert!(began.elapsed() < Duration::from_secs(4));
    let in_flight = [
        format!("claimants/{} vm1 {A}", vm.claimant()),
        format!("devices/{A} creating"),
    ];
    assert_eq!(host.ledger(), in_flight);
    // While it lasts, nobody forgets it, nor makes it a second time.
    host.release(&vm).refused(&format!(
        "vm1: {A} on mtty is still being made by its driver, for a start that was given up; it is removed once it is there"
    ));
    assert_eq!(host.ledger(), in_flight);
    let line = format!(
        "kept {A} (mtty-2 on mtty): vm1 is gone, but its driver is still making it; it is removed once it is there"
    );
    host.reconcile(&[]).printed(1, &[&line]);
    for domain in [&vm, &Domain::new("other", 2).with(A)] {
        host.prepare(domain).refused(&format!(
            "{}: cannot create {A}: the driver of mtty is still making it, for a start that was given up; try again, or \
             look at the kernel's log (dmesg)",
            domain.name
        ));
        assert_eq!(host.ledger(), in_flight);
    }
    let tried = host.writes();
    assert_eq!(tried.len(), 1, "{tried:?}");
    host.kernel().unblock();
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    assert!(
        host.ledger().contains(&format!("devices/{A} creating")),
        "a device without a trace"
    );
    // It is half made, for all that anybody knows.
    host.prepare(&vm).done().logged(&[
        &format!("4 vm1: {A} is there half made, or not as defined any more; it is made anew"),
        &format!("6 vm1: removed {A} (mtty-2 on mtty)"),
        &format!("6 vm1: created {A} (mtty-2 on mtty)"),
    ]);
    host.release(&vm).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// As above, and nobody asks for it any more: it goes as soon as it has come.
#[test]
fn a_creation_that_was_given_up_on_is_given_back_when_it_comes() {
    let (host, vm) = a_host();
    let before = host.state();
    host.kernel()
        .configure(|config| config.blocked.push("mtty-2/create".to_owned()));
    assert!(!host.prepare(&vm).succeeded());
    assert!(!host.release(&vm).succeeded());
    host.kernel().unblock();
    host.timeouts("idle = 20\nretry = 0");
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    let line = format!("removed {A} (mtty-2 on mtty): vm1 is gone, and it is half made");
    host.reconcile(&[]).printed(0, &[&line]);
    host.timeouts(TIMEOUTS);
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

#[test]
fn a_creation_that_comes_in_time_is_waited_for() {
    let (host, vm) = a_host();
    host.kernel()
        .configure(|config| config.blocked.push("mtty-2/create".to_owned()));
    assert!(!host.prepare(&vm).succeeded());
    host.timeouts("idle = 20\nclaim = 20\nretry = 0");
    for (operation, sub_operation) in [("prepare", "begin"), ("release", "end")] {
        let arguments = ["vm1", operation, sub_operation, "-"];
        let child = host.start(&arguments, vm.xml().as_bytes());
        std::thread::sleep(Duration::from_millis(100));
        host.kernel().unblock();
        host.finish(child).done();
        let there = host.devices().len();
        assert_eq!(there, usize::from(operation == "prepare"), "{operation}");
    }
    host.assert_ledger_empty();
}

#[test]
fn an_attribute_that_the_driver_sits_on_ends_in_time() {
    let (host, vm) = a_host();
    host.definition("mtty", A, "mtty-2", &[("power/control", "on")]);
    host.kernel()
        .configure(|config| config.blocked.push("power/control".to_owned()));
    let before = host.state();
    host.prepare(&vm).refused(&format!(
        "vm1: cannot create {A} (mtty-2 on mtty): its attribute power/control does not take \"on\": the driver did not \
         answer in time; correct the definition"
    ));
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

#[test]
fn a_lock_that_is_not_let_go_of_is_told() {
    let (host, vm) = a_host();
    host.timeouts("hook = 0.2\nretry = 0");
    host.prepare(&vm).done();
    host.release(&vm).done();
    let held = host.lock(&format!("device-{A}"));
    let state = host.state();
    host.prepare(&vm).refused(&format!(
        "vm1: another automdev call has been at work on device-{A} for too long; try again, or look for it with ps"
    ));
    state.assert_unchanged(&host.state());
    host.assert_ledger_empty();
    drop(held);
    host.timeouts("hook = 5\nretry = 0");
    host.prepare(&vm).done();
}

/// A driver may sit on what is only asked of it, too.
#[test]
fn a_driver_that_does_not_say_what_it_has_left() {
    let (host, vm) = a_host();
    host.kernel()
        .configure(|config| config.blocked.push("mtty-2/available_instances".to_owned()));
    let before = host.state();
    host.prepare(&vm).refused(&format!(
        "vm1: cannot create {A} (mtty-2 on mtty): the driver of mtty does not say in time what it has left; look at the \
         kernel's log (dmesg), or move this definition to another parent"
    ));
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
    // Another one of its definitions does as well.
    host.mdpy().definition("mdpy", A, "mdpy-hd", &[]);
    host.definition("mtty", A, "mtty-2", &[]);
    fs::rename(host.at("etc/mdevctl.d/mdpy"), host.at("etc/mdevctl.d/zdpy")).expect("a folder");
    assert!(!host.prepare(&vm).succeeded());
    fs::rename(host.at("etc/mdevctl.d/zdpy"), host.at("etc/mdevctl.d/mdpy")).expect("a folder");
    host.prepare(&vm).done();
    assert_eq!(host.devices(), [format!("{A} mdpy-hd mdpy")]);
    host.release(&vm).done();
    host.assert_ledger_empty();
}

/// What goes away while it is looked at is not there; what is there and says nothing is told as that.
#[test]
fn a_type_whose_interface_is_not_told() {
    let (host, vm) = a_host();
    let device_api = host.at("sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/device_api");
    fs::remove_file(device_api).expect("it is there");
    let reason = "sysfs does not say how a guest sees mtty-2 on mtty; is its driver being unloaded? try again, or look at \
                  the kernel's log (dmesg)";
    host.prepare(&vm)
        .refused(&format!("vm1: cannot create {A} (mtty-2 on mtty): {reason}"));
    host.active("mtty", "mtty-2", A);
    host.prepare(&vm)
        .refused(&format!("vm1: cannot create {A}: {reason}"));
    // Half way gone: without its type, then without its parent.
    fs::remove_file(host.at(format!("sys/bus/mdev/devices/{A}/mdev_type"))).expect("a link");
    assert!(!host.prepare(&vm).succeeded());
    host.assert_ledger_empty();
}

/// Its time is over before its parent is free: it is done once it is.
#[test]
fn a_release_that_does_not_get_its_locks_is_finished_in_the_background() {
    let (host, vm) = a_host();
    host.timeouts("hook = 0.4\nretry = 20");
    host.prepare(&vm).done();
    let held = host.lock("parent-mtty");
    host.release(&vm).refused(
        "vm1: another automdev call has been at work on parent-mtty for too long; try again, or look for it with ps",
    );
    drop(held);
    let begun = Instant::now();
    while !host.devices().is_empty() || !host.ledger().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", host.ledger());
        std::thread::sleep(Duration::from_millis(20));
    }
}
