//! Something that fails, at each step of a call: the start is refused or goes well, and after it all is as it
//! was.

use super::*;
use nix::errno::Errno;

const ERRNOS: [Errno; 5] = [
    Errno::ENOSPC,
    Errno::EIO,
    Errno::EACCES,
    Errno::EMFILE,
    Errno::ENOMEM,
];

fn a_host() -> (Host, Domain) {
    let host = Host::new();
    host.timeouts("idle = 0.2").mtty().mdpy();
    host.definition(
        "mtty",
        A,
        "mtty-2",
        &[("power/control", "on"), ("power/control", "auto")],
    )
    .definition("mdpy", B, "mdpy-hd", &[]);
    (host, Domain::new("vm1", 1).with(A).with(B))
}

fn effects(host: &Host) -> u64 {
    host.kernel().effects()
}

#[test]
fn at_any_step_of_a_prepare() {
    let (host, vm) = a_host();
    let before = host.state();
    host.prepare(&vm).done();
    let steps = effects(&host);
    host.release(&vm).done();
    for errno in ERRNOS {
        for at in 1..=steps {
            let answer = host.prepare_with(at, FaultKind::Fail(errno as i32), &vm);
            let told = format!("{errno:?} at {at}: {answer:?}");
            if answer.succeeded() {
                assert_eq!(host.devices().len(), 2, "{told}");
            }
            host.release(&vm).done();
            before.assert_unchanged(&host.state());
            assert_eq!(host.ledger(), Vec::<String>::new(), "{told}");
        }
    }
    crate::counts::assert_told("prepare", steps, steps * ERRNOS.len() as u64);
}

#[test]
fn at_any_step_of_a_release() {
    let (host, vm) = a_host();
    let before = host.state();
    host.prepare(&vm).done();
    host.kernel().reset();
    host.release(&vm).done();
    let steps = effects(&host);
    for errno in ERRNOS {
        for at in 1..=steps {
            host.prepare(&vm).done();
            let answer = host.release_with(at, FaultKind::Fail(errno as i32), &vm);
            let told = format!("{errno:?} at {at}: {answer:?}");
            let went_well = answer.succeeded();
            for line in host.devices() {
                let uuid = line.split(' ').next().unwrap_or_default();
                let record = host.at(format!("run/automdev/devices/{uuid}"));
                assert!(!went_well && record.exists(), "{told}: {uuid} is left");
            }
            // Its next call tries again.
            host.release(&vm).done();
            before.assert_unchanged(&host.state());
            assert_eq!(host.ledger(), Vec::<String>::new(), "{told}");
        }
    }
    crate::counts::assert_told("release", steps, steps * ERRNOS.len() as u64);
}

/// A fault at every step of a prepare that itself is undone.
#[test]
fn at_any_step_of_an_undoing() {
    let (host, vm) = a_host();
    host.kernel().configure(|config| {
        config
            .errors
            .insert("mdpy-hd/create".to_owned(), Errno::ENOSPC as i32);
    });
    let before = host.state();
    assert!(!host.prepare(&vm).succeeded());
    let steps = effects(&host);
    before.assert_unchanged(&host.state());
    for errno in ERRNOS {
        for at in 1..=steps {
            let answer = host.prepare_with(at, FaultKind::Fail(errno as i32), &vm);
            let told = format!("{errno:?} at {at}: {answer:?}");
            assert!(!answer.succeeded(), "{told}");
            host.release(&vm).done();
            before.assert_unchanged(&host.state());
            assert_eq!(host.ledger(), Vec::<String>::new(), "{told}");
        }
    }
}
