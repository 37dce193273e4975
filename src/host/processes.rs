//! Processes, as `/proc` shows them (proc(5)).

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::root::Root;
use crate::model::claim::ProcessId;
use crate::model::names::is_unprintable;

/// A process, as far as automdev asks about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Which.
    pub id: ProcessId,
    /// The number of its parent.
    pub parent: u32,
    /// Its program's name, at most 15 bytes of it, without what a terminal would obey.
    pub name: String,
}

/// The process of that number, unless it has ended: one that only waits to be reaped has.
#[must_use]
pub fn find(root: &Root, pid: u32) -> Option<Process> {
    // A process may call itself anything, be it no text.
    let stat = fs::read(root.path("/proc").join(pid.to_string()).join("stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name stands in parentheses, and may hold some itself.
    let (before, rest) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1;
    let name = name.replace(is_unprintable, "?");
    // Counted from field 3, the state.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let state = *fields.first()?;
    let parent = fields.get(1)?.parse().ok()?;
    let began = fields.get(19)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(Process {
        id: ProcessId { pid, start: began },
        parent,
        name,
    })
}

/// Whether that very process still runs.
#[must_use]
pub fn runs(root: &Root, id: ProcessId) -> bool {
    find(root, id.pid).is_some_and(|process| process.id == id)
}

/// Whether a process's arguments hold a text.
#[must_use]
pub fn is_called_with(root: &Root, pid: u32, text: &str) -> bool {
    const MOST: u64 = 4 << 20;
    let Ok(file) = fs::File::open(root.path("/proc").join(pid.to_string()).join("cmdline")) else {
        return false;
    };
    let mut line = Vec::new();
    if file.take(MOST).read_to_end(&mut line).is_err() {
        return false;
    }
    line.split(|byte| *byte == 0)
        .any(|argument| argument == text.as_bytes())
}

/// A process that has a file open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub pid: u32,
    /// Its program's name.
    pub name: String,
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.pid)
    }
}

/// Who has one of these files open, found without touching the files: to open a VFIO node, however shortly,
/// makes a QEMU that starts just then fail. Processes that may not be looked into are passed over.
#[must_use]
pub fn users(root: &Root, nodes: &[PathBuf]) -> Vec<User> {
    let proc = root.path("/proc");
    if nodes.is_empty() {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(&proc) else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| has_open(&proc.join(pid.to_string()).join("fd"), nodes))
        .filter_map(|pid| {
            find(root, pid).map(|process| User {
                pid,
                name: process.name,
            })
        })
        .collect()
}

fn has_open(descriptors: &Path, nodes: &[PathBuf]) -> bool {
    let Ok(entries) = fs::read_dir(descriptors) else {
        return false;
    };
    entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|file| nodes.contains(&file))
}
