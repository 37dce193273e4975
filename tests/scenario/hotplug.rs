//! `automdev create` and `automdev remove`: devices for a domain that runs already.

mod crash;

use std::process::Command;
use std::time::Duration;

use crate::callouts::raw_script;
use crate::hook::domain::Domain;
use crate::hook::host::{Answer, Host, program, spawn};

const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b";
const C: &str = "e8a4d1f0-3c55-4a0e-a2b1-5f2d7c9b0e13";

/// The number of the QEMU of [`vm`].
const PID: u32 = 4711;

fn host() -> Host {
    let host = Host::new();
    host.timeouts("idle = 0.2\nhook = 5")
        .mtty()
        .mdpy()
        .definition("mtty", A, "mtty-2", &[])
        .definition("mdpy", B, "mdpy-hd", &[]);
    host
}

/// A domain that has A from its start, and runs.
fn vm(host: &Host) -> Domain {
    let vm = Domain::new("vm1", 1).with(A);
    host.prepare(&vm).done();
    host.domain("vm1", &vm.uuid, PID).open_device(PID, A);
    vm
}

#[track_caller]
fn call(host: &Host, arguments: &[&str]) -> Answer {
    let mut command = Command::new(program());
    command.arg("--root").arg(host.path()).args(arguments);
    host.finish(spawn(&mut command, b""))
}

#[track_caller]
fn create(host: &Host, domain: &str, uuids: &[&str]) -> Answer {
    call(host, &[&["create", "--domain", domain], uuids].concat())
}

#[track_caller]
fn remove(host: &Host, domain: &str, uuids: &[&str]) -> Answer {
    call(host, &[&["remove", "--domain", domain], uuids].concat())
}

/// It said this in one line, and changed nothing.
#[track_caller]
fn refuses(host: &Host, call: impl Fn() -> Answer, line: &str) {
    let (state, ledger) = (host.state(), host.ledger());
    call().refused(line);
    state.assert_unchanged(&host.state());
    assert_eq!(host.ledger(), ledger);
}

#[test]
fn a_device_comes_and_goes_while_the_domain_runs() {
    let host = host();
    let before = host.state();
    let vm = vm(&host);
    let started = host.state();
    create(&host, "vm1", &[B])
        .printed(0, &[&format!("created {B} (mdpy-hd on mdpy)")])
        .logged(&[&format!("6 vm1: created {B} (mdpy-hd on mdpy)")]);
    assert_eq!(
        host.devices(),
        [format!("{A} mtty-2 mtty"), format!("{B} mdpy-hd mdpy")]
    );
    let claimant = vm.claimant();
    assert_eq!(
        host.ledger(),
        [
            format!("claimants/{claimant} vm1 {A} {B}"),
            format!("claims/{A}/{claimant}"),
            format!("claims/{B}/{claimant}"),
            format!("devices/{A} ready"),
            format!("devices/{B} ready"),
        ]
    );
    create(&host, "vm1", &[B])
        .printed(0, &[&format!("had already: {B} (mdpy-hd on mdpy)")])
        .logged(&[]);
    remove(&host, "vm1", &[B])
        .printed(0, &[&format!("removed {B} (mdpy-hd on mdpy)")])
        .logged(&[&format!("6 vm1: removed {B} (mdpy-hd on mdpy)")]);
    started.assert_unchanged(&host.state());
    assert_eq!(
        host.ledger(),
        [
            format!("claimants/{claimant} vm1 {A}"),
            format!("claims/{A}/{claimant}"),
            format!("devices/{A} ready"),
        ]
    );
    host.kill(PID).forget_domain("vm1");
    host.release(&vm).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// What was plugged in and never out goes with the domain, also where it had nothing of ours before.
#[test]
fn the_end_of_the_domain_takes_it_away() {
    let host = host();
    let vm = Domain::new("vm1", 1);
    let before = host.state();
    host.domain("vm1", &vm.uuid, PID);
    create(&host, &vm.uuid, &[A, B]).printed(
        0,
        &[
            &format!("created {A} (mtty-2 on mtty)"),
            &format!("created {B} (mdpy-hd on mdpy)"),
        ],
    );
    host.reconcile(&[]).printed(0, &["nothing was left over"]);
    host.kill(PID).forget_domain("vm1");
    host.release(&vm).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
    // Without a release as well.
    host.domain("vm1", &vm.uuid, PID);
    create(&host, "vm1", &[A]);
    host.kill(PID).forget_domain("vm1");
    host.reconcile(&[])
        .printed(0, &[&format!("removed {A} (mtty-2 on mtty): vm1 is gone")]);
    host.assert_ledger_empty();
}

/// What the domain has and uses stays as it is, whatever its definition says by now.
#[test]
fn what_it_has_is_not_looked_at_again() {
    let host = host();
    vm(&host);
    host.definition("mtty", A, "mtty-1", &[]);
    create(&host, "vm1", &[A, B]).printed(
        0,
        &[
            &format!("had already: {A} (mtty-2 on mtty)"),
            &format!("created {B} (mdpy-hd on mdpy)"),
        ],
    );
    assert_eq!(
        host.devices(),
        [format!("{A} mtty-2 mtty"), format!("{B} mdpy-hd mdpy")]
    );
}

#[test]
fn all_or_none() {
    let host = host();
    vm(&host);
    let line = format!(
        "cannot create {C}: this host has no definition of it; make one with automdev define --uuid UUID --parent PARENT --type TYPE"
    );
    refuses(&host, || create(&host, "vm1", &[B, C]), &line);
    host.definition("mtty", C, "mtty-2", &[("power/control", "nonsense")]);
    let (state, ledger) = (host.state(), host.ledger());
    let answer = create(&host, "vm1", &[B, C]);
    assert_eq!(answer.status, Some(1), "{answer:?}");
    assert!(answer.stderr.contains(C), "{answer:?}");
    state.assert_unchanged(&host.state());
    // The list of what it may claim names those that were tried; its claims are what counts.
    let claims = |ledger: Vec<String>| {
        let is_list = |line: &String| line.starts_with("claimants/");
        ledger
            .into_iter()
            .filter(|line| !is_list(line))
            .collect::<Vec<_>>()
    };
    assert_eq!(claims(host.ledger()), claims(ledger));
    refuses(
        &host,
        || remove(&host, "vm1", &[C]),
        &format!("vm1 has no device {C} by automdev"),
    );
}

#[test]
fn only_for_a_domain_that_runs() {
    let host = host();
    let absent = |name: &str| {
        format!("no domain {name} runs on this host; where it is only defined, virsh start makes its devices")
    };
    let vm = Domain::new("vm1", 1).with(A);
    for name in ["vm1", &vm.uuid, "../vm1", ""] {
        refuses(&host, || create(&host, name, &[B]), &absent(name));
        refuses(&host, || remove(&host, name, &[]), &absent(name));
    }
    // It has ended, and libvirt has not noticed.
    host.domain("vm1", &vm.uuid, PID).kill(PID);
    refuses(&host, || create(&host, "vm1", &[B]), &absent("vm1"));
    // The number is that of another process by now.
    host.process(PID, "sh", &["sh"], 9);
    refuses(&host, || create(&host, "vm1", &[B]), &absent("vm1"));
    host.file("run/libvirt/qemu/vm1.xml", "<domstatus><domain></domstatus>");
    let answer = create(&host, "vm1", &[B]);
    assert_eq!(answer.status, Some(1), "{answer:?}");
    assert!(
        answer
            .stderr
            .starts_with("automdev: /run/libvirt/qemu/vm1.xml: line 1, column "),
        "{answer:?}"
    );
    assert!(host.devices().is_empty());
}

#[test]
fn a_device_that_the_guest_has_is_left_alone() {
    let host = host();
    let vm = vm(&host);
    create(&host, "vm1", &[B]);
    host.open_device(PID, B);
    let line = format!(
        "{B} is in use by qemu-system-x86 ({PID}); take it from the domain first (virsh detach-device vm1 FILE)"
    );
    refuses(&host, || remove(&host, "vm1", &[B]), &line);
    host.close_devices(PID);
    remove(&host, &vm.uuid, &[]).printed(
        0,
        &[
            &format!("removed {A} (mtty-2 on mtty)"),
            &format!("removed {B} (mdpy-hd on mdpy)"),
        ],
    );
    host.assert_ledger_empty();
    remove(&host, "vm1", &[]).printed(0, &["vm1 has no devices by automdev"]);
}

#[test]
fn what_others_made_stays_and_what_they_claim_is_theirs() {
    let host = host();
    vm(&host);
    host.active("mdpy", "mdpy-hd", B);
    create(&host, "vm1", &[B]).printed(
        0,
        &[&format!("there before, left standing: {B} (mdpy-hd on mdpy)")],
    );
    remove(&host, "vm1", &[B]).printed(0, &[&format!("given up, left standing: {B} (mdpy-hd on mdpy)")]);
    host.remove(B);

    create(&host, "vm1", &[B]);
    let other = Domain::new("other", 2);
    host.domain("other", &other.uuid, 4712);
    refuses(
        &host,
        || create(&host, "other", &[B]),
        &format!(
            "cannot use {B}: it belongs to vm1, which is running; stop that one first or give this domain another device"
        ),
    );
}

/// Its next start asks for what its XML says.
#[test]
fn the_next_start_gives_it_back() {
    let host = host();
    let vm = vm(&host);
    create(&host, "vm1", &[B]);
    host.kill(PID).forget_domain("vm1");
    host.prepare(&vm).done();
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    host.release(&vm).done();
    host.assert_ledger_empty();
}

/// The domain ends while its device is made: its `release` has nothing to release yet.
#[test]
fn a_domain_that_ends_meanwhile() {
    let host = host();
    let vm = Domain::new("vm1", 1);
    host.domain("vm1", &vm.uuid, PID);
    let body = format!(
        "#!/bin/sh\ncat >/dev/null\nif [ \"$4\" = pre ]; then rm -rf {}; fi\n",
        host.at(format!("proc/{PID}")).display()
    );
    raw_script(&host, "etc/mdevctl.d/scripts.d/callouts/kill", &body);
    create(&host, "vm1", &[B]).refused("vm1 has ended meanwhile; nothing is left of what was made for it");
    assert!(host.devices().is_empty(), "{:?}", host.devices());
    host.forget_domain("vm1");
    host.assert_ledger_empty();
}

/// It is started again at once: what that start has got is not given back with the rest.
#[test]
fn a_domain_that_starts_again_meanwhile() {
    for _ in 0..5 {
        let host = host();
        let vm = Domain::new("vm1", 1).with(A);
        host.domain("vm1", &vm.uuid, PID);
        let body = format!(
            "#!/bin/sh\ncat >/dev/null\nif [ \"$4\" = pre ] && [ -d {0} ]; then rm -rf {0}; sleep 0.3; fi\n",
            host.at(format!("proc/{PID}")).display()
        );
        raw_script(&host, "etc/mdevctl.d/scripts.d/callouts/kill", &body);
        let mut command = Command::new(program());
        command
            .arg("--root")
            .arg(host.path())
            .args(["create", "--domain", "vm1", B]);
        let creating = spawn(&mut command, b"");
        while host.at(format!("proc/{PID}")).exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        host.forget_domain("vm1");
        let starting = host.start(&["vm1", "prepare", "begin", "-"], vm.xml().as_bytes());
        host.finish(creating)
            .refused("vm1 has ended meanwhile; nothing is left of what was made for it");
        host.finish(starting).done();
        assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
        assert!(host.ledger().contains(&format!("claims/{A}/{}", vm.claimant())));
        host.release(&vm).done();
        host.assert_ledger_empty();
    }
}

/// What is found under the locks counts, not what was seen before.
#[test]
fn what_becomes_of_it_while_it_waits() {
    let in_use = format!(
        "{B} is in use by qemu-system-x86 ({PID}); take it from the domain first (virsh detach-device vm1 FILE)"
    );
    let ended = "vm1 has ended meanwhile; its devices are given back with it".to_owned();
    for (has_ended, line) in [(false, in_use), (true, ended)] {
        let host = host();
        vm(&host);
        create(&host, "vm1", &[B]);
        let lock = host.lock(&format!("device-{B}"));
        let mut command = Command::new(program());
        command
            .arg("--root")
            .arg(host.path())
            .args(["remove", "--domain", "vm1", B]);
        let removing = spawn(&mut command, b"");
        std::thread::sleep(Duration::from_millis(300));
        if has_ended {
            host.kill(PID).forget_domain("vm1");
        } else {
            host.open_device(PID, B);
        }
        drop(lock);
        let ledger = host.ledger();
        host.finish(removing).refused(&line);
        assert!(host.devices().contains(&format!("{B} mdpy-hd mdpy")), "{line}");
        assert_eq!(host.ledger(), ledger, "{line}");
    }
}

/// A QEMU that is about to start has not opened it yet, or a guest has not let go of it.
#[test]
fn a_device_that_libvirt_knows_of_is_left_alone() {
    let host = host();
    let vm = Domain::new("vm1", 1).with(A);
    host.prepare(&vm).done();
    host.domain("vm1", &vm.uuid, PID);
    let status = format!(
        "<domstatus state='running' reason='booted' pid='{PID}'>{}</domstatus>",
        vm.xml()
    );
    host.file("run/libvirt/qemu/vm1.xml", &status);
    let line = format!("{A} is still in the domain; take it from there first (virsh detach-device vm1 FILE)");
    refuses(&host, || remove(&host, "vm1", &[A]), &line);
    refuses(&host, || remove(&host, "vm1", &[]), &line);
}

#[test]
fn for_programs() {
    let host = host();
    let vm = vm(&host);
    let answer = create(&host, "vm1", &[A, B, "--format", "json"]);
    let lines: Vec<serde_json::Value> = answer
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let domain = serde_json::json!({"name": "vm1", "uuid": vm.uuid});
    assert_eq!(
        lines,
        [
            serde_json::json!({"schema": 1, "domain": domain, "uuid": A, "action": "keep", "parent": "mtty", "type": "mtty-2"}),
            serde_json::json!({"schema": 1, "domain": domain, "uuid": B, "action": "create", "parent": "mdpy", "type": "mdpy-hd"}),
        ]
    );
    let answer = remove(&host, "vm1", &[B, "--format=json"]);
    let line: serde_json::Value = serde_json::from_str(&answer.stdout).expect("JSON");
    assert_eq!(
        line,
        serde_json::json!({"schema": 1, "domain": domain, "uuid": B, "action": "remove", "parent": "mdpy", "type": "mdpy-hd"})
    );
}

#[test]
fn a_wrong_command_line() {
    let host = host();
    vm(&host);
    refuses(
        &host,
        || create(&host, "vm1", &[B, &B.to_uppercase()]),
        &format!("{B} is named twice"),
    );
    for arguments in [
        &["create", "--domain", "vm1"][..],
        &["create", B],
        &["create", "--domain", "vm1", "nonsense"],
        &["remove", B],
    ] {
        assert_eq!(call(&host, arguments).status, Some(2), "{arguments:?}");
    }
}
