//! The child process that writes into sysfs, and reads there what may take its time.

#![allow(unsafe_code, reason = "fork, close_range and mmap have no safe form")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{IoSlice, IoSliceMut};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
};
use nix::sys::stat::{Mode, fstat};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, read, write};

use super::{Kernel, Lines, LinesRead, ReadError, Target, WriteError, lines};
use crate::host::clock::Deadline;
use crate::host::processes;

/// More than any path and value of sysfs together (an attribute takes at most one page).
const LARGEST: usize = 64 << 10;

/// The first byte of a request: what is wanted.
const WRITE: &[u8] = b"w";
const READ: &[u8] = b"r";
const READ_LINES: &[u8] = b"l";
const HAS_ARGUMENT: &[u8] = b"a";

/// A file of sysfs holds at most one page.
pub(super) const PAGE: usize = 4096;

/// The largest answer: an errno and a page.
const ANSWER: usize = 4 + PAGE;

/// So long after the last answer of many a driver is noticed at the latest that does not answer.
const LOOK: Duration = Duration::from_millis(100);

/// The content of the answer that there is such an argument.
const FOUND: &[u8] = b"1";

/// The answer for [`WriteError::Replaced`]; every other one is an errno, or 0.
const REPLACED: i32 = -1;

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
        if worker.is_none() {
            // Where that fails, it is tried again when there is something to be written, and told then.
            *worker = Worker::start().ok();
        }
    }

    fn rest(&self) {
        drop(self.worker.borrow_mut().take());
    }
}

impl Sysfs {
    /// The program ends here, and does not wait until the process that writes has ended, too: that one does so by itself.
    pub fn leave(self) {
        self.worker.into_inner().into_iter().for_each(Worker::abandon);
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
            Some(worker) => slot.insert(worker),
            None => slot.insert(Worker::start().map_err(NoAnswer::NoWorker)?),
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

/// The child's life: one request after the other, until the parent is gone. It runs no program, so that nothing has to be
/// closed for one.
fn serve(socket: OwnedFd) -> ! {
    let kept = keep_only(socket);
    if let (Ok(socket), Ok(request)) = (&kept, room()) {
        while let Ok((length @ 1.., kept)) = receive(socket, request) {
            let answer = answer(&request[..length], kept.as_ref());
            // Whoever hears the answer finds it let go of.
            drop(kept);
            if socket::send(socket.as_raw_fd(), &answer, MsgFlags::MSG_NOSIGNAL).is_err() {
                break;
            }
        }
    }
    // SAFETY: ends the child at once; nothing of the parent's (its buffers, its guards) may be finished twice.
    unsafe { libc::_exit(0) }
}

/// Room for a request, most of which is never touched: as a mapping of its own it costs nothing before.
fn room() -> Result<&'static mut [u8], Errno> {
    const SIZE: NonZeroUsize = NonZeroUsize::new(LARGEST).expect("there are requests");
    // SAFETY: the kernel chooses where, so that nothing else is there.
    let room = unsafe {
        mmap_anonymous(
            None,
            SIZE,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_PRIVATE,
        )?
    };
    // SAFETY: the mapping is new, cleared, as large as that, known to nobody else, and stays for as long as the process.
    Ok(unsafe { std::slice::from_raw_parts_mut(room.as_ptr().cast(), LARGEST) })
}

/// The next request's length, and what is kept open while it lasts.
fn receive(socket: &OwnedFd, request: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
    let mut space = nix::cmsg_space!(RawFd);
    let mut parts = [IoSliceMut::new(request)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = socket::recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut kept = None;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = part {
            for number in numbers {
                // SAFETY: the kernel has just given it to us, and nobody else knows the number.
                kept = Some(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
    }
    Ok((message.bytes, kept))
}

/// Moves the socket to the first place after the standard streams, opens those on nothing, closes all else:
/// libvirt waits for the end of our pipes, and our locks live as long as any process has them open.
fn keep_only(socket: OwnedFd) -> Result<OwnedFd, Errno> {
    const KEPT: RawFd = 3;
    let nothing = open("/dev/null", OFlag::O_RDWR, Mode::empty())?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    dup2_stderr(&nothing)?;
    let raw = socket.as_raw_fd();
    // SAFETY: the numbers are of this process alone, which uses none of them but the standard streams and the
    // socket from here on; the owners of the others are forgotten with the parent's memory.
    unsafe {
        if raw != KEPT && libc::dup2(raw, KEPT) == -1 {
            return Err(Errno::last());
        }
        std::mem::forget((socket, nothing));
        if libc::syscall(libc::SYS_close_range, 4_u32, u32::MAX, 0_u32) == -1 {
            // Before Linux 5.9.
            for number in 4..libc::sysconf(libc::_SC_OPEN_MAX).clamp(256, 65_536) {
                libc::close(RawFd::try_from(number).unwrap_or(RawFd::MAX));
            }
        }
        Ok(OwnedFd::from_raw_fd(KEPT))
    }
}

/// Closes files, by one call where the kernel can and nothing else is between them.
pub(super) fn close_all(files: &mut Vec<OwnedFd>) {
    let numbers = || files.iter().map(AsRawFd::as_raw_fd);
    let (Some(first), Some(last)) = (numbers().min(), numbers().max()) else {
        return;
    };
    if usize::try_from(last - first).is_ok_and(|between| between + 1 == files.len()) {
        // SAFETY: there are as many files as numbers from the first to the last, so that these are theirs alone; they are
        // forgotten where it has closed them, and it closes all or, before Linux 5.9, none.
        let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0_u32) };
        if closed == 0 {
            files.drain(..).for_each(std::mem::forget);
        }
    }
    files.clear();
}

/// The answer: an errno, or 0, and what was read.
fn answer(request: &[u8], kept: Option<&OwnedFd>) -> Vec<u8> {
    let (errno, content) = match (request.split_at_checked(1), kept) {
        (Some((READ, path)), _) => match read_page(Path::new(OsStr::from_bytes(path))) {
            Ok(content) => (0, content),
            Err(errno) => (errno as i32, Vec::new()),
        },
        (Some((READ_LINES, request)), pipe) => {
            let mut content = Vec::new();
            let told = lines::answer(request, |lines| {
                let Some(pipe) = pipe else {
                    content.extend(lines);
                    return Ok(());
                };
                lines::tell(pipe, lines)
            });
            (told.err().map_or(0, |errno| errno as i32), content)
        }
        (Some((HAS_ARGUMENT, request)), _) => match look_for_argument(request) {
            Ok(true) => (0, FOUND.to_vec()),
            Ok(false) => (0, Vec::new()),
            Err(errno) => (errno as i32, Vec::new()),
        },
        (Some((WRITE, request)), _) => (answer_write(request), Vec::new()),
        _ => (Errno::EBADMSG as i32, Vec::new()),
    };
    [&errno.to_ne_bytes()[..], &content].concat()
}

fn look_for_argument(request: &[u8]) -> Result<bool, Errno> {
    let mut parts = request.splitn(2, |byte| *byte == 0);
    let (Some(path), Some(text)) = (parts.next(), parts.next()) else {
        return Err(Errno::EBADMSG);
    };
    let path = Path::new(OsStr::from_bytes(path));
    let text = std::str::from_utf8(text).map_err(|_| Errno::EBADMSG)?;
    let found = processes::has_argument(path, text);
    found.map_err(|error| Errno::try_from(error).unwrap_or(Errno::EIO))
}

fn answer_write(request: &[u8]) -> i32 {
    let Some((inode, rest)) = request.split_first_chunk::<8>() else {
        return Errno::EBADMSG as i32;
    };
    let mut parts = rest.splitn(3, |byte| *byte == 0);
    let (Some(folder), Some(file), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
        return Errno::EBADMSG as i32;
    };
    let folder = Path::new(OsStr::from_bytes(folder));
    match write_below(folder, file, u64::from_ne_bytes(*inode), value) {
        Ok(true) => 0,
        Ok(false) => REPLACED,
        Err(errno) => errno as i32,
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

/// Reads a file of sysfs, which is at most one page and comes at once.
fn read_page(path: &Path) -> Result<Vec<u8>, Errno> {
    let file = open(path, OFlag::O_RDONLY, Mode::empty())?;
    let mut content = vec![0; PAGE];
    let length = read_once(&file, &mut content)?;
    content.truncate(length);
    Ok(content)
}

pub(super) fn read_once(file: &OwnedFd, content: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match read(file, content) {
            Err(Errno::EINTR) => {}
            answer => return answer,
        }
    }
}

/// Writes into a file below a folder; false where the folder is not the one of that inode.
fn write_below(folder: &Path, file: &[u8], inode: u64, value: &[u8]) -> Result<bool, Errno> {
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let mut at = open(folder, directory, Mode::empty())?;
    if inode != 0 && fstat(&at)?.st_ino != inode {
        return Ok(false);
    }
    let mut parts = file.split(|byte| *byte == b'/').peekable();
    while let Some(part) = parts.next() {
        let how = if parts.peek().is_some() {
            directory
        } else {
            OFlag::O_WRONLY
        };
        at = openat(
            &at,
            OsStr::from_bytes(part),
            how | OFlag::O_NOFOLLOW,
            Mode::empty(),
        )?;
    }
    loop {
        match write(&at, value) {
            Ok(written) if written == value.len() => return Ok(true),
            Ok(_) => return Err(Errno::EIO),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
