//! Parents and types that come while a start waits for them.

use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Starts vm1, which wants A, and lets something happen once that is waited for.
fn start_and(host: &Host, waiting_for: &str, then: impl FnOnce()) -> crate::hook::host::Answer {
    let vm = Domain::new("vm1", 1).with(A);
    let call = host.start(&["vm1", "prepare", "begin", "-"], vm.xml().as_bytes());
    let (begun, mut log) = (Instant::now(), Vec::new());
    while log.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing is waited for");
        thread::sleep(Duration::from_millis(5));
        log = host.logged();
    }
    let expected =
        format!("vm1: waiting up to 30 s for {waiting_for}, which this host does not offer yet, for {A}");
    assert_eq!(log[0].field("MESSAGE"), expected);
    then();
    host.finish(call)
}

fn patient() -> Host {
    let host = Host::new();
    host.timeouts("parent = 30");
    host
}

#[test]
fn a_parent_that_comes_late_is_waited_for() {
    let host = patient();
    host.definition("mtty", A, "mtty-2", &[("power/control", "on")]);
    start_and(&host, "mtty-2 on mtty", || {
        host.mtty();
    })
    .done();
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
}

#[test]
fn so_is_one_whose_driver_registers_late() {
    let host = patient();
    let folder = "sys/devices/pci0000:40/0000:40:01.1/0000:41:00.0";
    host.link("sys/bus/pci/devices/0000:41:00.0", folder)
        .folder(folder)
        .definition("0000:41:00.0", A, "nvidia-222", &[]);
    start_and(&host, "nvidia-222 on 0000:41:00.0", || {
        std::fs::remove_file(host.at("sys/bus/pci/devices/0000:41:00.0")).expect("a link");
        host.nvidia("0000:41:00.0");
    })
    .done();
}

#[test]
fn any_alternative_will_do() {
    let host = patient();
    host.mtty()
        .definition("mtty", A, "mtty-9", &[])
        .definition("mdpy", A, "mdpy-hd", &[])
        .file(&format!("etc/mdevctl.d/broken/{A}"), "{");
    start_and(&host, "mdpy-hd on mdpy or mtty-9 on mtty", || {
        host.mdpy();
    })
    .done();
    assert_eq!(host.devices(), [format!("{A} mdpy-hd mdpy")]);
}

#[test]
fn nothing_is_waited_for_where_an_alternative_can_host() {
    let host = patient();
    host.mtty()
        .definition("absent", A, "x", &[])
        .definition("mtty", A, "mtty-2", &[]);
    host.prepare(&Domain::new("vm1", 1).with(A))
        .done()
        .logged(&[&format!("6 vm1: created {A} (mtty-2 on mtty)")]);
}

#[test]
fn nothing_is_waited_for_that_will_not_come() {
    let host = patient();
    host.mbochs().definition("mbochs", A, "mbochs-large", &[]);
    for number in 0..4 {
        host.active(
            "mbochs",
            "mbochs-large",
            &format!("00000000-0000-4000-8000-{number:012x}"),
        );
    }
    let begun = Instant::now();
    assert!(!host.prepare(&Domain::new("vm1", 1).with(A)).succeeded());
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn nobody_else_waits_meanwhile() {
    let host = patient();
    host.mtty()
        .definition("mdpy", A, "mdpy-hd", &[])
        .definition("mtty", B, "mtty-2", &[]);
    start_and(&host, "mdpy-hd on mdpy", || {
        let other = Domain::new("vm2", 2).with(B);
        host.prepare(&other).done();
        host.release(&other).done();
        // Not even a second start of the same domain.
        host.timeouts("parent = 0");
        assert!(!host.prepare(&Domain::new("vm1", 1).with(A)).succeeded());
        host.mdpy();
    });
    assert_eq!(host.devices(), [format!("{A} mdpy-hd mdpy")]);
}

#[test]
fn what_does_not_come_is_refused_in_time() {
    for (settings, uptime, least, most) in [
        ("parent = 1", "1000.0 1.0", 1, 10),
        ("parent = 0", "1000.0 1.0", 0, 1),
        ("parent = 0\nparent_at_boot = 2\nhook = 0.5", "60.0 1.0", 2, 12),
        ("parent = 1\nparent_at_boot = 2", "180.0 1.0", 1, 2),
        ("parent = 1\nparent_at_boot = 0", "1.0 1.0", 1, 10),
    ] {
        let host = Host::new();
        host.timeouts(settings)
            .file("proc/uptime", uptime)
            .definition("mtty", A, "mtty-2", &[]);
        let begun = Instant::now();
        host.prepare(&Domain::new("vm1", 1).with(A)).refused(&format!(
            "vm1: cannot create {A} (mtty-2 on mtty): this host has no device mtty; load its driver, or move the \
             definition to another parent"
        ));
        let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
        assert!(begun.elapsed() >= least, "{settings}: {:?}", begun.elapsed());
        assert!(begun.elapsed() < most * 2, "{settings}: {:?}", begun.elapsed());
        host.assert_ledger_empty();
    }
}

#[test]
fn at_boot_what_is_left_of_the_calls_budget_is_still_there_afterwards() {
    let host = Host::new();
    host.timeouts("hook = 1\nparent = 0\nparent_at_boot = 30")
        .file("proc/uptime", "20.0 1.0")
        .definition("mtty", A, "mtty-2", &[]);
    start_and(&host, "mtty-2 on mtty", || {
        thread::sleep(Duration::from_millis(1500));
        host.mtty();
    })
    .done();
}
