//! Devices that make way for a domain's own, and come back.

use std::collections::BTreeMap;

use super::{device, printed};
use crate::support::strace::{between, points, sample, traced};
use crate::support::{A, B, C, Called, Definition, Host, files, hook, reconcile, sweep};

/// How many calls of an operation are tried where not all are: of those while neither device is there, and of all.
const SAMPLE: usize = 6;

const OPERATIONS: [&str; 2] = ["prepare begin", "release end"];

/// One more that stands apart.
const D: &str = "dddddddd-0000-4000-8000-000000000004";

/// Four that were made beforehand fill their parent; one of them may be replaced.
struct Full {
    host: Host,
    name: String,
    xml: String,
    own: &'static str,
    counts: BTreeMap<String, String>,
}

impl Full {
    fn new() -> Self {
        let host = Host::without_libvirt();
        let (name, xml) = printed(4, &["idle"]);
        for uuid in [A, B, C] {
            let definition = Definition {
                parent: "mbochs",
                mdev_type: "mbochs-large",
                attributes: &[("power/control", "on")],
            };
            host.define(uuid, &definition);
        }
        for uuid in [A, B, C, D] {
            host.create_by_hand("mbochs", "mbochs-large", uuid);
        }
        // strace follows what goes on in the background, and kills that as well, time and again.
        host.settings("[timeouts]\nretry = 5\n");
        host.pool("idle", &format!("[[member]]\ndevice = '{A}'\nreplace = true\n"));
        Full {
            host,
            name,
            xml,
            own: device(4, 0),
            counts: files::counts(),
        }
    }

    fn call(&self, operation: &str) -> Called {
        hook(&self.name, operation, &self.xml)
    }

    /// The domain has its own, and A is away.
    #[track_caller]
    fn assert_swapped(&self) {
        self.host.assert_device(self.own, "mbochs", "mbochs-large");
        self.host.assert_no_device(A);
    }

    /// All four are there, and nothing is known or owed any more.
    #[track_caller]
    fn assert_back(&self, told: &str) {
        for uuid in [A, B, C, D] {
            self.host.assert_device(uuid, "mbochs", "mbochs-large");
        }
        let (counts, active) = (files::counts(), files::active().len());
        assert_eq!((counts, active), (self.counts.clone(), 4), "{told}");
        assert_eq!(files::ledger(), Vec::<String>::new(), "{told}");
    }

    fn end(self) {
        for uuid in [A, B, C, D] {
            self.host.remove_by_hand(uuid);
        }
        self.host.assert_clean();
    }

    fn set_up(&self, operation: &str) {
        if operation.starts_with("release") {
            self.call("prepare begin").assert_fine();
        }
    }

    /// Kills an operation at so many of its system calls, or at all, and lets each of the three that may come next go on.
    fn kill(&self, operation: &str, size: Option<usize>) {
        self.set_up(operation);
        traced(&self.name, operation, &self.xml, &[]).assert_fine();
        let points = points();
        // One is written to the file `remove`, the other to `create`.
        let away = between(&points, "remove\"", "create\"");
        assert!(away.len() > SAMPLE, "{away:?}");
        self.call("release end").assert_fine();
        let mut chosen = sample(&points, size);
        chosen.extend(size.map_or(Vec::new(), |size| sample(&away, Some(size))));
        let (mut killed, mut in_between) = (0, 0);
        for (turn, point) in chosen.iter().enumerate() {
            self.set_up(operation);
            killed += usize::from(point.kill(&self.name, operation, &self.xml));
            let told = format!("{operation}, killed at {} {}", point.name, point.nth);
            let is_there = |uuid: &str| files::active().iter().any(|active| active == uuid);
            in_between += u32::from(!is_there(A) && !is_there(self.own));
            // A start that outlived the process that was killed, and failed, has nothing that a stop could be about.
            let has_failed = operation.starts_with("prepare")
                && !files::ledger()
                    .iter()
                    .any(|entry| entry.starts_with("claimants/"));
            match turn % 3 {
                0 => {
                    self.call("prepare begin").assert_fine();
                    self.assert_swapped();
                    self.call("release end").assert_fine();
                }
                1 if !has_failed => self.call("release end").assert_fine(),
                // Nothing of libvirt's lives that the claim could belong to.
                _ => {
                    let reconciled = reconcile();
                    assert_eq!(reconciled.status, Some(0), "{told}: {reconciled:?}");
                }
            }
            sweep(&told);
            self.assert_back(&told);
        }
        println!(
            "{operation}: killed at {killed} of {} system calls, {in_between} times with neither there",
            points.len()
        );
        assert!(killed > chosen.len() / 2 && in_between > 0, "{operation}");
    }
}

#[test]
fn a_device_makes_way_and_comes_back() {
    let full = Full::new();
    let inode = files::inode("mbochs", A);
    full.call("prepare begin").assert_fine();
    full.assert_swapped();
    full.call("prepare begin").assert_fine();
    full.assert_swapped();
    full.call("release end").assert_fine();
    full.assert_back("released");
    assert_ne!(files::inode("mbochs", A), inode, "made anew");
    let control = std::fs::read_to_string(files::device("mbochs", A).join("power/control"));
    assert_eq!(control.expect("an attribute"), "on\n", "as it is defined");
    full.end();
}

#[test]
fn it_comes_back_after_a_death_in_between() {
    let full = Full::new();
    for operation in OPERATIONS {
        full.kill(operation, Some(SAMPLE));
    }
    full.end();
}

#[test]
#[ignore = "long: every system call; cargo xtask test --full runs it"]
fn it_comes_back_after_a_death_at_any_system_call() {
    let full = Full::new();
    for operation in OPERATIONS {
        full.kill(operation, None);
    }
    full.end();
}
