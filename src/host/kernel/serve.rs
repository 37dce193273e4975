//! The life of the process that writes into sysfs, and reads there what may take its time: one request after the other,
//! until nobody can ask any more. Requests and answers are as [`super::worker`] has them.

#![allow(unsafe_code, reason = "close_range, mmap and _exit have no safe form")]

use std::ffi::OsStr;
use std::io::IoSliceMut;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::socket::{self, ControlMessageOwned, MsgFlags};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, read, write};

use super::lines;
use super::worker::{FOUND, HAS_ARGUMENT, LARGEST, PAGE, READ, READ_LINES, REPLACED, WRITE};
use crate::host::processes;

/// The child's life: one request after the other, until the parent is gone. It runs no program, so that nothing has to be
/// closed for one.
pub(super) fn serve(socket: OwnedFd) -> ! {
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
