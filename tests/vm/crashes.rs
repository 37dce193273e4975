//! The real program on the real kernel, killed at a system call of a start or of a stop, or told by one that it failed:
//! strace does it. A sample of the calls belongs to each run, all of them to the long one.

use std::collections::BTreeMap;
use std::fs;

use crate::support::strace::{Point, points, sample, traced, was_hit};
use crate::support::{A, Called, Definition, DomainXml, Host, Virsh, files, hook, reconcile, sweep};

/// How many calls of an operation are tried where not all are.
const SAMPLE: usize = 8;

/// What a call may answer instead of doing its work.
const FAILURES: [(&str, &[&str]); 17] = [
    ("openat", &["EMFILE", "EACCES", "ENOMEM", "EIO"]),
    ("read", &["EIO", "EINTR"]),
    ("write", &["ENOSPC", "EIO", "EINTR"]),
    ("pread64", &["EIO"]),
    ("pwrite64", &["ENOSPC"]),
    ("mkdirat", &["ENOSPC", "EACCES"]),
    ("mkdir", &["ENOSPC", "EACCES"]),
    ("rename", &["ENOSPC", "EIO"]),
    ("renameat", &["ENOSPC", "EIO"]),
    ("unlink", &["EIO", "EACCES"]),
    ("unlinkat", &["EIO", "EACCES"]),
    ("flock", &["EINTR", "ENOMEM"]),
    ("fcntl", &["EINTR"]),
    ("fork", &["ENOMEM"]),
    ("clone", &["ENOMEM"]),
    ("socketpair", &["EMFILE", "ENOMEM"]),
    ("poll", &["EINTR", "ENOMEM"]),
];

/// A domain with one device, which has an attribute.
struct Subject {
    host: Host,
    xml: String,
}

impl Subject {
    fn new() -> Self {
        let host = Host::without_libvirt();
        // strace follows what goes on in the background, and kills that as well, time and again.
        host.settings("[timeouts]\nretry = 5\n");
        let attributes = &[("power/control", "on")];
        host.define(
            A,
            &Definition {
                parent: "mtty",
                mdev_type: "mtty-1",
                attributes,
            },
        );
        let xml = DomainXml::new("vm").with(A).printed();
        Subject { host, xml }
    }

    /// Brings the host to where the operation can be tried.
    fn set_up(&self, operation: &str) {
        if operation.starts_with("release") {
            hook("vm", "prepare begin", &self.xml).assert_fine();
        }
    }

    /// All that can be killed or fail.
    fn points(&self, operation: &str) -> Vec<Point> {
        self.set_up(operation);
        traced("vm", operation, &self.xml, &[]).assert_fine();
        hook("vm", "release end", &self.xml).assert_fine();
        points()
    }

    /// Every device has a record.
    #[track_caller]
    fn assert_known(told: &str) {
        let known = files::ledger();
        for uuid in files::active() {
            assert!(known.contains(&format!("devices/{uuid}")), "{told}: {known:?}");
        }
    }

    /// The device is as it is defined.
    #[track_caller]
    fn assert_whole(&self, told: &str) {
        self.host.assert_device(A, "mtty", "mtty-1");
        let control = fs::read_to_string(files::device("mtty", A).join("power/control"));
        assert_eq!(control.expect("an attribute"), "on\n", "{told}");
    }

    /// What comes after a death, each in its turn; then nothing may be left.
    #[track_caller]
    fn go_on(&self, turn: usize, told: &str) {
        match turn % 4 {
            0 => {
                hook("vm", "prepare begin", &self.xml).assert_fine();
                self.assert_whole(told);
                hook("vm", "release end", &self.xml).assert_fine();
            }
            1 => hook("vm", "release end", &self.xml).assert_fine(),
            // Nothing of libvirt's lives that the claim could belong to.
            2 => reconcile().assert_ended(told),
            _ => {
                let other = DomainXml::new("other").with(A).printed();
                hook("other", "prepare begin", &other).assert_fine();
                self.assert_whole(told);
                hook("other", "release end", &other).assert_fine();
                // What it noted of itself goes at its own end.
                hook("vm", "release end", &self.xml).assert_fine();
            }
        }
        sweep(told);
        self.assert_gone(told);
    }

    #[track_caller]
    fn assert_gone(&self, told: &str) {
        assert_eq!(
            (files::active(), files::ledger()),
            (Vec::new(), Vec::new()),
            "{told}"
        );
        self.host.assert_clean();
    }

    /// Kills the program at each of the points of an operation; returns at how many, and how many there were.
    fn kill(&self, operation: &str, size: Option<usize>) -> (usize, usize) {
        let points = self.points(operation);
        assert!(points.len() > 30, "{points:?}");
        let chosen = sample(&points, size);
        let mut tried = Tried::default();
        for (turn, point) in chosen.iter().enumerate() {
            self.set_up(operation);
            let told = format!("{operation}, killed at {} {}", point.name, point.nth);
            tried.count(point.kill("vm", operation, &self.xml), &told);
            Self::assert_known(&told);
            self.go_on(turn, &told);
        }
        (tried.finish(), points.len())
    }

    /// Lets each of the calls of an operation fail in each of the ways that it can; returns how often.
    fn fail(&self, operation: &str, size: Option<usize>) -> (usize, usize) {
        let points = self.points(operation);
        let ways: BTreeMap<&str, &[&str]> = FAILURES.into_iter().collect();
        let failures: Vec<(&Point, &str)> = points
            .iter()
            .flat_map(|point| {
                let ways = ways.get(point.name.as_str()).copied().unwrap_or_default();
                ways.iter().map(move |way| (point, *way))
            })
            .collect();
        assert!(failures.len() > 30, "{failures:?}");
        let chosen = sample(&failures, size);
        let mut tried = Tried::default();
        for (point, way) in &chosen {
            self.set_up(operation);
            let Point { name, nth, .. } = point;
            let inject = format!("inject={name}:error={way}:when={nth}");
            let arguments = ["-e", &format!("trace={name}"), "-e", &inject];
            let called = traced("vm", operation, &self.xml, &arguments);
            let told = format!("{operation}, {way} from {name} {nth}: {called:?}");
            tried.count(was_hit("(INJECTED)"), &told);
            assert!(called.stderr.lines().count() <= 1, "{told}");
            assert!(matches!(called.status, Some(0 | 1)), "{told}");
            Self::assert_known(&told);
            if operation.starts_with("prepare") {
                if called.status == Some(0) {
                    self.assert_whole(&told);
                } else {
                    assert!(
                        called.stderr.starts_with("automdev: ") || *name == "write",
                        "{told}"
                    );
                }
                hook("vm", "release end", &self.xml).assert_fine();
            } else if !files::ledger().is_empty() {
                // It was said, or is in the journal; whoever comes next has it done.
                reconcile().assert_ended(&told);
            }
            self.assert_gone(&told);
        }
        (tried.finish(), failures.len())
    }
}

/// How often a call was there to be killed at, or to fail: how often the program looks into `/proc` depends on what else
/// runs, so the last of those calls may be there one time and not the next.
#[derive(Default)]
struct Tried {
    hit: usize,
    missed: Vec<String>,
}

impl Tried {
    fn count(&mut self, was_hit: bool, told: &str) {
        if was_hit {
            self.hit += 1;
        } else {
            self.missed.push(told.to_owned());
        }
    }

    /// How often it was; nearly always, or nothing was tried.
    #[track_caller]
    fn finish(self) -> usize {
        let Tried { hit, missed } = self;
        assert!(
            missed.len() <= hit / 3,
            "{hit} were hit, and these were not: {missed:?}"
        );
        hit
    }
}

impl Called {
    #[track_caller]
    fn assert_ended(&self, told: &str) {
        assert_eq!(self.status, Some(0), "{told}: {self:?}");
    }
}

fn kills(size: Option<usize>) {
    let subject = Subject::new();
    for operation in ["prepare begin", "release end"] {
        let (tried, points) = subject.kill(operation, size);
        println!("{operation}: killed at {tried} of {points} system calls");
    }
}

fn failures(size: Option<usize>) {
    let subject = Subject::new();
    for operation in ["prepare begin", "release end"] {
        let (tried, failures) = subject.fail(operation, size);
        println!("{operation}: {tried} of {failures} failures of system calls");
    }
}

#[test]
fn who_dies_at_a_system_call_leaves_what_the_next_mends() {
    kills(Some(SAMPLE));
}

#[test]
fn a_system_call_that_fails_leaves_nothing() {
    failures(Some(SAMPLE));
}

#[test]
#[ignore = "long: every system call; cargo xtask test --full runs it"]
fn who_dies_at_any_system_call_leaves_what_the_next_mends() {
    kills(None);
}

#[test]
#[ignore = "long: every system call; cargo xtask test --full runs it"]
fn any_system_call_that_fails_leaves_nothing() {
    failures(None);
}
