//! The one way in which anything is changed in sysfs: one value, one file, one write. And the one in which is read
//! there what a driver answers for.
//!
//! A driver may block in such a write for as long as it likes, and a signal does not end that (the kernel's
//! `vfio_unregister_group_dev` waits for the device's last user). So the writes are made by a child process,
//! which holds neither our pipes nor our locks: when the deadline passes, it is left to itself.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::clock::Deadline;

mod lines;
mod serve;
mod worker;

pub use worker::Sysfs;

/// A file of sysfs that is to be written.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The folder of the parent or the device; links on the way to it are followed.
    pub folder: &'a Path,
    /// The file's path below it; no link on the way is followed, so that it stays below.
    pub file: &'a str,
    /// The folder's inode, where only this very folder is meant and no later one of the same name.
    pub inode: Option<u64>,
    /// What is kept open until the write has come to its end, whether or not somebody still waits for that: a file
    /// that is locked meanwhile.
    pub keep: Option<BorrowedFd<'a>>,
}

/// Why a value was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The kernel refused it.
    #[error("{}", .0.desc())]
    Refused(Errno),
    /// The kernel did not answer in time; it may still do it.
    #[error("the driver did not answer in time")]
    TimedOut,
    /// The deadline had passed before it could be tried.
    #[error("there was no time left for it")]
    NotTried,
    /// The folder is not the one that was meant.
    #[error("the device is another one by now")]
    Replaced,
    /// The write could not be tried.
    #[error("no process could be started for the write: {}", .0.desc())]
    NoWorker(Errno),
}

/// Why a file of sysfs was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The kernel refused it; ENOENT and ENODEV where there is no such file, or not any more.
    #[error("{}", .0.desc())]
    Refused(Errno),
    /// The driver did not answer in time.
    #[error("the driver did not answer in time")]
    TimedOut,
    /// The deadline had passed before it could be tried.
    #[error("there was no time left for it")]
    NoTime,
    /// It could not be tried.
    #[error("no process could be started for it: {}", .0.desc())]
    NotTried(Errno),
}

/// Files of one line each, all of them answered for by one driver: `FOLDER/NAME/FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines<'a> {
    /// The folder.
    pub folder: PathBuf,
    /// The folders below it.
    pub names: Vec<&'a str>,
    /// The file in each of them.
    pub file: &'a str,
}

/// What such files hold, in their order; or why none of them was read.
pub type LinesRead = Result<Vec<Result<Line, Errno>>, ReadError>;

/// A line, as much of it as is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    bytes: [u8; Line::MOST],
    length: u8,
}

impl Line {
    /// As many bytes are kept: enough for a number.
    pub const MOST: usize = 15;

    /// The start of a text.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        let mut bytes = [0; Line::MOST];
        let length = text.len().min(Line::MOST);
        bytes[..length].copy_from_slice(&text[..length]);
        let length = u8::try_from(length).unwrap_or(u8::MAX);
        Line { bytes, length }
    }

    /// The line.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length.into()]
    }
}

/// A change that automdev makes outside sysfs; the tests stop or fail the program at each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A file is made or replaced.
    Write,
    /// A file is taken away.
    Unlink,
}

/// What takes the writes: the machine's kernel, or in tests a tree that reacts as the kernel does.
pub trait Kernel {
    /// Writes `value` into a file that is there, by one write, neither creating nor truncating it.
    ///
    /// # Errors
    /// See [`WriteError`]. After [`WriteError::TimedOut`] the write may still come to pass.
    fn write(&self, target: Target<'_>, value: &[u8], deadline: Deadline) -> Result<(), WriteError>;

    /// Reads a file that a driver answers for, at most one page of it.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn read(&self, path: &Path, deadline: Deadline) -> Result<Vec<u8>, ReadError>;

    /// Whether a process's arguments (`/proc/PID/cmdline`) hold a text. The kernel answers for them, under a lock of the
    /// process's memory, which a driver that maps it may sit on.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn has_argument(&self, path: &Path, text: &str, deadline: Deadline) -> Result<bool, ReadError>;

    /// Reads the one short line of each of many files, folder by folder. A folder has that much time, and none is begun
    /// after the deadline. One that is not answered in time leaves the others of its folder unanswered, too, and is the
    /// last that is told of: who asks knows which of the others are worth it.
    fn read_lines(&self, folders: &[Lines], each: Duration, deadline: Deadline) -> Vec<LinesRead> {
        let read = |lines: &Lines| {
            let deadline = Deadline::after(each);
            let files = lines.names.iter();
            files
                .map(|name| lines.folder.join(name).join(lines.file))
                .map(|file| match self.read(&file, deadline) {
                    Ok(content) => Ok(Ok(Line::new(&content))),
                    Err(ReadError::Refused(errno)) => Ok(Err(errno)),
                    Err(error) => Err(error),
                })
                .collect()
        };
        let mut answers = Vec::with_capacity(folders.len());
        while answers.len() < folders.len() && !deadline.has_passed() {
            let answer: LinesRead = read(&folders[answers.len()]);
            let is_silent = answer == Err(ReadError::TimedOut);
            answers.push(answer);
            if is_silent {
                break;
            }
        }
        answers
    }

    /// Something will be written soon: what takes the writes may get ready meanwhile.
    fn ready(&self) {}

    /// Nothing will be written for a while: what waits for writes may go.
    fn rest(&self) {}

    /// Nothing more will be written, for all that is known: the same, but nobody waits for its end.
    fn done(&self) {}

    /// Called right before each change outside sysfs; an error is as if the change itself had failed.
    ///
    /// # Errors
    /// None on the machine; in tests, the fault that is to be tried.
    fn before(&self, _change: Change, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}
