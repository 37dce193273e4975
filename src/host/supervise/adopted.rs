//! The processes that become ours because those that started them have ended: a QEMU that goes into the
//! background.

use std::fs;
use std::path::PathBuf;

use crate::host::processes;
use crate::host::root::Root;
use crate::model::claim::ProcessId;

/// The processes that have become ours beside the one that we started.
#[derive(Debug)]
pub(super) struct Adopted<'a> {
    root: &'a Root,
    started: u32,
    known: Vec<ProcessId>,
}

impl<'a> Adopted<'a> {
    /// None so far beside `started`.
    pub(super) fn new(root: &'a Root, started: u32) -> Self {
        Adopted {
            root,
            started,
            known: Vec::new(),
        }
    }

    /// Those that are new. A QEMU may leave others behind that outlive it (a script for its network that starts
    /// a server): as long as there is one of the program that we started, only such ones count.
    pub(super) fn look(&mut self) -> Vec<ProcessId> {
        let children = children(self.root).into_iter().filter(|pid| *pid != self.started);
        let mut found: Vec<ProcessId> = children
            .filter_map(|pid| processes::find(self.root, pid))
            .map(|process| process.id)
            .filter(|id| !self.known.contains(id))
            .collect();
        if found.is_empty() {
            return found;
        }
        let program = self.program(self.started);
        if program.is_some() {
            found.retain(|id| self.program(id.pid) == program);
        }
        self.known.extend(&found);
        found
    }

    /// All that there have been.
    pub(super) fn all(&self) -> &[ProcessId] {
        &self.known
    }

    fn program(&self, pid: u32) -> Option<PathBuf> {
        fs::read_link(self.root.path("/proc").join(pid.to_string()).join("exe")).ok()
    }
}

/// Our children (proc(5), `/proc/PID/task/TID/children`).
fn children(root: &Root) -> Vec<u32> {
    let own = std::process::id().to_string();
    let path = root
        .path("/proc")
        .join(&own)
        .join("task")
        .join(&own)
        .join("children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_ascii_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}
