//! The child process that writes into sysfs, and reads there what may take its time.

#![allow(unsafe_code, reason = "fork and close_range have no safe form")]

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
};
use nix::sys::stat::{Mode, fstat};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, read, write};

use super::{Kernel, Line, Lines, LinesRead, ReadError, Target, WriteError};
use crate::host::clock::Deadline;

/// More than any path and value of sysfs together (an attribute takes at most one page).
const LARGEST: usize = 64 << 10;

/// The first byte of a request: what is wanted.
const WRITE: &[u8] = b"w";
const READ: &[u8] = b"r";
const READ_LINES: &[u8] = b"l";

/// A file of sysfs holds at most one page.
const PAGE: usize = 4096;

/// The largest answer: an errno and a page.
const ANSWER: usize = 4 + PAGE;

/// So many lines of one folder are answered for: they fit into one message.
const MOST_LINES: usize = PAGE / (Line::MOST + 3);

/// The answer for [`WriteError::Replaced`]; every other one is an errno, or 0.
const REPLACED: i32 = -1;

/// The machine's sysfs.
#[derive(Debug, Default)]
pub struct Sysfs {
    worker: RefCell<Option<Worker>>,
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
            Err(NoAnswer::TimedOut) => Err(WriteError::TimedOut),
            Err(NoAnswer::NoWorker(errno)) => Err(WriteError::NoWorker(errno)),
        }
    }

    fn read(&self, path: &Path, deadline: Deadline) -> Result<Vec<u8>, ReadError> {
        if deadline.has_passed() {
            return Err(ReadError::TimedOut);
        }
        let parts = [READ, path.as_os_str().as_bytes()].map(IoSlice::new);
        match self.ask(&parts, None, deadline) {
            Ok((0, content)) => Ok(content),
            Ok((errno, _)) => Err(ReadError::Refused(Errno::from_raw(errno))),
            Err(NoAnswer::TimedOut) => Err(ReadError::TimedOut),
            Err(NoAnswer::NoWorker(errno)) => Err(ReadError::NotTried(errno)),
        }
    }

    fn read_lines(&self, folders: &[Lines], each: Duration, deadline: Deadline) -> Vec<LinesRead> {
        let mut answers = Vec::with_capacity(folders.len());
        while answers.len() < folders.len() {
            if deadline.has_passed() {
                answers.push(Err(ReadError::TimedOut));
                continue;
            }
            let (request, asked) = request_for(&folders[answers.len()..]);
            let parts = [READ_LINES, &request].map(IoSlice::new);
            let mut left = asked;
            let asked = self.with_worker(|worker| {
                worker.send(&parts, None)?;
                while left > 0 {
                    let (errno, content) = worker.receive(deadline.or_after(each))?;
                    let names = &folders[answers.len()].names;
                    answers.push(Ok(match errno {
                        0 => parse_lines(&content, names.len()),
                        errno => vec![Err(Errno::from_raw(errno)); names.len()],
                    }));
                    left -= 1;
                }
                Ok(())
            });
            match asked {
                Ok(()) => {}
                Err(NoAnswer::TimedOut) => answers.push(Err(ReadError::TimedOut)),
                Err(NoAnswer::NoWorker(errno)) => answers.push(Err(ReadError::NotTried(errno))),
            }
        }
        answers
    }

    fn rest(&self) {
        drop(self.worker.borrow_mut().take());
    }
}

impl Sysfs {
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

/// The child's life: one request after the other, until the parent is gone.
fn serve(socket: OwnedFd) -> ! {
    let kept = keep_only(socket);
    if let Ok(socket) = &kept {
        let mut request = vec![0; LARGEST];
        while let Ok((length @ 1.., kept)) = receive(socket, &mut request) {
            let mut kept = Some(kept);
            let is_heard = answer(&request[..length], |answer| {
                // Whoever hears the answer finds it let go of.
                drop(kept.take());
                socket::send(socket.as_raw_fd(), answer, MsgFlags::MSG_NOSIGNAL).is_ok()
            });
            if !is_heard {
                break;
            }
        }
    }
    // SAFETY: ends the child at once; nothing of the parent's (its buffers, its guards) may be finished twice.
    unsafe { libc::_exit(0) }
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

/// Sends each answer: an errno, or 0, and what was read. False once nobody hears it any more.
fn answer(request: &[u8], mut send: impl FnMut(&[u8]) -> bool) -> bool {
    if let Some((READ_LINES, request)) = request.split_at_checked(1) {
        let mut rest = request;
        let mut answer = Vec::with_capacity(ANSWER);
        while let Some((length, names)) = rest.split_first_chunk() {
            let length = usize::try_from(u32::from_ne_bytes(*length)).unwrap_or(usize::MAX);
            let (names, others) = names.split_at(length.min(names.len()));
            answer.clear();
            answer.extend(0_i32.to_ne_bytes());
            if let Err(errno) = read_lines(names, &mut answer) {
                answer.clear();
                answer.extend((errno as i32).to_ne_bytes());
            }
            if !send(&answer) {
                return false;
            }
            rest = others;
        }
        return true;
    }
    let (errno, content) = match request.split_at_checked(1) {
        Some((READ, path)) => match read_page(Path::new(OsStr::from_bytes(path))) {
            Ok(content) => (0, content),
            Err(errno) => (errno as i32, Vec::new()),
        },
        Some((WRITE, request)) => (answer_write(request), Vec::new()),
        _ => (Errno::EBADMSG as i32, Vec::new()),
    };
    send(&[&errno.to_ne_bytes()[..], &content].concat())
}

/// The request for as many of these folders as it takes, and for how many: for each the length of its names, and them.
fn request_for(folders: &[Lines]) -> (Vec<u8>, usize) {
    let mut request = Vec::new();
    let mut asked = 0;
    for Lines { folder, names, file } in folders {
        let start = request.len();
        request.extend([0; 4]);
        request.extend(folder.as_os_str().as_bytes());
        for name in names {
            request.push(0);
            request.extend(name.as_bytes());
            request.push(b'/');
            request.extend(file.as_bytes());
        }
        if asked > 0 && READ_LINES.len() + request.len() > LARGEST {
            request.truncate(start);
            break;
        }
        let length = u32::try_from(request.len() - start - 4).unwrap_or(u32::MAX);
        request[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        asked += 1;
    }
    (request, asked)
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

/// Reads a file of sysfs, which is at most one page and comes at once.
fn read_page(path: &Path) -> Result<Vec<u8>, Errno> {
    let file = open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut content = vec![0; PAGE];
    let length = read_once(&file, &mut content)?;
    content.truncate(length);
    Ok(content)
}

fn read_once(file: &OwnedFd, content: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match read(file, content) {
            Err(Errno::EINTR) => {}
            answer => return answer,
        }
    }
}

/// Reads one line of each file of a folder; for each an errno or 0, the length, and the line.
fn read_lines(request: &[u8], answer: &mut Vec<u8>) -> Result<(), Errno> {
    let mut parts = request.split(|byte| *byte == 0);
    let folder = Path::new(OsStr::from_bytes(parts.next().unwrap_or_default()));
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let folder = open(folder, directory, Mode::empty())?;
    for file in parts.take(MOST_LINES) {
        let mut line = [0; Line::MOST];
        let read = openat(
            &folder,
            OsStr::from_bytes(file),
            OFlag::O_RDONLY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .and_then(|file| read_once(&file, &mut line));
        let (errno, length) = match read {
            Ok(length) => (0, length),
            Err(errno) => (errno as i32, 0),
        };
        answer.extend(u16::try_from(errno).unwrap_or(u16::MAX).to_ne_bytes());
        answer.push(u8::try_from(length).unwrap_or(u8::MAX));
        answer.extend(&line[..length]);
    }
    Ok(())
}

/// What [`read_lines`] has answered about so many files.
fn parse_lines(mut answer: &[u8], files: usize) -> Vec<Result<Line, Errno>> {
    let mut lines = Vec::with_capacity(files);
    while let Some(([low, high, length], rest)) = answer.split_first_chunk() {
        let (line, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        lines.push(match u16::from_ne_bytes([*low, *high]) {
            0 => Ok(Line::new(line)),
            errno => Err(Errno::from_raw(errno.into())),
        });
        answer = rest;
    }
    lines.resize(files, Err(Errno::EMSGSIZE));
    lines
}

/// Writes into a file below a folder; false where the folder is not the one of that inode.
fn write_below(folder: &Path, file: &[u8], inode: u64, value: &[u8]) -> Result<bool, Errno> {
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut at = open(folder, directory, Mode::empty())?;
    if inode != 0 && fstat(&at)?.st_ino != inode {
        return Ok(false);
    }
    let mut parts = file.split(|byte| *byte == b'/').peekable();
    while let Some(part) = parts.next() {
        let how = if parts.peek().is_some() {
            directory
        } else {
            OFlag::O_WRONLY | OFlag::O_CLOEXEC
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
