//! What cannot be given back yet.

use super::*;
use crate::callouts::raw_script;
use crate::hook::host::{program, spawn};
use crate::support::FaultKind;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Says why, touches nothing, and ends with status 1.
#[track_caller]
fn keeps(host: &Host, line: &str) {
    let (state, ledger) = (host.state(), host.ledger());
    let answer = host.reconcile(&[]);
    answer.printed(1, &[&format!("kept {line}")]);
    state.assert_unchanged(&host.state());
    assert_eq!(host.ledger(), ledger);
}

#[test]
fn a_device_in_use() {
    let (host, vm, other) = two();
    host.prepare(&vm).done();
    host.prepare(&other).done();
    host.process(4711, "qemu-system-x86", &["qemu-system-x86_64"], 9)
        .open_device(4711, A);
    host.stop_libvirt();
    host.reconcile(&[]).printed(
        1,
        &[
            &format!(
                "kept {A} (mtty-2 on mtty): vm1 is gone, but it is in use by qemu-system-x86 (4711); end that, or wait for its end"
            ),
            &format!("removed {B} (mdpy-hd on mdpy): other is gone"),
        ],
    );
    keeps(
        &host,
        &format!(
            "{A} (mtty-2 on mtty): vm1 is gone, but it is in use by qemu-system-x86 (4711); end that, or wait for its end"
        ),
    );
    host.kill(4711);
    let line = format!("removed {A} (mtty-2 on mtty): vm1 is gone");
    host.reconcile(&[]).printed(0, &[&line]);
    host.assert_ledger_empty();
}

#[test]
fn a_removal_that_comes_to_no_end() {
    let (host, vm, _) = two();
    host.timeouts("idle = 0.2\nwrite = 0.2\nhook = 5");
    host.prepare(&vm).done();
    crate::hook::hold(&host, A);
    host.stop_libvirt();
    let line = format!("cannot remove {A} on mtty: the driver did not answer in time");
    host.reconcile(&[])
        .printed(1, &[&format!("kept {A} (mtty-2 on mtty): {line}")]);
    let line =
        "vm1 is gone, but it is still on its way out: something holds it open; end that, or wait for its end";
    keeps(&host, &format!("{A} (mtty-2 on mtty): {line}"));
    crate::hook::let_go(&host);
    let answer = host.reconcile(&[]);
    answer.printed(
        0,
        &[&format!(
            "forgot {A} (mtty-2 on mtty): vm1 is gone, and so is the device"
        )],
    );
    host.assert_ledger_empty();
}

/// One call at work holds up nobody but itself.
#[test]
fn what_another_call_is_at_work_on() {
    let (host, vm, other) = two();
    host.timeouts("hook = 0.2");
    for domain in [&vm, &other] {
        host.prepare(domain).done();
    }
    host.stop_libvirt();
    let path = host.at(format!("run/automdev/locks/{}", vm.claimant()));
    let file = fs::OpenOptions::new().write(true).open(path).expect("a lock");
    let held = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).expect("it is free");
    host.reconcile(&[]).printed(
        1,
        &[
            &format!(
                "kept vm1: another automdev call has been at work on {} for too long; try again, or look for it with ps",
                vm.claimant()
            ),
            &format!("removed {B} (mdpy-hd on mdpy): other is gone"),
        ],
    );
    drop(held);
    host.reconcile(&[])
        .printed(0, &[&format!("removed {A} (mtty-2 on mtty): vm1 is gone")]);
    host.assert_ledger_empty();
}

/// Those who live are not even waited for.
#[test]
fn nobody_who_lives_is_disturbed() {
    let (host, vm, _) = two();
    host.prepare(&vm).done();
    host.domain("vm1", &vm.uuid, 4711);
    let mut held = Vec::new();
    for name in [vm.claimant(), format!("device-{A}"), "host".to_owned()] {
        let path = host.at(format!("run/automdev/locks/{name}"));
        let file = fs::OpenOptions::new().write(true).open(path).expect("a lock");
        held.push(nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).expect("it is free"));
    }
    finds_nothing(&host);
}

/// Whatever fails, the next one goes on.
#[test]
fn at_any_step_that_fails() {
    use nix::errno::Errno;
    let (host, vm, other) = two();
    let before = host.state();
    let leave = || {
        host.start_libvirt().prepare(&vm).done();
        host.prepare(&other).done();
        host.stop_libvirt();
        host.kernel().reset();
    };
    leave();
    assert_eq!(host.reconcile(&[]).status, Some(0));
    let steps = host.kernel().effects();
    let errnos = [
        Errno::ENOSPC,
        Errno::EIO,
        Errno::EACCES,
        Errno::EMFILE,
        Errno::ENOMEM,
    ];
    let mut tried = 0;
    for errno in errnos {
        for at in 1..=steps {
            leave();
            host.kernel().fault(at, FaultKind::Fail(errno as i32));
            let answer = host.reconcile(&[]);
            host.kernel().reset();
            let told = format!("{errno:?} at {at}: {answer:?}");
            assert!(
                matches!(answer.status, Some(0 | 1)) && answer.stderr.is_empty(),
                "{told}"
            );
            for line in host.devices() {
                let uuid = line.split(' ').next().unwrap_or_default();
                let record = host.at(format!("run/automdev/devices/{uuid}"));
                assert!(
                    answer.status == Some(1) && record.exists(),
                    "{told}: {uuid} is left"
                );
                assert!(answer.stdout.contains(uuid), "{told}: nobody is told of {uuid}");
            }
            // At most the one that it hit is left.
            assert!(host.devices().len() < 2, "{told}");
            assert_eq!(host.reconcile(&[]).status, Some(0), "{told}");
            assert_eq!(host.ledger(), Vec::<String>::new(), "{told}");
            tried += 1;
        }
    }
    host.start_libvirt();
    before.assert_unchanged(&host.state());
    crate::counts::assert_told("reconcile", steps, tried);
}

/// While it is at another device, it holds no lock of a domain's: one whose leftover it has just removed may start.
#[test]
fn the_device_of_a_domain_that_starts_anew_meanwhile() {
    let (host, vm, other) = two();
    host.prepare(&vm).done();
    host.prepare(&other).done();
    host.stop_libvirt();
    let (reached, go) = (host.at("reached"), host.at("go"));
    raw_script(
        &host,
        "etc/mdevctl.d/scripts.d/callouts/10-waits",
        &format!(
            "#!/bin/sh\ncase \"$*\" in *'-e pre -a stop'*{B}*) ;; *) exit 2 ;; esac\n\
             touch {}\nwhile [ ! -e {} ]; do sleep 0.02; done\n",
            reached.display(),
            go.display()
        ),
    );
    let mut command = Command::new(program());
    command.arg("--root").arg(host.path()).arg("reconcile");
    let child = spawn(&mut command, b"");
    let begun = Instant::now();
    while !reached.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it has not come there");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(host.devices(), [format!("{B} mdpy-hd mdpy")]);
    host.start_libvirt();
    host.prepare(&vm).done();
    fs::write(go, "").expect("a file");
    host.finish(child).printed(
        0,
        &[
            &format!("removed {A} (mtty-2 on mtty): vm1 is gone"),
            &format!("removed {B} (mdpy-hd on mdpy): other is gone"),
        ],
    );
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    finds_nothing(&host);
    host.release(&vm).done();
    host.assert_ledger_empty();
}

/// A host that has too many files open tells nothing of its processes: nobody is taken for gone.
#[test]
fn whatever_belongs_to_somebody_who_cannot_be_looked_at() {
    let (host, vm, other) = two();
    host.prepare(&vm).done();
    host.prepare(&other).done();
    host.stop_libvirt();
    // It leads to itself: whoever opens it gets an error that is not about the process.
    host.link_text("proc/4711/fd", "fd");
    host.file(
        "proc/4711/stat",
        "4711 (qemu-system-x86) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 0 0 1 0 9 0",
    );
    let state = host.state();
    let answer = host.reconcile(&[]);
    assert_eq!(answer.status, Some(1), "{answer:?}");
    for line in answer.stdout.lines() {
        assert!(
            line.starts_with("kept ") && line.contains("is in use by qemu-system-x86 (4711)"),
            "{line}"
        );
    }
    assert_eq!(answer.stdout.lines().count(), 2, "{answer:?}");
    state.assert_unchanged(&host.state());
    host.kill(4711);
    assert_eq!(host.reconcile(&[]).status, Some(0));
    host.assert_ledger_empty();
}
