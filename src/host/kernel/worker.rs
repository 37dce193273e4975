//! The child process that writes into sysfs, and reads there what may take its time: how it is started, asked and left.

#![allow(unsafe_code, reason = "fork has no safe form")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{self, AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe2};

use super::serve::{read_once, serve};
use super::{Kernel, Lines, LinesRead, ReadError, Target, WriteError, lines};
use crate::host::clock::Deadline;

/// More than any path and value of sysfs together (an attribute takes at most one page).
pub(super) const LARGEST: usize = 64 << 10;

/// The first byte of a request: what is wanted.
pub(super) const WRITE: &[u8] = b"w";
pub(super) const READ: &[u8] = b"r";
pub(super) const READ_LINES: &[u8] = b"l";
pub(super) const HAS_ARGUMENT: &[u8] = b"a";

/// A file of sysfs holds at most one page.
pub(super) const PAGE: usize = 4096;

/// The largest answer: an errno and a page.
const ANSWER: usize = 4 + PAGE;

/// So long after the last answer of many a driver is noticed at the latest that does not answer.
const LOOK: Duration = Duration::from_millis(100);

/// The content of the answer that there is such an argument.
pub(super) const FOUND: &[u8] = b"1";

/// The answer for [`WriteError::Replaced`]; every other one is an errno, or 0.
pub(super) const REPLACED: i32 = -1;

/// The machine's sysfs.
#[derive(Debug, Default)]
pub struct Sysfs {
    worker: RefCell<Option<Worker>>,
    /// Arguments of processes that could not be read in time.
    silent: RefCell<BTreeSet<PathBuf>>,
}

impl Kernel for Sysfs {
    fn write(&self, target: Target<'_>, value: &[u8], deadline: Deadline) -> Result<(), WriteError> {
        if deadline.has_passed() {
            return Err(WriteError::NotTried);
        }
        // The kernel takes no more at once, and the worker must not get half of it.
        if value.len() > PAGE {
            return Err(WriteError::Refused(Errno::EMSGSIZE));
        }
        let inode = target.inode.unwrap_or_default().to_ne_bytes();
        let folder = target.folder.as_os_str().as_bytes();
        let file = target.file.as_bytes();
        let parts = [WRITE, &inode[..], folder, b"\0", file, b"\0", value].map(IoSlice::new);
        match self.ask(&parts, target.keep, deadline) {
            Ok((0, _)) => Ok(()),
            Ok((REPLACED, _)) => Err(WriteError::Replaced),
            Ok((errno, _)) => Err(WriteError::Refused(Errno::from_raw(errno))),
            Err(NoAnswer::TimedOut | NoAnswer::NoTime) => Err(WriteError::TimedOut),
            Err(NoAnswer::NoWorker(errno)) => Err(WriteError::NoWorker(errno)),
        }
    }

    fn read(&self, path: &Path, deadline: Deadline) -> Result<Vec<u8>, ReadError> {
        if deadline.has_passed() {
            return Err(ReadError::NoTime);
        }
        let parts = [READ, path.as_os_str().as_bytes()].map(IoSlice::new);
        match self.ask(&parts, None, deadline) {
            Ok((0, content)) => Ok(content),
            Ok((errno, _)) => Err(ReadError::Refused(Errno::from_raw(errno))),
            Err(NoAnswer::TimedOut | NoAnswer::NoTime) => Err(ReadError::TimedOut),
            Err(NoAnswer::NoWorker(errno)) => Err(ReadError::NotTried(errno)),
        }
    }

    fn has_argument(&self, path: &Path, text: &str, deadline: Deadline) -> Result<bool, ReadError> {
        // A process that did not answer is not waited for again.
        if self.silent.borrow().contains(path) {
            return Err(ReadError::TimedOut);
        }
        let path_bytes = path.as_os_str().as_bytes();
        let parts = [HAS_ARGUMENT, path_bytes, b"\0", text.as_bytes()].map(IoSlice::new);
        match self.ask(&parts, None, deadline) {
            Ok((0, content)) => Ok(content == FOUND),
            Ok((errno, _)) => Err(ReadError::Refused(Errno::from_raw(errno))),
            Err(NoAnswer::TimedOut | NoAnswer::NoTime) => {
                self.silent.borrow_mut().insert(path.to_owned());
                Err(ReadError::TimedOut)
            }
            Err(NoAnswer::NoWorker(errno)) => Err(ReadError::NotTried(errno)),
        }
    }

    fn read_lines(&self, folders: &[Lines], each: Duration, deadline: Deadline) -> Vec<LinesRead> {
        let mut answers = Vec::with_capacity(folders.len());
        while answers.len() < folders.len() && !deadline.has_passed() {
            let rest = &folders[answers.len()..];
            let (request, asked) = lines::request_for(rest, LARGEST - READ_LINES.len());
            let asked = &rest[..asked];
            let mut told = Vec::new();
            let parts = [READ_LINES, &request].map(IoSlice::new);
            let ended = match asked {
                [folder] if lines::fits_into_page(folder) => {
                    self.ask_one(&parts, &mut told, Deadline::after(each))
                }
                _ => self.ask_many(&parts, &mut told, each, deadline),
            };
            let before = answers.len();
            answers.extend(lines::parse(&told, asked).map(Ok));
            let read = answers.len() - before;
            match ended {
                _ if read == asked.len() => {}
                Err(NoAnswer::TimedOut) => {
                    answers.push(Err(ReadError::TimedOut));
                    break;
                }
                Err(NoAnswer::NoTime) => break,
                Err(NoAnswer::NoWorker(errno)) => answers.push(Err(ReadError::NotTried(errno))),
                // The pipe was full.
                Ok(_) if read > 0 => {}
                Ok(errno) => answers.push(Err(ReadError::NotTried(Errno::from_raw(errno)))),
            }
        }
        answers
    }

    fn ready(&self) {
        let mut worker = self.worker.borrow_mut();
        if worker.as_ref().is_none_or(|worker| worker.socket.is_none()) {
            // Where that fails, it is tried again when there is something to be written, and told then.
            *worker = Worker::start().ok();
        }
    }

    fn rest(&self) {
        drop(self.worker.borrow_mut().take());
    }

    fn done(&self) {
        if let Some(worker) = self.worker.borrow_mut().as_mut() {
            worker.socket = None;
        }
    }
}

impl Sysfs {
    /// The program ends here, and does not wait until the process that writes has ended, too: that one does so by itself.
    pub fn leave(self) {
        let Some(worker) = self.worker.into_inner() else {
            return;
        };
        let pid = worker.pid;
        worker.abandon();
        // Where it has by now, the host's first process need not wake up for it.
        let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
    }

    /// Asks the worker.
    fn ask(
        &self,
        parts: &[IoSlice<'_>],
        keep: Option<BorrowedFd<'_>>,
        deadline: Deadline,
    ) -> Result<(i32, Vec<u8>), NoAnswer> {
        self.with_worker(|worker| {
            worker.send(parts, keep)?;
            worker.receive(deadline)
        })
    }

    /// Asks the worker for the lines of one folder.
    fn ask_one(
        &self,
        parts: &[IoSlice<'_>],
        told: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<i32, NoAnswer> {
        let (errno, content) = self.ask(parts, None, deadline)?;
        *told = content;
        Ok(errno)
    }

    /// The same for the lines of many. What it has told is there also where it does not come to the end.
    fn ask_many(
        &self,
        parts: &[IoSlice<'_>],
        told: &mut Vec<u8>,
        each: Duration,
        deadline: Deadline,
    ) -> Result<i32, NoAnswer> {
        let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let (pipe, end) = pipe2(flags).map_err(NoAnswer::NoWorker)?;
        let ended = self.with_worker(|worker| {
            worker.send(parts, Some(end.as_fd()))?;
            let mut patience = Deadline::after(each);
            loop {
                match worker.receive(patience.or_after(LOOK)) {
                    Err(NoAnswer::TimedOut) if drain(&pipe, told) => {
                        if deadline.has_passed() {
                            return Err(NoAnswer::NoTime);
                        }
                        patience = Deadline::after(each);
                    }
                    Err(NoAnswer::TimedOut) if !patience.has_passed() => {}
                    ended => return ended,
                }
            }
        });
        drain(&pipe, told);
        ended.map(|(errno, _)| errno)
    }

    /// Has something asked of the worker, starting one where there is none. One that does not answer is left to itself.
    fn with_worker<T>(&self, ask: impl FnOnce(&Worker) -> Result<T, NoAnswer>) -> Result<T, NoAnswer> {
        let mut slot = self.worker.borrow_mut();
        let worker = match slot.take() {
            Some(worker) if worker.socket.is_some() => slot.insert(worker),
            ended => {
                drop(ended);
                slot.insert(Worker::start().map_err(NoAnswer::NoWorker)?)
            }
        };
        let answer = ask(worker);
        if answer.is_err() {
            slot.take().into_iter().for_each(Worker::abandon);
        }
        answer
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoAnswer {
    TimedOut,
    /// It answers, and there is more of it than can be waited for.
    NoTime,
    NoWorker(Errno),
}

/// A child process, idle or at its one write.
#[derive(Debug)]
struct Worker {
    socket: Option<OwnedFd>,
    pid: Pid,
}

impl Worker {
    fn start() -> Result<Self, Errno> {
        let (ours, theirs) = socket::socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )?;
        // SAFETY: automdev has one thread, so the child may do whatever the parent may.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Worker {
                socket: Some(ours),
                pid: child,
            }),
            ForkResult::Child => {
                drop(ours);
                serve(theirs)
            }
        }
    }

    fn socket(&self) -> Result<&OwnedFd, NoAnswer> {
        self.socket.as_ref().ok_or(NoAnswer::NoWorker(Errno::EPIPE))
    }

    fn send(&self, parts: &[IoSlice<'_>], keep: Option<BorrowedFd<'_>>) -> Result<(), NoAnswer> {
        let socket = self.socket()?;
        let kept: Vec<RawFd> = keep.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&kept)];
        // From here on it is also the message that holds it open.
        let rights = if kept.is_empty() { &[][..] } else { &rights[..] };
        socket::sendmsg::<()>(socket.as_raw_fd(), parts, rights, MsgFlags::MSG_NOSIGNAL, None)
            .map_err(NoAnswer::NoWorker)?;
        Ok(())
    }

    /// The errno of the next answer, or 0, and what was read.
    fn receive(&self, deadline: Deadline) -> Result<(i32, Vec<u8>), NoAnswer> {
        let socket = self.socket()?;
        loop {
            let left = PollTimeout::try_from(deadline.left()).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], left) {
                Ok(0) if deadline.has_passed() => return Err(NoAnswer::TimedOut),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => break,
                Err(errno) => return Err(NoAnswer::NoWorker(errno)),
            }
        }
        let mut answer = [0; ANSWER];
        let length =
            socket::recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()).map_err(NoAnswer::NoWorker)?;
        match answer[..length].split_first_chunk() {
            Some((errno, content)) => Ok((i32::from_ne_bytes(*errno), content.to_vec())),
            None => Err(NoAnswer::NoWorker(Errno::EPIPE)),
        }
    }

    /// Leaves a worker that is stuck in its write to itself: it ends when the driver lets it.
    fn abandon(mut self) {
        self.socket = None;
        std::mem::forget(self);
    }
}

impl Drop for Worker {
    /// An idle worker ends as soon as nobody can ask it any more.
    fn drop(&mut self) {
        self.socket = None;
        while waitpid(self.pid, None) == Err(Errno::EINTR) {}
    }
}

/// Takes what is in a pipe by now; whether there was anything.
fn drain(pipe: &OwnedFd, told: &mut Vec<u8>) -> bool {
    let before = told.len();
    let mut part = [0; ANSWER];
    while let Ok(length @ 1..) = read_once(pipe, &mut part) {
        told.extend(&part[..length]);
    }
    told.len() > before
}
