//! `create` and `remove` that die at each of their steps, and whatever comes after: the running domain keeps what it has, and
//! nothing is left when it has ended.

use super::*;
use crate::hook::crash::deaths;
use crate::support::Snapshot;

/// Another domain, which wants B.
fn other() -> Domain {
    Domain::new("other", 2).with(B)
}

#[derive(Debug, Clone, Copy)]
enum Next {
    /// The same call again.
    Again,
    /// The other call: what was to come goes, what was to go comes.
    Back,
    /// The domain ends.
    Release,
    /// What is left is looked for while the domain runs on, which takes nothing from it.
    Early,
    /// The domain and libvirt's daemon die, and what was left is given back.
    Reconcile,
    /// Another domain wants the device.
    Another,
}

const NEXT: [Next; 6] = [
    Next::Again,
    Next::Back,
    Next::Release,
    Next::Early,
    Next::Reconcile,
    Next::Another,
];

/// A call by hand, for B.
type Call = fn(&Host) -> Answer;

const CREATE: Call = |host| create(host, "vm1", &[B]);
const REMOVE: Call = |host| remove(host, "vm1", &[B]);

fn host_with_values() -> Host {
    let host = Host::new();
    host.timeouts("claim = 0\nidle = 0.2\nretry = 0\nhook = 5")
        .mtty()
        .mdpy()
        .definition("mtty", A, "mtty-2", &[])
        .definition("mdpy", B, "mdpy-hd", &[("power/control", "on")]);
    host
}

fn has(host: &Host, uuid: &str) -> bool {
    host.devices().iter().any(|device| device.starts_with(uuid))
}

fn go_on(host: &Host, calls: (Call, Call), next: Next, told: &str) {
    let is_wanted = std::ptr::fn_addr_eq(calls.0, CREATE);
    let was_there = has(host, B);
    let record = host.at(format!("run/automdev/devices/{B}"));
    assert!(
        !was_there || record.exists(),
        "{told}: B is there without a record"
    );
    match next {
        Next::Again => {
            // What was to go may be gone already, and then it is told so.
            let again = calls.0(host);
            assert!(again.status == Some(0) || !was_there, "{told}: {again:?}");
            assert_eq!(has(host, B), is_wanted, "{told}: {again:?}");
        }
        Next::Back => drop(calls.1(host)),
        Next::Release => {}
        Next::Early => {
            // A half-made device is no domain's yet.
            host.reconcile(&[]);
            assert!(has(host, A), "{told}");
        }
        Next::Reconcile => {
            host.kill(PID).forget_domain("vm1");
            host.stop_libvirt();
            assert_eq!(host.reconcile(&[]).status, Some(0), "{told}");
            host.start_libvirt();
            assert!(host.devices().is_empty(), "{told}: {:?}", host.devices());
        }
        Next::Another => {
            if host.prepare(&other()).succeeded() {
                assert!(has(host, B), "{told}");
                // It is that one's now.
                drop(calls.1(host));
                assert!(has(host, B), "{told}");
                host.release(&other()).done();
            }
        }
    }
}

/// The domain ends, if it has not, and the host is as it was.
fn end(host: &Host, vm: &Domain, before: &Snapshot, told: &str) {
    if host.at(format!("proc/{PID}")).exists() {
        assert!(has(host, A), "{told}: the domain has lost its own");
        host.kill(PID).forget_domain("vm1");
    }
    assert!(host.release(vm).succeeded(), "{told}");
    before.assert_unchanged(&host.state());
    assert_eq!(host.ledger(), Vec::<String>::new(), "{told}");
}

fn try_all(what: &str, first: impl Fn(&Host), calls: (Call, Call)) {
    let host = host_with_values();
    let before = host.state();
    let running = vm(&host);
    first(&host);
    host.kernel().reset();
    assert_eq!(calls.0(&host).status, Some(0));
    let deaths = deaths(&host);
    end(&host, &running, &before, what);
    let mut tried = 0;
    for (at, kind, told) in &deaths {
        for next in NEXT {
            let told = format!("{what}: {told}, then {next:?}");
            let running = vm(&host);
            first(&host);
            host.kernel().fault(*at, *kind);
            calls.0(&host).killed();
            host.kernel().reset();
            go_on(&host, calls, next, &told);
            end(&host, &running, &before, &told);
            tried += 1;
        }
    }
    crate::counts::assert_told(what, deaths.len() as u64, tried);
}

#[test]
fn a_create_may_die_at_any_step() {
    try_all("create for a domain that runs", |_| {}, (CREATE, REMOVE));
}

#[test]
fn a_remove_may_die_at_any_step() {
    let first = |host: &Host| assert_eq!(CREATE(host).status, Some(0));
    try_all("remove from a domain that runs", first, (REMOVE, CREATE));
}
