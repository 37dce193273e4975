//! Processes, as `/proc` shows them (proc(5)).

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::clock::Deadline;
use super::files;
use super::kernel::{Kernel, ReadError};
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

/// The process of that number, unless it has ended, or that cannot be told.
#[must_use]
pub fn find(root: &Root, pid: u32) -> Option<Process> {
    look_for(root, pid).ok().flatten()
}

/// The process of that number, unless it has ended: one that only waits to be reaped has.
///
/// # Errors
/// It cannot be told: there are too many open files on the host, say.
pub fn look_for(root: &Root, pid: u32) -> io::Result<Option<Process>> {
    match files::read_start(&root.path("/proc").join(pid.to_string()).join("stat")) {
        Ok(stat) => Ok(parse_stat(pid, &stat)),
        Err(error) if has_ended(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What it means that a file of a process's cannot be read: `/proc` has no such process, or not any more.
fn has_ended(error: &io::Error) -> bool {
    files::is_absent(error) || error.raw_os_error() == Some(Errno::ESRCH as i32)
}

/// What `/proc/PID/stat` says of a process that has not ended.
#[must_use]
pub fn parse_stat(pid: u32, stat: &[u8]) -> Option<Process> {
    // A process may call itself anything, be it no text.
    let stat = String::from_utf8_lossy(stat);
    // The name stands in parentheses, and may hold some itself.
    let (before, rest) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1;
    let name = name.replace(is_unprintable, "?");
    // Counted from field 3, the state.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let state = *fields.first()?;
    let parent = fields.get(1)?.parse().ok()?;
    let threads: u32 = fields.get(17)?.parse().ok()?;
    let began = fields.get(19)?.parse().ok()?;
    // One whose first thread has ended lives on by the others.
    let has_ended = matches!(state, "Z" | "X") && threads <= 1;
    (!has_ended).then_some(Process {
        id: ProcessId { pid, start: began },
        parent,
        name,
    })
}

/// Whether that very process still runs, for all that can be told.
#[must_use]
pub fn runs(root: &Root, id: ProcessId) -> bool {
    match look_for(root, id.pid) {
        Ok(process) => process.is_some_and(|process| process.id == id),
        Err(_) => true,
    }
}

/// Whether a process's arguments hold a text, or cannot be read as long as it runs.
#[must_use]
pub fn may_be_called_with(root: &Root, kernel: &dyn Kernel, pid: u32, text: &str) -> bool {
    // It takes no time where the process's memory is not locked.
    const PATIENCE: Duration = Duration::from_secs(1);
    let line = root.path("/proc").join(pid.to_string()).join("cmdline");
    match kernel.has_argument(&line, text, Deadline::after(PATIENCE)) {
        Ok(has_argument) => has_argument,
        // It has ended.
        Err(ReadError::Refused(Errno::ENOENT | Errno::ESRCH)) => false,
        Err(_) => true,
    }
}

/// Whether arguments, as `/proc/PID/cmdline` has them, hold a text. To be asked of the [`Kernel`]: it may take its time.
///
/// # Errors
/// They cannot be read.
pub fn has_argument(line: &Path, text: &str) -> io::Result<bool> {
    const MOST: u64 = 4 << 20;
    let mut arguments = Vec::new();
    fs::File::open(line)?.take(MOST).read_to_end(&mut arguments)?;
    let mut arguments = arguments.split(|byte| *byte == 0);
    Ok(arguments.any(|argument| argument == text.as_bytes()))
}

/// A process that has a file open, or may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its number; 0 where it cannot be told who there is at all.
    pub pid: u32,
    /// Its program's name.
    pub name: String,
}

impl User {
    fn unknown(error: &io::Error) -> Self {
        User {
            pid: 0,
            name: format!("somebody, for all that can be told: /proc cannot be read: {error}"),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            0 => write!(f, "{}", self.name),
            pid => write!(f, "{} ({pid})", self.name),
        }
    }
}

/// Who has one of these nodes of VFIO's open, found without touching them: to open one, however shortly, makes a
/// QEMU that starts just then fail. Processes that may not be looked into are passed over; one that cannot be looked into for
/// another reason may have it open.
#[must_use]
pub fn users(root: &Root, nodes: &[PathBuf]) -> Vec<User> {
    if nodes.is_empty() || is_vfio_idle(root) {
        return Vec::new();
    }
    who_has_open(root, nodes)
}

/// Who has one of these files open.
fn who_has_open(root: &Root, wanted: &[PathBuf]) -> Vec<User> {
    let proc = root.path("/proc");
    let names = match files::names(&proc) {
        Ok(names) => names,
        Err(error) => return vec![User::unknown(&error)],
    };
    let pids = names.iter().filter_map(|name| name.parse::<u32>().ok());
    let is_told = open_files(&proc.join("self/fd")).is_some_and(|count| count > 0);
    let has_none = |descriptors: &Path| is_told && open_files(descriptors) == Some(0);
    pids.map(|pid| (pid, proc.join(pid.to_string()).join("fd")))
        .filter(|(_, descriptors)| !has_none(descriptors) && has_open(descriptors, wanted))
        .filter_map(|(pid, _)| match look_for(root, pid) {
            Ok(process) => process.map(|Process { name, .. }| User { pid, name }),
            Err(error) => Some(User::unknown(&error)),
        })
        .collect()
}

/// Whether the kernel's count of uses says that nobody has a group or a device of VFIO's open. Each module that builds
/// on VFIO's holds it once (`holders`). From Linux 6.11 on, so does the pseudo file system of all its devices, while
/// there are any; before, somebody's container may be that one. Who has a device open holds it at least twice, by the
/// group, which an open device keeps open, or by the device's own node. False where VFIO is no module.
fn is_vfio_idle(root: &Root) -> bool {
    let module = root.path("/sys/module/vfio");
    let Ok(holders) = files::names(&module.join("holders")) else {
        return false;
    };
    // A holder that comes in between makes it seem in use. One that goes may hide a user: as one that comes later is
    // not seen, either.
    let count = files::read_short(&module.join("refcnt")).and_then(|count| count.parse().ok());
    count.is_some_and(|count: usize| (holders.len()..=holders.len() + 1).contains(&count))
}

/// How many files a process has open, as the size of that folder tells since Linux 6.2; it was 0 before (`proc_pid_fd(5)`).
/// Most processes of a host are the kernel's own, which have none.
fn open_files(descriptors: &Path) -> Option<u64> {
    fs::metadata(descriptors).ok().map(|found| found.len())
}

/// Whether a process has one of these files open; also where that cannot be told, though we may look.
fn has_open(descriptors: &Path, wanted: &[PathBuf]) -> bool {
    match files::names(descriptors) {
        Ok(names) => names
            .iter()
            .filter_map(|name| fs::read_link(descriptors.join(name)).ok())
            .any(|file| wanted.contains(&file)),
        Err(error) => !has_ended(&error) && error.kind() != io::ErrorKind::PermissionDenied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_this_machine_is_found_by_what_it_has_open() {
        let folder = std::env::temp_dir().canonicalize().expect("a folder");
        let path = folder.join(format!("automdev-open-{}", std::process::id()));
        // A child of another test may have it for a moment, too.
        let have_it = || {
            let users = who_has_open(&Root::default(), std::slice::from_ref(&path));
            users.iter().any(|user| user.pid == std::process::id())
        };
        let file = fs::File::create(&path).expect("a file");
        let before = have_it();
        drop(file);
        let after = have_it();
        fs::remove_file(&path).expect("the file");
        assert!(before && !after, "{before} {after}");
    }
}
