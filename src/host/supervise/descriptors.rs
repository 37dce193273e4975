//! What QEMU was given and we hold as well: while we have it open, whoever is at the other end does not see that
//! QEMU has closed it.

#![allow(unsafe_code, reason = "closing a number is not safe")]

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::fs;
use std::os::fd::{BorrowedFd, RawFd};

/// Closes what we were started with, but for standard error, on which we may have to complain.
pub(super) fn close_inherited() {
    if let Ok(nothing) = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()) {
        let _ = dup2_stdin(&nothing);
        let _ = dup2_stdout(&nothing);
    }
    // Ours alone, whatever `--root` is. What we opened ourselves would not survive exec; what did, is not ours.
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers: Vec<RawFd> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // SAFETY: the number is only asked about, and that it is closed by now is an answer, too.
        let flags = fcntl(unsafe { BorrowedFd::borrow_raw(number) }, FcntlArg::F_GETFD);
        if flags.is_ok_and(|flags| flags & FdFlag::FD_CLOEXEC.bits() == 0) {
            // SAFETY: nothing in this process opens a descriptor that survives exec, so this has no owner here.
            unsafe { libc::close(number) };
        }
    }
}

/// Gives standard error away, too.
pub(super) fn close_standard_error() -> Result<(), Errno> {
    let nothing = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    dup2_stderr(&nothing)
}
