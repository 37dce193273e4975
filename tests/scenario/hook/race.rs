//! Many calls at once.

use super::*;
use std::thread;

/// A UUID of a device that ends in this number.
fn device(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// 24 ports, 30 domains with a device of one port each: 24 start, 6 are refused, none too many is made.
#[test]
fn as_many_start_as_there_is_room_for() {
    let host = Host::new();
    host.mtty();
    let domains: Vec<Domain> = (0..30)
        .map(|number| {
            host.definition("mtty", &device(number), "mtty-1", &[("power/control", "on")]);
            Domain::new(&format!("vm{number}"), number).with(&device(number))
        })
        .collect();
    let before = host.state();
    let call = |operation: &str, end: &str| -> Vec<bool> {
        let children: Vec<_> = domains
            .iter()
            .map(|vm| host.start(&[vm.name.as_str(), operation, end, "-"], vm.xml().as_bytes()))
            .collect();
        let answers = children.into_iter().map(|child| host.finish(child));
        answers.map(host::Answer::succeeded).collect()
    };
    let started = call("prepare", "begin");
    assert_eq!(started.iter().filter(|started| **started).count(), 24);
    assert_eq!(host.devices().len(), 24);
    let records = host
        .ledger()
        .iter()
        .filter(|line| line.ends_with(" ready"))
        .count();
    assert_eq!(records, 24);
    assert!(call("release", "end").iter().all(|went_well| *went_well));
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// Starts and stops of 10 domains that share 5 devices and the room of one parent, in no order at all.
#[test]
fn starts_and_stops_at_once_leave_nothing_over() {
    const ROUNDS: u32 = 4;
    let host = Host::new();
    host.timeouts("claim = 0").mdpy_of(3).mtty();
    for number in 0..5 {
        host.definition("mdpy", &device(number), "mdpy-hd", &[("power/control", "on")]);
    }
    let before = host.state();
    let pairs = |number: u32| [device(number % 5), device((number * 2 + 1) % 5)];
    let domains: Vec<Domain> = (0..10)
        .map(|number| {
            let [first, second] = pairs(number);
            let domain = Domain::new(&format!("vm{number}"), number).with(&first);
            if second == first {
                domain
            } else {
                domain.with(&second)
            }
        })
        .collect();
    thread::scope(|scope| {
        for vm in &domains {
            let host = &host;
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let call = |operation: &str, end: &str| {
                        let arguments = [vm.name.as_str(), operation, end, "-"];
                        let output = host.start(&arguments, vm.xml().as_bytes()).wait_with_output();
                        let output = output.expect("a child can be waited for");
                        let error = String::from_utf8_lossy(&output.stderr).into_owned();
                        match output.status.code() {
                            Some(0) => assert_eq!(error, ""),
                            Some(1) => assert_eq!(error.lines().count(), 1, "{error}"),
                            _ => panic!("{output:?}"),
                        }
                        let there = host.names("sys/class/mdev_bus/mdpy");
                        let there = there.iter().filter(|name| name.starts_with("00000000-")).count();
                        assert!(there <= 3, "{there} devices");
                    };
                    call("prepare", "begin");
                    call("release", "end");
                }
            });
        }
    });
    for vm in &domains {
        host.release(vm).done();
    }
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// Who dies lets go of its locks; the others go on.
#[test]
fn calls_that_are_killed_stop_nobody() {
    // What a call that was killed claims is of no worth.
    let host = Host::without_libvirt();
    host.timeouts("claim = 0")
        .mtty()
        .definition("mtty", A, "mtty-2", &[("power/control", "on")])
        .definition("mtty", B, "mtty-1", &[]);
    host.kernel().configure(|config| config.create_delay_ms = 30);
    let before = host.state();
    let killed = Domain::new("killed", 1).with(A).with(B);
    let other = Domain::new("other", 2).with(A).with(B);
    for delay in [5, 15, 25, 40, 60] {
        let mut child = host.start(&["killed", "prepare", "begin", "-"], killed.xml().as_bytes());
        let waiting = host.start(&["other", "prepare", "begin", "-"], other.xml().as_bytes());
        thread::sleep(std::time::Duration::from_millis(delay));
        // Not while it is in the kernel, which nobody kills.
        host.kernel().configure(|_| {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        });
        host.finish(waiting).done();
        assert_eq!(host.devices().len(), 2);
        host.release(&other).done();
        host.release(&killed).done();
        before.assert_unchanged(&host.state());
        host.assert_ledger_empty();
    }
}
