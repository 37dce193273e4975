//! A call that dies, at each of its steps, and whatever comes after it: nothing is lost, nothing is left over,
//! nothing half made is used.

use super::*;
use crate::support::Snapshot;

/// What a host has, and what its domain wants.
struct Case {
    name: &'static str,
    devices: &'static [Defined],
}

struct Defined {
    parent: &'static str,
    type_name: &'static str,
    uuid: &'static str,
    attributes: &'static [(&'static str, &'static str)],
}

const CASES: [Case; 2] = [
    Case {
        name: "one device with attributes",
        devices: &[Defined {
            parent: "0000:41:00.0",
            type_name: "nvidia-222",
            uuid: A,
            attributes: &[("power/control", "on"), ("nvidia/vgpu_params", "a=1\n")],
        }],
    },
    Case {
        name: "two devices that fill their parent",
        devices: &[
            Defined {
                parent: "mdpy",
                type_name: "mdpy-hd",
                uuid: A,
                attributes: &[("power/control", "on")],
            },
            Defined {
                parent: "mdpy",
                type_name: "mdpy-vga",
                uuid: B,
                attributes: &[],
            },
        ],
    },
];

impl Case {
    fn host(&self) -> Host {
        let host = Host::new();
        // Nothing is waited for here, and nothing goes on in the background.
        host.timeouts("claim = 0\ngone = 0\nretry = 0");
        host.mtty().mdpy_of(2).nvidia("0000:41:00.0");
        for device in self.devices {
            host.definition(device.parent, device.uuid, device.type_name, device.attributes);
        }
        host
    }

    fn domain(&self, name: &str, number: u32) -> Domain {
        let devices = self.devices.iter();
        devices.fold(Domain::new(name, number), |domain, device| {
            domain.with(device.uuid)
        })
    }

    /// All devices are there, whole.
    #[track_caller]
    fn assert_made(&self, host: &Host, told: &str) {
        let mut lines: Vec<String> = self
            .devices
            .iter()
            .map(|device| format!("{} {} {}", device.uuid, device.type_name, device.parent))
            .collect();
        lines.sort();
        assert_eq!(host.devices(), lines, "{told}");
        for device in self.devices {
            for (path, value) in device.attributes {
                let path = format!("sys/bus/mdev/devices/{}/{path}", device.uuid);
                assert_eq!(host.read(path).as_deref(), Some(value.trim_end()), "{told}");
            }
            assert!(
                host.ledger().contains(&format!("devices/{} ready", device.uuid)),
                "{told}: {:?}",
                host.ledger()
            );
        }
    }
}

/// Every device that is there has a record: what dies leaves a trace.
#[track_caller]
fn assert_recorded(host: &Host, told: &str) {
    for uuid in [A, B] {
        let is_there = ["mtty", "mdpy", "0000:41:00.0"]
            .iter()
            .any(|parent| host.is_below(parent, uuid));
        let record = host.at(format!("run/automdev/devices/{uuid}"));
        assert!(
            !is_there || record.exists(),
            "{told}: {uuid} is there without a record"
        );
    }
}

/// All steps of a call, and the ways to die at each.
pub(crate) fn deaths(host: &Host) -> Vec<(u64, FaultKind, String)> {
    let mut deaths = Vec::new();
    for (number, line) in (1..).zip(host.kernel().log()) {
        deaths.push((number, FaultKind::KillBefore, format!("killed before {line}")));
        // A change outside sysfs is one rename or unlink: after it is before the next.
        if line.contains(" write ") {
            deaths.push((number, FaultKind::KillAfter, format!("killed after {line}")));
        }
    }
    deaths
}

#[derive(Debug, Clone, Copy)]
enum Next {
    /// The same call's domain starts again.
    Prepare,
    /// It stops.
    Release,
    /// Another domain wants the same devices.
    Another,
    /// The same domain starts without them.
    Without,
    /// libvirt's daemon dies, too, and what was left is given back.
    Reconcile,
    /// The same while the daemon and so the domains live, which is as though nothing were done.
    Early,
}

const NEXT: [Next; 6] = [
    Next::Prepare,
    Next::Release,
    Next::Another,
    Next::Without,
    Next::Reconcile,
    Next::Early,
];

/// Goes on after a death, then releases all: the host must be as it was.
#[track_caller]
fn go_on(case: &Case, host: &Host, next: Next, before: &Snapshot, told: &str) {
    // Unless it is another domain that has the devices still.
    let is_alone = host.ledger().iter().all(|line| !line.contains(" other "));
    let (vm, other) = (case.domain("vm1", 1), case.domain("other", 2));
    assert_recorded(host, told);
    match next {
        Next::Prepare => {
            assert!(host.prepare(&vm).succeeded(), "{told}");
            case.assert_made(host, told);
        }
        Next::Release => {
            assert!(host.release(&vm).succeeded(), "{told}");
            if is_alone {
                before.assert_unchanged(&host.state());
            }
        }
        Next::Another => {
            // It is not about to start any more.
            host.age(60);
            assert!(host.prepare(&other).succeeded(), "{told}");
            case.assert_made(host, told);
            // The other one's, by now.
            assert!(host.release(&vm).succeeded(), "{told}");
            case.assert_made(host, told);
        }
        Next::Without => {
            assert!(host.prepare(&Domain::new("vm1", 1)).succeeded(), "{told}");
            if is_alone {
                before.assert_unchanged(&host.state());
            }
        }
        Next::Reconcile => {
            host.stop_libvirt();
            assert_eq!(host.reconcile(&[]).status, Some(0), "{told}");
            host.start_libvirt();
            before.assert_unchanged(&host.state());
            assert_eq!(host.ledger(), Vec::<String>::new(), "{told}");
            assert_eq!(host.reconcile(&[]).stdout, "nothing was left over\n", "{told}");
        }
        Next::Early => {
            let claims = |host: &Host| -> Vec<String> {
                let ledger = host.ledger().into_iter();
                ledger.filter(|line| line.starts_with("claims/")).collect()
            };
            let had = claims(host);
            assert_eq!(host.reconcile(&[]).status, Some(0), "{told}");
            assert_eq!(claims(host), had, "{told}: a claim of one who lives");
            assert!(host.prepare(&vm).succeeded(), "{told}");
            case.assert_made(host, told);
        }
    }
    let told = format!("{told}, and the end");
    let told = told.as_str();
    assert_recorded(host, told);
    for domain in [&vm, &other] {
        if host.ledger().iter().any(|line| line.contains(&domain.claimant())) {
            assert!(host.release(domain).succeeded(), "{told}");
        }
    }
    before.assert_unchanged(&host.state());
    assert_eq!(host.ledger(), Vec::<String>::new(), "{told}");
}

/// Tries every death of `call` after `first`, and everything that may come after it.
fn try_all(what: &str, first: impl Fn(&Case, &Host), call: impl Fn(&Host, &Domain) -> host::Answer) {
    let (mut points, mut tried) = (0, 0);
    for case in &CASES {
        let host = case.host();
        let before = host.state();
        first(case, &host);
        host.kernel().reset();
        assert!(call(&host, &case.domain("vm1", 1)).succeeded());
        let deaths = deaths(&host);
        points += deaths.len();
        for domain in [case.domain("vm1", 1), case.domain("other", 2)] {
            host.release(&domain).done();
        }
        for (at, kind, told) in &deaths {
            for next in NEXT {
                let told = format!("{what}, {}: {told}, then {next:?}", case.name);
                first(case, &host);
                host.kernel().fault(*at, *kind);
                call(&host, &case.domain("vm1", 1)).killed();
                host.kernel().reset();
                go_on(case, &host, next, &before, &told);
                tried += 1;
            }
        }
    }
    crate::counts::assert_told(what, points as u64, tried);
}

#[test]
fn a_prepare_may_die_at_any_step() {
    try_all("prepare", |_, _| {}, |host, vm| host.prepare(vm));
}

#[test]
fn a_second_prepare_may_die_at_any_step() {
    let first = |case: &Case, host: &Host| drop(host.prepare(&case.domain("vm1", 1)).done());
    try_all("a second prepare of the same domain", first, |host, vm| {
        host.prepare(vm)
    });
}

#[test]
fn a_prepare_that_takes_over_may_die_at_any_step() {
    let first = |case: &Case, host: &Host| {
        host.prepare(&case.domain("other", 2)).done();
        host.age(60);
    };
    try_all(
        "prepare that takes a device over from one who is gone",
        first,
        |host, vm| host.prepare(vm),
    );
}

#[test]
fn a_release_may_die_at_any_step() {
    let first = |case: &Case, host: &Host| drop(host.prepare(&case.domain("vm1", 1)).done());
    try_all("release", first, |host, vm| host.release(vm));
}

/// A domain's daemon dies, and then the one that gives back what it left.
#[test]
fn a_reconcile_may_die_at_any_step() {
    let first = |case: &Case, host: &Host| {
        host.prepare(&case.domain("vm1", 1)).done();
        host.stop_libvirt();
    };
    try_all("reconcile", first, |host, _| {
        let mut answer = host.reconcile(&[]);
        host.start_libvirt();
        answer.stdout.clear();
        answer
    });
}

/// So with what a start that died left half made.
#[test]
fn a_reconcile_of_half_made_devices_may_die_at_any_step() {
    let first = |case: &Case, host: &Host| {
        half_made(case, host);
        host.stop_libvirt();
    };
    try_all("reconcile of what was left half made", first, |host, _| {
        let mut answer = host.reconcile(&[]);
        host.start_libvirt();
        answer.stdout.clear();
        answer
    });
}

/// Leaves the domain's devices half made: right after the last one was made.
fn half_made(case: &Case, host: &Host) {
    let vm = case.domain("vm1", 1);
    host.kernel().reset();
    host.prepare(&vm).done();
    let log = host.kernel().log();
    let made = log
        .iter()
        .rposition(|line| line.contains("/create "))
        .expect("a device is made");
    host.release(&vm).done();
    host.prepare_with(made as u64 + 1, FaultKind::KillAfter, &vm)
        .killed();
}

/// A prepare that finds what one that died left is as good a place to die.
#[test]
fn a_prepare_that_mends_may_die_at_any_step() {
    try_all(
        "prepare that mends what was left half made",
        half_made,
        |host, vm| host.prepare(vm),
    );
}

/// What a crash may leave of a file that is replaced: the new one, unfinished, under its own name.
#[test]
fn unfinished_files_are_in_nobodys_way() {
    for case in &CASES {
        let host = case.host();
        let before = host.state();
        let vm = case.domain("vm1", 1);
        host.prepare(&vm).done();
        host.release(&vm).done();
        let claimant = vm.claimant();
        for device in case.devices {
            host.file(
                &format!("run/automdev/devices/.{}.new", device.uuid),
                "{\"schema\":1,",
            );
            fs::create_dir(host.at(format!("run/automdev/claims/{}", device.uuid))).expect("a folder");
            fs::set_permissions(
                host.at(format!("run/automdev/claims/{}", device.uuid)),
                std::os::unix::fs::PermissionsExt::from_mode(0o700),
            )
            .expect("its mode");
            host.file(
                &format!("run/automdev/claims/{}/.{claimant}.new", device.uuid),
                "{",
            );
        }
        host.file(&format!("run/automdev/claimants/.{claimant}.new"), "");
        host.prepare(&vm).done();
        case.assert_made(&host, case.name);
        host.release(&vm).done();
        before.assert_unchanged(&host.state());
    }
}

/// A start that has died before it made anything has made nothing: what is there afterwards under its UUID is of somebody
/// else, though it be the very device that the start was about to make.
#[test]
fn what_somebody_makes_where_a_start_has_died_before_stays() {
    let case = Case {
        name: "one device",
        devices: &[Defined {
            parent: "mtty",
            type_name: "mtty-2",
            uuid: A,
            attributes: &[],
        }],
    };
    let vm = case.domain("vm1", 1);
    let host = case.host();
    host.prepare(&vm).done();
    let log = host.kernel().log();
    let create = log.iter().position(|line| line.contains("/create "));
    let before = create.expect("a device is made") as u64;
    assert!(before > 2, "{log:?}");
    for at in 1..=before {
        for next in NEXT {
            let told = format!(
                "killed after {}, then {next:?}",
                log[usize::try_from(at).expect("small") - 1]
            );
            let host = case.host();
            host.prepare_with(at, FaultKind::KillAfter, &vm).killed();
            host.active("mtty", "mtty-2", A);
            let folder = host.at(format!("sys/class/mdev_bus/mtty/{A}"));
            let inode =
                |folder| std::os::unix::fs::MetadataExt::ino(&fs::metadata(folder).expect("it is there"));
            let made = inode(&folder);
            match next {
                Next::Prepare => drop(host.prepare(&vm).done()),
                Next::Release => drop(host.release(&vm).done()),
                Next::Another => {
                    let other = case.domain("other", 2);
                    host.age(60);
                    host.prepare(&other).done();
                    host.release(&other).done();
                }
                Next::Without => drop(host.prepare(&Domain::new("vm1", 1)).done()),
                Next::Reconcile => {
                    host.stop_libvirt();
                    assert_eq!(host.reconcile(&[]).status, Some(0), "{told}");
                    host.start_libvirt();
                }
                Next::Early => assert_eq!(host.reconcile(&[]).status, Some(0), "{told}"),
            }
            host.release(&vm).done();
            assert_eq!(inode(&folder), made, "{told}");
            host.assert_ledger_empty();
        }
    }
}

/// A start that dies before it makes anything has made nothing, whatever an earlier one that died has left.
#[test]
fn what_was_begun_once_says_nothing_about_the_next_time() {
    let host = Host::new();
    host.timeouts("claim = 0\nretry = 0");
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    let vm = Domain::new("vm1", 1).with(A);
    host.kernel().reset();
    host.prepare(&vm).done();
    let log = host.kernel().log();
    let made = log
        .iter()
        .position(|line| line.contains("/create "))
        .expect("made");
    host.release(&vm).done();
    host.prepare_with(made as u64 + 1, FaultKind::KillBefore, &vm)
        .killed();
    let begun = || host.read(format!("run/automdev/locks/creation-{A}"));
    assert_eq!(begun().as_deref(), Some("+"));
    host.release(&vm).done();
    host.assert_ledger_empty();
    // It has written its record, and waits for the parent.
    let lock = host.lock("parent-mtty");
    let mut child = host.start(&["vm1", "prepare", "begin", "-"], vm.xml().as_bytes());
    while !host.ledger().contains(&format!("devices/{A} creating")) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    drop(lock);
    host.active("mtty", "mtty-2", A);
    host.stop_libvirt();
    host.reconcile(&[]).printed(
        0,
        &[&format!(
            "forgot {A} (mtty-2 on mtty): vm1 is gone; somebody else has made the device anew, which stays"
        )],
    );
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    host.assert_ledger_empty();
}
