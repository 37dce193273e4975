//! A `release` that comes too late, or to which nobody makes way.

use super::*;
use crate::run::host::eventually;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn defined() -> (Host, Domain) {
    let host = Host::new();
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    (host, Domain::new("vm1", 1).with(A))
}

/// libvirt's daemon dies, and another one is there.
fn restart_libvirt(host: &Host, started: u64) {
    host.stop_libvirt();
    host.process(std::process::id(), "libvirtd", &["/usr/sbin/libvirtd"], started);
}

fn send(call: &Child, signal: Signal) {
    let pid = i32::try_from(call.id()).expect("a number");
    kill(Pid::from_raw(pid), signal).expect("it runs");
}

/// Starts a release that waits for a lock that somebody has, and stops it there, so that others are quicker.
fn release_that_waits(host: &Host, vm: &Domain) -> Child {
    let lock = host.lock(&vm.claimant());
    let call = host.start(&[&vm.name, "release", "end", "-"], vm.xml().as_bytes());
    let path = format!("/proc/{}/fd", call.id());
    let is_at_it = || {
        let files = fs::read_dir(&path).into_iter().flatten().flatten();
        let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
        targets.any(|target| target.ends_with(vm.claimant()))
    };
    eventually("it waits for the lock", is_at_it);
    send(&call, Signal::SIGSTOP);
    drop(lock);
    call
}

#[test]
fn the_release_of_a_daemon_that_is_gone_takes_nothing_from_the_next_start() {
    let (host, vm) = defined();
    let before = host.state().without(&["proc"]);
    host.prepare(&vm).done();
    let late = release_that_waits(&host, &vm);
    restart_libvirt(&host, 6);
    host.prepare(&vm).done();
    let (state, ledger) = (host.state(), host.ledger());
    send(&late, Signal::SIGCONT);
    host.finish(late).done();
    state.assert_unchanged(&host.state());
    assert_eq!(host.ledger(), ledger);
    host.release(&vm).done();
    before.assert_unchanged(&host.state().without(&["proc"]));
    host.assert_ledger_empty();
}

/// It still gives back what nobody has taken since.
#[test]
fn the_release_of_a_daemon_that_is_gone_gives_back_what_was_its_own() {
    let (host, vm) = defined();
    let before = host.state().without(&["proc"]);
    host.prepare(&vm).done();
    let late = release_that_waits(&host, &vm);
    restart_libvirt(&host, 6);
    send(&late, Signal::SIGCONT);
    host.finish(late).done();
    before.assert_unchanged(&host.state().without(&["proc"]));
    host.assert_ledger_empty();
}

/// The claim is dropped all the same, so that what goes on in the background, `reconcile` and other starts see that the
/// domain has ended.
#[test]
fn a_release_that_gets_no_lock_drops_its_claims() {
    for lock in ["claimant", "device"] {
        let (host, vm) = defined();
        host.timeouts("hook = 0.5\nidle = 0.2");
        let before = host.state();
        host.prepare(&vm).done();
        let name = match lock {
            "claimant" => vm.claimant(),
            _ => format!("device-{A}"),
        };
        let held = host.lock(&name);
        let began = Instant::now();
        host.release(&vm).refused(&format!(
            "vm1: another automdev call has been at work on {name} for too long; try again, or look for it with ps"
        ));
        assert!(began.elapsed() < Duration::from_secs(20), "{lock}");
        let claims: Vec<String> = host
            .ledger()
            .into_iter()
            .filter(|line| line.starts_with("claims/"))
            .collect();
        assert_eq!(claims, Vec::<String>::new(), "{lock}");
        sleep(Duration::from_millis(300));
        assert_eq!(host.devices().len(), 1, "{lock}");
        drop(held);
        eventually("what goes on in the background gives it back", || {
            host.ledger().is_empty()
        });
        before.assert_unchanged(&host.state());
    }
}

/// Not those of the domain's next start.
#[test]
fn a_release_of_a_daemon_that_is_gone_gets_no_lock() {
    let (host, vm) = defined();
    host.timeouts("hook = 3");
    host.prepare(&vm).done();
    let late = release_that_waits(&host, &vm);
    restart_libvirt(&host, 6);
    host.prepare(&vm).done();
    let (state, ledger) = (host.state(), host.ledger());
    let held = host.lock(&vm.claimant());
    send(&late, Signal::SIGCONT);
    assert!(!host.finish(late).succeeded());
    state.assert_unchanged(&host.state());
    assert_eq!(host.ledger(), ledger);
    drop(held);
    host.release(&vm).done();
    host.assert_ledger_empty();
}
