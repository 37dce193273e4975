//! A supervisor that nobody waits for: it has left our terminal and our session, and holds nothing of what we
//! were started with.

#![allow(unsafe_code, reason = "fork, _exit and pidfd_open have no safe form")]

use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{ForkResult, chdir, fork, setsid};

use super::{Supervisor, descriptors};
use crate::host::clock::Deadline;
use crate::host::release;
use crate::model::claim::Claimant;

/// What becomes readable when a process of ours ends (`pidfd_open(2)`, Linux 5.3).
pub(super) fn open(pid: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: takes two numbers, gives a new descriptor that is closed at exec.
    let number = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0_u32) };
    let number = Errno::result(number)?;
    let number = RawFd::try_from(number).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just given it to us.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Whether a process ends before the deadline.
pub(super) fn has_ended(pidfd: &OwnedFd, deadline: Deadline) -> bool {
    loop {
        let left = PollTimeout::try_from(deadline.left()).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], left) {
            Ok(1..) => return true,
            Ok(_) if deadline.has_passed() => return false,
            _ => {}
        }
    }
}

/// Starts a process that waits for the end of each of these, then gives back what it claims. All signals are
/// held back from it, as from us: those who end the host's sessions must not end it before QEMU.
pub(super) fn start(supervisor: &Supervisor<'_>, processes: &[(Claimant, OwnedFd)]) -> Result<(), Errno> {
    // SAFETY: automdev has one thread, so the child may do whatever the parent may.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => Ok(()),
        ForkResult::Child => {
            // That one of these fails must not cost the devices.
            let _ = (setsid(), chdir("/"), descriptors::close_standard_error());
            for (claimant, pidfd) in processes {
                wait(pidfd);
                for error in release::release_and_wait(&supervisor.machine(), *claimant)
                    .err()
                    .into_iter()
                    .flatten()
                {
                    log::error!("{}", release::chain(&error));
                }
            }
            supervisor.kernel.rest();
            // SAFETY: ends the child at once; nothing of the parent's (its guards) may be finished twice.
            unsafe { libc::_exit(0) }
        }
    }
}

fn wait(pidfd: &OwnedFd) {
    loop {
        match poll(
            &mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)],
            PollTimeout::NONE,
        ) {
            Err(Errno::EINTR) | Ok(0) => {}
            _ => return,
        }
    }
}
