//! What calls could leave on a host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::files;

/// All that has to be as before once everything is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// The devices.
    active: Vec<String>,
    /// What all types of all parents have left.
    counts: BTreeMap<String, String>,
    /// The nodes below /dev, what there is below /run/automdev, and of /run and sysfs what devices come and go with.
    names: BTreeSet<String>,
}

impl Left {
    pub(crate) fn now() -> Self {
        let mut names = BTreeSet::new();
        for folder in ["/dev", "/run/automdev"] {
            files_below(Path::new(folder), &mut names);
        }
        for folder in ["/run", "/sys/kernel/iommu_groups", "/sys/class/vfio"] {
            names_in(folder, &mut names);
        }
        for parent in ["mtty", "mdpy", "mbochs"] {
            names_in(&format!("/sys/class/mdev_bus/{parent}"), &mut names);
        }
        // These stay: see the top of src/host/ledger.rs.
        names.retain(|file| !file.starts_with("/run/automdev/locks/") && file != "/run/automdev");
        Left {
            active: files::active(),
            counts: files::counts(),
            names,
        }
    }

    /// All is as it was then, as soon as udev has caught up.
    #[track_caller]
    pub(crate) fn assert_unchanged(&self, told: &str) {
        let begun = Instant::now();
        let mut now = Left::now();
        while now != *self && begun.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_millis(100));
            now = Left::now();
        }
        let (before, now) = (self.lines(), now.lines());
        let new: Vec<&String> = now.difference(&before).collect();
        let gone: Vec<&String> = before.difference(&now).collect();
        assert!(
            new.is_empty() && gone.is_empty(),
            "{told}: new {new:#?}, gone {gone:#?}"
        );
    }

    fn lines(&self) -> BTreeSet<String> {
        let active = self.active.iter().map(|uuid| format!("device {uuid}"));
        let counts = self.counts.iter();
        let counts = counts.map(|(mdev_type, free)| format!("{free} free of {mdev_type}"));
        active.chain(counts).chain(self.names.iter().cloned()).collect()
    }
}

fn names_in(folder: &str, found: &mut BTreeSet<String>) {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    found.extend(names.map(|entry| entry.path().display().to_string()));
}

fn files_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files_below(&path, found);
        } else {
            found.insert(path.display().to_string());
        }
    }
}

/// How many files the kernel has open, for everybody; not to be taken too literally, as it counts for each processor
/// and frees late (`proc_sys_fs(5)`).
pub(crate) fn open_files() -> u64 {
    let text = fs::read_to_string("/proc/sys/fs/file-nr").expect("the kernel tells");
    let first = text.split_ascii_whitespace().next();
    first.and_then(|count| count.parse().ok()).expect("a number")
}
