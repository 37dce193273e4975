//! Devices that are as they should be, and that somebody has open whom nobody knows of.

use super::*;
use std::time::Duration;

fn defined(timeouts: &str) -> (Host, Domain) {
    let host = Host::new();
    host.timeouts(timeouts)
        .mtty()
        .definition("mtty", A, "mtty-2", &[]);
    (host, Domain::new("vm1", 1).with(A))
}

/// A QEMU that does not end, in which a device is open.
fn stuck(host: &Host) {
    host.process(4711, "qemu-system-x86", &["qemu-system-x86_64"], 9)
        .open_device(4711, A);
}

fn refusal(domain: &str) -> String {
    format!(
        "{domain}: cannot use {A}: it is in use by qemu-system-x86 (4711); end that first, or give this domain another device"
    )
}

/// A domain whose QEMU hangs has been given up, and starts again, or another one does.
#[test]
fn one_that_was_left_is_not_given_to_the_next() {
    let (host, vm) = defined("claim = 0.2\nidle = 0.2\nretry = 0");
    let before = host.state();
    host.prepare(&vm).done();
    stuck(&host);
    assert!(!host.release(&vm).succeeded());
    let (state, ledger) = (host.state(), host.ledger());
    for domain in [vm.clone(), Domain::new("vm2", 2).with(A)] {
        host.prepare(&domain).refused(&refusal(&domain.name));
        state.assert_unchanged(&host.state());
        assert_eq!(host.ledger(), ledger);
    }
    host.kill(4711);
    host.prepare(&vm).done();
    host.release(&vm).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// One that would be made anew in any case, as its driver has to clean up.
#[test]
fn one_of_nvidias_that_was_left_is_not_called_half_made() {
    let (host, vm) = defined("claim = 0.2\nidle = 0.2\ngone = 0.2\nretry = 0");
    let gpu = "0000:41:00.0";
    fs::remove_dir_all(host.at("etc/mdevctl.d")).expect("definitions");
    host.nvidia(gpu).definition(gpu, A, "nvidia-222", &[]);
    host.prepare(&vm).done();
    stuck(&host);
    assert!(!host.release(&vm).succeeded());
    let next = Domain::new("vm2", 2).with(A);
    host.prepare(&next).refused(&refusal("vm2"));
    host.kill(4711);
    host.prepare(&next).done();
}

/// One that somebody else made, and uses.
#[test]
fn one_of_somebody_elses_is_not_adopted() {
    let (host, vm) = defined("claim = 0.2");
    host.active("mtty", "mtty-2", A);
    stuck(&host);
    let before = host.state();
    host.prepare(&vm).refused(&refusal("vm1"));
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
    host.kill(4711);
    host.prepare(&vm).done();
    // It is not looked for what the domain itself has.
    host.domain("vm1", &vm.uuid, 4000).open_device(4000, A);
    host.prepare(&vm).done();
}

#[test]
fn who_uses_it_is_waited_for() {
    let (host, vm) = defined("claim = 60\nhook = 60");
    host.active("mtty", "mtty-2", A);
    stuck(&host);
    let call = host.start(&["vm1", "prepare", "begin", "-"], vm.xml().as_bytes());
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(host.ledger(), Vec::<String>::new());
    host.kill(4711);
    let answer = host.finish(call).done();
    let waited = format!("waiting until nobody uses {A}");
    assert!(
        answer
            .log
            .iter()
            .any(|message| message.field("MESSAGE").ends_with(&waited)),
        "{answer:?}"
    );
}
