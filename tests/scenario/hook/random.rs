//! Starts, stops, deaths and other people's doings in any order, made from a seed: the rules that hold always
//! hold after each.

use super::*;
use std::collections::BTreeSet;

use nix::errno::Errno;

const SEEDS: u64 = 12;
const STEPS: u32 = 25;

/// xorshift64*, by Vigna.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let index = self.below(from.len() as u64);
        from[usize::try_from(index).expect("small")]
    }
}

const DEVICES: [(&str, &str, &str); 3] = [
    (A, "mdpy", "mdpy-hd"),
    (B, "mdpy", "mdpy-vga"),
    (C, "mtty", "mtty-2"),
];

struct World {
    host: Host,
    random: Random,
    /// What somebody else made, and is there.
    foreign: BTreeSet<&'static str>,
    /// What each domain was given.
    given: [Vec<&'static str>; 3],
    told: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let host = Host::new();
        host.timeouts("claim = 0\nidle = 0.05\nretry = 0")
            .mdpy_of(2)
            .mtty();
        for (uuid, parent, type_name) in DEVICES {
            host.definition(parent, uuid, type_name, &[("power/control", "on")]);
        }
        World {
            host,
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            foreign: BTreeSet::new(),
            given: Default::default(),
            told: vec![format!("seed {seed}")],
        }
    }

    fn domain(which: usize, wanted: &[&str]) -> Domain {
        let number = u32::try_from(which).expect("small");
        let domain = Domain::new(&format!("vm{which}"), number);
        wanted.iter().fold(domain, |domain, uuid| domain.with(uuid))
    }

    fn tell(&mut self, what: String) {
        self.told.push(what);
    }

    fn step(&mut self) {
        let which = self.random.pick(&[0, 1, 2]);
        match self.random.below(10) {
            0..=3 => self.prepare(which, None),
            4 | 5 => self.release(which, None),
            6 => {
                let fault = self.fault();
                self.prepare(which, Some(fault));
            }
            7 => {
                let fault = self.fault();
                self.release(which, Some(fault));
            }
            8 => self.make_foreign(),
            _ => self.remove_by_hand(),
        }
        self.check();
    }

    fn fault(&mut self) -> (u64, FaultKind) {
        let at = self.random.below(14) + 1;
        let kind = self.random.pick(&[
            FaultKind::KillBefore,
            FaultKind::KillAfter,
            FaultKind::Fail(Errno::EIO as i32),
            FaultKind::Fail(Errno::ENOSPC as i32),
        ]);
        (at, kind)
    }

    fn prepare(&mut self, which: usize, fault: Option<(u64, FaultKind)>) {
        let mut wanted: Vec<&'static str> = DEVICES.iter().map(|(uuid, ..)| *uuid).collect();
        wanted.retain(|_| self.random.below(2) == 0);
        let vm = World::domain(which, &wanted);
        let answer = match fault {
            Some((at, kind)) => self.host.prepare_with(at, kind, &vm),
            None => self.host.prepare(&vm),
        };
        self.tell(format!("prepare {} {wanted:?} {fault:?}: {answer:?}", vm.name));
        if answer.status == Some(0) {
            for uuid in &wanted {
                self.take(which, uuid);
                let control = self
                    .host
                    .read(format!("sys/bus/mdev/devices/{uuid}/power/control"));
                let expected = if self.foreign.contains(uuid) { "auto" } else { "on" };
                assert_eq!(control.as_deref(), Some(expected), "{uuid}: {:#?}", self.told);
            }
            self.given[which] = wanted;
        } else {
            // libvirt calls `release` after a failed start, and not where its hook was killed with it.
            if answer.signal.is_none() {
                self.release(which, None);
            }
            self.given[which].clear();
        }
    }

    /// A device is given to one domain; whoever had it has lost it.
    fn take(&mut self, which: usize, uuid: &str) {
        for (other, given) in self.given.iter_mut().enumerate() {
            if other != which {
                given.retain(|has| *has != uuid);
            }
        }
    }

    fn release(&mut self, which: usize, fault: Option<(u64, FaultKind)>) {
        let vm = World::domain(which, &[]);
        let answer = match fault {
            Some((at, kind)) => self.host.release_with(at, kind, &vm),
            None => self.host.release(&vm),
        };
        self.tell(format!("release {} {fault:?}: {answer:?}", vm.name));
        if fault.is_none() {
            assert_eq!(answer.status, Some(0), "{:#?}", self.told);
        }
        self.given[which].clear();
    }

    /// Somebody makes a device of a UUID that nobody has, and of which automdev knows nothing.
    fn make_foreign(&mut self) {
        let (uuid, parent, type_name) = self.random.pick(&DEVICES);
        let is_known = self.host.at(format!("run/automdev/devices/{uuid}")).exists();
        let path =
            format!("sys/class/mdev_bus/{parent}/mdev_supported_types/{type_name}/available_instances");
        let has_room = self.host.read(path).as_deref() != Some("0");
        if !is_known && has_room && !self.host.is_below(parent, uuid) {
            self.host.active(parent, type_name, uuid);
            self.foreign.insert(uuid);
            self.tell(format!("somebody makes {uuid}"));
        }
    }

    /// Somebody removes any device, be it ours; perhaps to make it again.
    fn remove_by_hand(&mut self) {
        let (uuid, parent, type_name) = self.random.pick(&DEVICES);
        if !self.host.is_below(parent, uuid) {
            return;
        }
        self.host.remove(uuid);
        self.foreign.remove(uuid);
        for given in &mut self.given {
            given.retain(|has| *has != uuid);
        }
        let record = self.host.json(&format!("run/automdev/devices/{uuid}"));
        let again = self.random.below(2) == 0 && (record.is_null() || record["inode"].is_u64());
        if again {
            self.host.active(parent, type_name, uuid);
            self.foreign.insert(uuid);
        }
        self.tell(format!("somebody removes {uuid}, and makes it again: {again}"));
    }

    #[track_caller]
    fn check(&self) {
        for (uuid, parent, _) in DEVICES {
            let is_there = self.host.is_below(parent, uuid);
            let is_recorded = self.host.at(format!("run/automdev/devices/{uuid}")).exists();
            let is_foreign = self.foreign.contains(uuid);
            let told = &self.told;
            assert!(
                !is_foreign || is_there,
                "{uuid} was not ours to remove: {told:#?}"
            );
            assert!(
                is_foreign || !is_there || is_recorded,
                "{uuid} has no record: {told:#?}"
            );
            let is_given = self.given.iter().any(|given| given.contains(&uuid));
            assert!(
                !is_given || is_there,
                "{uuid} is gone under its domain: {told:#?}"
            );
        }
    }

    fn end(mut self) {
        for which in 0..3 {
            self.release(which, None);
        }
        self.check();
        let left: Vec<&str> = DEVICES
            .iter()
            .filter(|(uuid, parent, _)| self.host.is_below(parent, uuid))
            .map(|(uuid, ..)| *uuid)
            .collect();
        let foreign: Vec<&str> = DEVICES
            .iter()
            .map(|(uuid, ..)| *uuid)
            .filter(|uuid| self.foreign.contains(uuid))
            .collect();
        assert_eq!(left, foreign, "{:#?}", self.told);
        assert_eq!(self.host.ledger(), Vec::<String>::new(), "{:#?}", self.told);
    }
}

#[test]
fn whatever_happens_the_rules_hold() {
    for seed in 1..=SEEDS {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.end();
    }
}
