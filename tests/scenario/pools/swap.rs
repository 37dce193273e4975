//! Devices that were made beforehand: taken away for a domain's own, and put back.

use super::*;
use crate::run::host::eventually;
use crate::support::Snapshot;
use std::time::{Duration, Instant};

const IDLE: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
const OTHER: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1002";

/// One full parent, whose devices are there and idle.
fn host() -> Host {
    let host = Host::new();
    host.timeouts("claim = 0\nparent = 0");
    host.ports("a", 2);
    for uuid in [IDLE, OTHER] {
        host.definition("a", uuid, "mtty-1", &[("power/control", "on")])
            .active("a", "mtty-1", uuid);
        let control = format!("sys/bus/mdev/devices/{uuid}/power/control");
        host.file(&control, "on\n");
    }
    host.pool("p", &pool("replace = true"));
    host
}

fn pool(more: &str) -> String {
    [IDLE, OTHER]
        .map(|uuid| format!("[[member]]\ndevice = '{uuid}'\n{more}\n"))
        .concat()
}

fn place(uuid: &str) -> String {
    format!("{uuid} mtty-1 a")
}

#[test]
fn one_makes_way_and_comes_back() {
    let host = host();
    let before = host.state();
    host.kernel().reset();
    host.prepare(&vm(1, &["p"])).done().logged(&[
        &format!("6 vm1: removed {IDLE} (mtty-1 on a)"),
        &format!("6 vm1: created {} (mtty-1 on a)", device(16)),
    ]);
    assert_eq!(host.devices(), [place(OTHER), place(&device(16))]);
    let uuid = device(16);
    assert_eq!(
        host.writes(),
        [
            format!("a/{IDLE}/remove \"1\": done"),
            format!("a/mdev_supported_types/mtty-1/create {uuid:?}: done"),
            format!("a/{uuid}/power/control \"on\": done"),
        ]
    );
    // Again: nothing is done.
    host.kernel().reset();
    host.prepare(&vm(1, &["p"])).done();
    assert_eq!(host.writes(), Vec::<String>::new());
    assert_eq!(start(&host, 2, &["p"]), ["mtty-1 a"]);
    host.prepare(&vm(3, &["p"])).refused(&format!(
        "vm3: cannot create {}: pool p has no place for it: device {IDLE} (in use by {}, made in its place), device \
         {OTHER} (in use by {}, made in its place); stop a domain that uses the pool (automdev pools p lists them), or \
         give it another member",
        device(48),
        device(16),
        device(32)
    ));
    host.release(&vm(1, &["p"])).done().logged(&[
        &format!("6 vm1: removed {} (mtty-1 on a)", device(16)),
        &format!("6 vm1: created {IDLE} (mtty-1 on a)"),
        &format!(
            "6 vm1: put {IDLE} back (mtty-1 on a), which had made way for {}",
            device(16)
        ),
    ]);
    host.release(&vm(2, &["p"])).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
    assert_eq!(host.names("run/automdev/swaps"), Vec::<String>::new());
}

#[test]
fn both_of_one_domain() {
    let host = host();
    let before = host.state();
    assert_eq!(start(&host, 1, &["p", "p"]), ["mtty-1 a", "mtty-1 a"]);
    assert_eq!(host.devices(), [place(&device(16)), place(&device(17))]);
    host.release(&vm(1, &["p", "p"])).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// Without the administrator's word, what somebody else made is not touched.
#[test]
fn without_replace_nothing_is_taken_away() {
    let host = host();
    host.pool("p", &pool(""));
    let before = host.state();
    host.prepare(&vm(1, &["p"])).refused(&format!(
        "vm1: cannot create {}: pool p has no place for it: device {IDLE} (idle, but not to be replaced: let automdev \
         run or automdev rewrite --pick use {IDLE} itself, or give this member replace = true), device {OTHER} (idle, \
         but not to be replaced: let automdev run or automdev rewrite --pick use {OTHER} itself, or give this member \
         replace = true); give it a member that can be had here (/etc/automdev/pools.d/p.toml)",
        device(16)
    ));
    before.assert_unchanged(&host.state());
}

/// Only an idle device, as its definition has it, makes way.
#[test]
fn one_that_is_used_stays() {
    let host = host();
    host.process(700, "qemu-system-x86", &["qemu"], 9)
        .open_device(700, IDLE);
    host.prepare(&Domain::new("plain", 9).with(OTHER)).done();
    let before = host.state();
    let answer = host.prepare(&vm(1, &["p"]));
    assert!(
        answer.stderr.contains("in use by qemu-system-x86 (700)"),
        "{}",
        answer.stderr
    );
    // Its libvirt, which is this very process, has not said that it has ended.
    assert!(
        answer
            .stderr
            .contains(&format!("device {OTHER} (in use by plain)")),
        "{}",
        answer.stderr
    );
    assert!(!answer.succeeded());
    before.assert_unchanged(&host.state());
    host.release(&Domain::new("plain", 9).with(OTHER)).done();
    host.file(&format!("etc/mdevctl.d/a/{OTHER}"), "{\"mdev_type\":\"mtty-2\"}");
    let answer = host.prepare(&vm(1, &["p"]));
    assert!(
        answer.stderr.contains(&format!(
            "device {OTHER} (no definition of it says mtty-1 on a, which it is)"
        )),
        "{}",
        answer.stderr
    );
}

/// Where the domain's own cannot be made, the other is back at once.
#[test]
fn a_start_that_fails_puts_it_back() {
    let host = host();
    host.kernel().configure(|config| {
        config.errors.insert(format!("{}/power/control", device(16)), 5);
    });
    let before = host.state();
    let answer = host.prepare(&vm(1, &["p"]));
    assert!(
        answer
            .stderr
            .contains("its attribute power/control does not take"),
        "{}",
        answer.stderr
    );
    assert!(!answer.succeeded());
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
    assert_eq!(host.names("run/automdev/swaps"), Vec::<String>::new());
}

/// One that cannot be put back is told, stays noted, and is put back by the next call that can.
#[test]
fn what_cannot_be_put_back_is_told_and_tried_again() {
    let host = host();
    let before = host.state();
    host.prepare(&vm(1, &["p"])).done();
    host.kernel().configure(|config| {
        config.errors.insert("mtty-1/create".to_owned(), 5);
    });
    host.release(&vm(1, &["p"])).refused(&format!(
        "vm1: {IDLE}, which made way for {}, is not put back (mtty-1 on a): the driver of a answers I/O error (EIO); \
         look at the kernel's log (dmesg)",
        device(16)
    ));
    assert_eq!(host.devices(), [place(OTHER)]);
    assert_eq!(host.names("run/automdev/swaps"), [IDLE]);
    // It is nobody else's meanwhile.
    let answer = host.prepare(&vm(2, &["p", "p"]));
    assert!(
        answer
            .stderr
            .contains(&format!("device {IDLE} (in use by {}", device(16))),
        "{}",
        answer.stderr
    );
    host.kernel().configure(|config| config.errors.clear());
    host.release(&vm(1, &["p"])).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
    assert_eq!(host.names("run/automdev/swaps"), Vec::<String>::new());
}

/// A script that is too slow holds it up for as long as it is.
#[test]
fn what_a_slow_script_keeps_from_being_put_back_is_tried_again() {
    let host = host();
    host.timeouts("callout = 0.3");
    let before = host.state().without(&["usr"]);
    host.prepare(&vm(1, &["p"])).done();
    let script = "usr/lib/mdevctl/scripts.d/callouts/10-a";
    crate::callouts::raw_script(
        &host,
        script,
        "#!/bin/sh\ncase \"$*\" in *'-e pre -a start'*) sleep 600;; esac\nexit 0\n",
    );
    assert!(!host.release(&vm(1, &["p"])).succeeded());
    assert_eq!(host.devices(), [place(OTHER)]);
    crate::callouts::raw_script(&host, script, "#!/bin/sh\nexit 0\n");
    eventually("it is put back", || {
        host.names("run/automdev/swaps").is_empty() && host.ledger().is_empty()
    });
    before.assert_unchanged(&host.state().without(&["usr"]));
}

/// Whoever waits in the background for something else does not try it all the time.
#[test]
fn what_the_kernel_does_not_make_is_tried_ever_less_often() {
    let host = host();
    host.timeouts("idle = 0.1\nclaim = 0\nparent = 0");
    host.prepare(&vm(1, &["p"])).done();
    host.kernel().configure(|config| {
        config.errors.insert("mtty-1/create".to_owned(), 5);
    });
    assert!(!host.release(&vm(1, &["p"])).succeeded());
    let plain = Domain::new("plain", 9).with("d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b");
    host.mdpy()
        .definition("mdpy", "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b", "mdpy-hd", &[]);
    host.prepare(&plain).done();
    host.process(700, "qemu-system-x86", &["qemu"], 9)
        .open_device(700, "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b");
    assert!(!host.release(&plain).succeeded());
    host.kernel().reset();
    host.logged();
    std::thread::sleep(Duration::from_secs(4));
    let tried = host
        .writes()
        .iter()
        .filter(|write| write.contains("/create "))
        .count();
    assert!((1..=3).contains(&tried), "{tried}: {:?}", host.writes());
    let logged: Vec<_> = host
        .logged()
        .iter()
        .map(|message| message.field("MESSAGE").to_owned())
        .collect();
    assert!(logged.len() <= 1, "{logged:?}");
    // It is not given up.
    host.kernel().configure(|config| config.errors.clear());
    eventually("it is put back", || host.names("run/automdev/swaps").is_empty());
    host.kill(700);
    eventually("all is given back", || {
        host.devices() == [place(IDLE), place(OTHER)]
    });
}

/// NVIDIA's driver cleans up after each guest, and for some seconds nothing is to be done with the device.
#[test]
fn one_of_nvidias_is_left_alone_for_a_while_after_its_last_guest() {
    let gpu = "0000:41:00.0";
    for next in ["one that takes its place", "one that has it, too"] {
        let host = Host::new();
        host.timeouts("gone = 2\nclaim = 30\nhook = 60")
            .nvidia(gpu)
            .definition(gpu, IDLE, "nvidia-222", &[])
            .active(gpu, "nvidia-222", IDLE);
        host.pool("p", &format!("[[member]]\ndevice = '{IDLE}'\nreplace = true\n"));
        let first = Domain::new("first", 9).with(IDLE);
        host.prepare(&first).done();
        // Nobody has had it before.
        host.domain("first", &first.uuid, 4711);
        host.kill(4711).forget_domain("first");
        host.release(&first).done();
        let began = Instant::now();
        let second = match next {
            "one that takes its place" => vm(1, &["p"]),
            _ => Domain::new("second", 10).with(IDLE),
        };
        host.prepare(&second).done();
        assert!(
            began.elapsed() >= Duration::from_millis(1500),
            "{next}: {:?}",
            began.elapsed()
        );
        host.release(&second).done();
        eventually("it is back", || {
            host.devices() == [format!("{IDLE} nvidia-222 {gpu}")]
        });
    }
}

/// The same by whoever tidies up, where no call for that domain ever comes.
#[test]
fn reconcile_puts_back_all_that_is_owed() {
    let host = host();
    let before = host.state();
    host.prepare(&vm(1, &["p", "p"])).done();
    // What stands in their place is somebody's.
    host.reconcile(&[]).printed(0, &["nothing was left over"]);
    assert_eq!(host.devices(), [place(&device(16)), place(&device(17))]);
    host.age(601);
    let lines = |removed: &str, put_back: &str| {
        let gone = [16, 17].map(|number| format!("{removed} {} (mtty-1 on a): vm1 is gone", device(number)));
        let back = [(IDLE, 16), (OTHER, 17)].map(|(uuid, number)| {
            format!(
                "{put_back} {uuid}: it had made way for {}, which is gone",
                device(number)
            )
        });
        [gone, back].concat()
    };
    let would = lines("would remove", "would put back");
    let would: Vec<&str> = would.iter().map(String::as_str).collect();
    host.reconcile(&["--dry-run"]).printed(0, &would);
    // One cannot be made just now, and is tried again.
    host.kernel().configure(|config| {
        config.errors.insert("mtty-1/create".to_owned(), 5);
    });
    assert_eq!(host.reconcile(&[]).status, Some(1));
    assert_eq!(host.devices(), Vec::<String>::new());
    host.kernel().configure(|config| config.errors.clear());
    let done = lines("removed", "put back").split_off(2);
    let done: Vec<&str> = done.iter().map(String::as_str).collect();
    host.reconcile(&[]).printed(0, &done);
    before.assert_unchanged(&host.state());
    assert_eq!(host.names("run/automdev/swaps"), Vec::<String>::new());
    host.assert_ledger_empty();
}

/// It comes back as its definition says by then.
#[test]
fn it_comes_back_as_it_is_defined_by_then() {
    let host = host();
    host.prepare(&vm(1, &["p"])).done();
    host.definition("a", IDLE, "mtty-1", &[("power/control", "auto")]);
    host.release(&vm(1, &["p"])).done();
    let control = || host.read(format!("sys/bus/mdev/devices/{IDLE}/power/control"));
    assert_eq!(control().as_deref(), Some("auto"));
    // Without one, as it said when it made way.
    host.prepare(&vm(1, &["p"])).done();
    fs::remove_file(host.at(format!("etc/mdevctl.d/a/{IDLE}"))).expect("a definition");
    host.release(&vm(1, &["p"])).done();
    assert_eq!(control().as_deref(), Some("auto"));
    host.assert_ledger_empty();
}

/// Makes the lock files of both.
fn locked_once() -> Host {
    let host = host();
    host.prepare(&vm(1, &["p", "p"])).done();
    host.release(&vm(1, &["p", "p"])).done();
    host
}

/// Somebody else is at one a moment after it was chosen: the next one does.
#[test]
fn a_race_that_is_lost_is_no_reason_to_give_up() {
    let host = locked_once();
    let before = host.state();
    let lock = lock_of(&host, IDLE, FlockArg::LockSharedNonblock);
    host.kernel().reset();
    let told = format!("6 vm1: another automdev call is at work on {IDLE}; another place is looked for");
    host.prepare(&vm(1, &["p"])).done().logged(&[
        told.as_str(),
        &format!("6 vm1: removed {OTHER} (mtty-1 on a)"),
        &format!("6 vm1: created {} (mtty-1 on a)", device(16)),
    ]);
    assert_eq!(host.devices(), [place(IDLE), place(&device(16))]);
    // There is no third.
    let refused = host.prepare(&vm(2, &["p"]));
    assert!(
        refused
            .stderr
            .contains(&format!("device {IDLE} (in use by another automdev call)")),
        "{}",
        refused.stderr
    );
    assert_eq!(host.writes().len(), 3, "{:?}", host.writes());
    drop(lock);
    assert_eq!(start(&host, 2, &["p"]), ["mtty-1 a"]);
    for number in [1, 2] {
        host.release(&vm(number, &["p"])).done();
    }
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// Where there is no other, whoever is at it is waited for.
#[test]
fn one_that_others_are_at_is_waited_for() {
    let host = locked_once();
    host.timeouts("claim = 60\nparent = 0");
    host.pool("p", &format!("[[member]]\ndevice = '{IDLE}'\nreplace = true\n"));
    for how in [FlockArg::LockExclusiveNonblock, FlockArg::LockSharedNonblock] {
        let lock = lock_of(&host, IDLE, how);
        let vm = vm(1, &["p"]);
        let child = host.start(&["vm1", "prepare", "begin", "-"], vm.xml().as_bytes());
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(host.devices().contains(&place(IDLE)));
        drop(lock);
        host.finish(child).done();
        assert_eq!(host.devices(), [place(OTHER), place(&device(16))]);
        host.release(&vm).done();
    }
}

/// What the domain has itself, marked or not, makes no way for it.
#[test]
fn what_the_domain_has_itself_stays() {
    for domain in [vm(1, &["p"]).unmarked(IDLE), vm(1, &["p"]).with(IDLE)] {
        let host = host();
        host.prepare(&domain).done();
        assert_eq!(host.devices(), [place(IDLE), place(&device(16))]);
        host.release(&domain).done();
        assert_eq!(host.devices(), [place(IDLE), place(OTHER)]);
    }
}

/// A device that is defined under several parents comes back where it was, whatever died and whoever goes on.
#[test]
fn it_comes_back_where_it_was() {
    let host = host();
    // By its name the first of them.
    host.ports("0", 8)
        .definition("0", IDLE, "mtty-1", &[("power/control", "auto")]);
    host.pool("p", &format!("[[member]]\ndevice = '{IDLE}'\nreplace = true\n"));
    let before = host.state();
    host.kernel().reset();
    host.prepare(&vm(1, &["p"])).done();
    let log = host.kernel().log();
    let taken = log
        .iter()
        .position(|line| line.contains(&format!("{IDLE}/remove")));
    let taken = taken.expect("it was taken away") as u64 + 1;
    host.release(&vm(1, &["p"])).done();
    before.assert_unchanged(&host.state());
    for (at, step) in (1..).zip(&log).skip_while(|(at, _)| *at <= taken) {
        host.prepare_with(at, FaultKind::KillBefore, &vm(1, &["p"]))
            .killed();
        assert!(!host.devices().contains(&place(IDLE)), "{step}");
        // Its definition there counts, and where that has gone, what it said.
        if at == taken + 1 {
            fs::remove_file(host.at(format!("etc/mdevctl.d/a/{IDLE}"))).expect("a definition");
        }
        host.prepare(&vm(1, &["p"])).done();
        assert_eq!(host.devices(), [place(OTHER), place(&device(16))]);
        let control = host.read(format!("sys/bus/mdev/devices/{}/power/control", device(16)));
        assert_eq!(control.as_deref(), Some("on"));
        host.definition("a", IDLE, "mtty-1", &[("power/control", "on")]);
        host.release(&vm(1, &["p"])).done();
        before.assert_unchanged(&host.state());
        host.assert_ledger_empty();
    }
}

#[derive(Debug, Clone, Copy)]
enum Next {
    Prepare,
    Release,
    Without,
}

/// Whatever died, the next call for the domain mends it, and after its release the host is as before.
#[track_caller]
fn go_on(host: &Host, next: Next, before: &Snapshot, told: &str) {
    let domain = vm(1, &["p"]);
    match next {
        Next::Prepare => {
            assert!(host.prepare(&domain).succeeded(), "{told}");
            assert_eq!(host.devices().len(), 2, "{told}");
            assert!(
                host.devices().contains(&place(&device(16))),
                "{told}: {:?}",
                host.devices()
            );
        }
        Next::Release => {}
        Next::Without => {
            assert!(host.prepare(&Domain::new("vm1", 1)).succeeded(), "{told}");
            before.assert_unchanged(&host.state());
        }
    }
    assert!(host.release(&domain).succeeded(), "{told}");
    before.assert_unchanged(&host.state());
    assert_eq!(host.ledger(), Vec::<String>::new(), "{told}");
    assert_eq!(host.names("run/automdev/swaps"), Vec::<String>::new(), "{told}");
}

fn try_all(what: &str, first: impl Fn(&Host), call: impl Fn(&Host) -> crate::hook::host::Answer) {
    let host = host();
    let before = host.state();
    first(&host);
    host.kernel().reset();
    assert!(call(&host).succeeded());
    let log = host.kernel().log();
    host.release(&vm(1, &["p"])).done();
    before.assert_unchanged(&host.state());
    let mut tried = 0;
    for (at, line) in (1..).zip(&log) {
        for kind in [FaultKind::KillBefore, FaultKind::KillAfter] {
            // A change outside sysfs is one rename or unlink: after it is before the next.
            if kind == FaultKind::KillAfter && !line.contains(" write ") {
                continue;
            }
            for next in [Next::Prepare, Next::Release, Next::Without] {
                first(&host);
                host.kernel().fault(at, kind);
                call(&host).killed();
                host.kernel().reset();
                go_on(
                    &host,
                    next,
                    &before,
                    &format!("{what}: {kind:?} {line}, then {next:?}"),
                );
                tried += 1;
            }
        }
    }
    crate::counts::assert_told(what, tried / 3, tried);
}

#[test]
fn a_prepare_that_takes_one_away_may_die_at_any_step() {
    try_all(
        "prepare for which another device makes way",
        |_| {},
        |host| host.prepare(&vm(1, &["p"])),
    );
}

#[test]
fn a_release_that_puts_one_back_may_die_at_any_step() {
    try_all(
        "release of a device for which another had made way",
        |host| drop(host.prepare(&vm(1, &["p"])).done()),
        |host| host.release(&vm(1, &["p"])),
    );
}
