//! What all who take part know of each other: who has made what by hand, and who may rely on which device. It is only
//! said once it is so, and no longer said before it ends, so that whoever looks in between can tell right from wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::support::files;

/// A device that is there: which one it is, the inode of its folder says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct There {
    pub(super) parent: &'static str,
    pub(super) inode: u64,
}

/// Somebody who may rely on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) who: String,
    pub(super) uuid: &'static str,
    pub(super) there: There,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    /// Made by hand, and not about to be removed by their makers.
    pub(super) hands: BTreeMap<&'static str, There>,
    /// All that were ever made by hand, by their inodes.
    pub(super) ever: BTreeSet<u64>,
    /// About to be made by hand.
    pub(super) intents: BTreeSet<&'static str>,
    /// How often one was taken away by hand, counted at the beginning and at the end.
    pub(super) turns: BTreeMap<&'static str, u64>,
    /// Who may rely on what.
    pub(super) held: BTreeMap<u64, Held>,
    last: u64,
}

impl Known {
    /// Somebody may rely on that device from now on.
    pub(super) fn hold(&mut self, who: &str, uuid: &'static str, there: There) -> u64 {
        self.last += 1;
        let who = who.to_owned();
        self.held.insert(self.last, Held { who, uuid, there });
        self.last
    }
}

pub(super) struct Stage {
    begun: Instant,
    end: Instant,
    is_over: AtomicBool,
    known: Mutex<Known>,
    counts: Mutex<BTreeMap<&'static str, usize>>,
    told: Mutex<Vec<String>>,
    faults: Mutex<Vec<String>>,
    longest: Mutex<Duration>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    pub(super) fn new(duration: Duration) -> Self {
        let begun = Instant::now();
        Stage {
            begun,
            end: begun + duration,
            is_over: AtomicBool::new(false),
            known: Mutex::default(),
            counts: Mutex::default(),
            told: Mutex::default(),
            faults: Mutex::default(),
            longest: Mutex::default(),
        }
    }

    pub(super) fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed) && Instant::now() < self.end
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }

    /// One more of that kind.
    pub(super) fn count(&self, what: &'static str) {
        *lock(&self.counts).entry(what).or_default() += 1;
    }

    /// Notes what is done, for who has to understand a fault.
    pub(super) fn tell(&self, what: &str) {
        let at = self.begun.elapsed().as_secs_f64();
        lock(&self.told).push(format!("{at:7.2} {what}"));
    }

    /// Something is not as it should be; that ends it.
    pub(super) fn fault(&self, what: String) {
        self.tell(&format!("FAULT: {what}"));
        lock(&self.faults).push(what);
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub(super) fn took(&self, duration: Duration) {
        let mut longest = lock(&self.longest);
        *longest = duration.max(*longest);
    }

    /// What went wrong, with what was done before.
    pub(super) fn faults(&self) -> Vec<String> {
        let faults = lock(&self.faults).clone();
        if faults.is_empty() {
            return faults;
        }
        let told = lock(&self.told);
        let last = told.len().saturating_sub(60);
        [&faults[..], &told[last..]].concat()
    }

    /// The numbers of all that was done.
    pub(super) fn report(&self) -> String {
        let counts = lock(&self.counts);
        let operations: usize = counts
            .iter()
            .filter(|(what, _)| !what.starts_with("of them") && **what != "observations")
            .map(|(_, count)| count)
            .sum();
        let shown: Vec<String> = counts
            .iter()
            .map(|(what, count)| format!("{what} {count}"))
            .collect();
        format!(
            "{:.1} minutes, {operations} operations: {}; the longest call took {:.1} s",
            self.begun.elapsed().as_secs_f64() / 60.0,
            shown.join(", "),
            lock(&self.longest).as_secs_f64()
        )
    }

    /// Nobody may rely on it any more.
    pub(super) fn let_go(&self, number: u64) {
        self.known().held.remove(&number);
    }
}

/// The device of that UUID, wherever it is.
pub(super) fn there(uuid: &str) -> Option<There> {
    ["mtty", "mdpy", "mbochs"].into_iter().find_map(|parent| {
        let inode = fs::metadata(files::device(parent, uuid)).ok()?.ino();
        Some(There { parent, inode })
    })
}
