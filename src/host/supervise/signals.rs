//! Signals that reach us on their way to QEMU.
//!
//! QEMU is in our process group: what the terminal sends (Ctrl-C, a new size, a hang-up) it gets by itself, and
//! the kernel says of such a signal that it is the kernel's own. What another process sends to us is passed on.
//! A stop by the terminal's keys, or for touching the terminal from the background, stops us after QEMU, so
//! that the shell sees its job stop. SIGSTOP cannot be seen, neither ours nor passed on; and one that somebody
//! sends to QEMU alone does not stop us, as nothing would tell us to go on.

#![allow(unsafe_code, reason = "sigaction and kill of any number have no safe form")]

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, raise, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getpid, getsid};

/// All signals, held back from us and read when we like.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
    /// As we were started.
    mask: SigSet,
    /// As we were started.
    on_child: SigAction,
    is_leader: bool,
}

impl Signals {
    /// Holds all signals back from here on, so that none ends us between two steps.
    ///
    /// # Errors
    /// The kernel gives no descriptor for them.
    pub fn hold() -> Result<Self, Errno> {
        let descriptor =
            SignalFd::with_flags(&SigSet::all(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        Ok(Signals {
            descriptor,
            mask,
            // Ignored, the ends of our children would be thrown away.
            on_child: set(Signal::SIGCHLD, SigHandler::SigDfl)?,
            is_leader: getsid(None) == Ok(getpid()),
        })
    }

    /// Makes it as it was, in a process that is to become QEMU.
    pub(super) fn restore(&self) {
        // SAFETY: what is put back was there before.
        let _ = unsafe { sigaction(Signal::SIGCHLD, &self.on_child) };
        let _ = self.mask.thread_set_mask();
    }

    /// What becomes readable when there is a signal.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Passes on what somebody sent.
    pub(super) fn relay(&self, to: Pid) {
        while let Ok(Some(info)) = self.descriptor.read_signal() {
            let Ok(number) = c_int::try_from(info.ssi_signo) else {
                continue;
            };
            if is_for_qemu(number, info.ssi_code, self.is_leader) {
                // SAFETY: sends a signal to our own child, whose number is its own until we have waited for it.
                unsafe { libc::kill(to.as_raw(), number) };
            }
        }
    }
}

/// Stops us as a child of ours was stopped, until somebody continues us. All signals are held back.
pub(super) fn stop_like(child: Pid, number: c_int) {
    let Ok(signal @ (Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU)) = Signal::try_from(number) else {
        return;
    };
    let Ok(before) = set(signal, SigHandler::SigDfl) else {
        return;
    };
    // It stays pending: all are held back. A SIGCONT takes it away again, whenever it comes.
    let _ = raise(signal);
    let flags = WaitPidFlag::WCONTINUED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    if matches!(waitid(Id::Pid(child), flags), Ok(WaitStatus::Continued(_))) {
        // That one came before ours was pending. Ignoring a signal takes a pending one away.
        let _ = set(signal, SigHandler::SigIgn);
    } else {
        let only = SigSet::from(signal);
        // Here we are stopped.
        let _ = only.thread_unblock();
        let _ = only.thread_block();
    }
    // SAFETY: what is put back was there before.
    let _ = unsafe { sigaction(signal, &before) };
}

fn set(signal: Signal, handler: SigHandler) -> Result<SigAction, Errno> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: no function of ours is called for it, only the kernel's default action or none.
    unsafe { sigaction(signal, &action) }
}

/// Whether a signal that we got was meant for QEMU and has not reached it.
fn is_for_qemu(number: c_int, code: i32, is_leader: bool) -> bool {
    match number {
        libc::SIGCHLD => false,
        _ if code != libc::SI_KERNEL => true,
        // Set before we were started (alarm(2) outlives exec), it was meant for what we run.
        libc::SIGALRM => true,
        // A terminal that hangs up says so to the leader of its session alone.
        libc::SIGHUP | libc::SIGCONT => is_leader,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_terminal_sends_is_not_passed_on() {
        for (number, code, is_leader, passes) in [
            (libc::SIGTERM, libc::SI_USER, false, true),
            (libc::SIGINT, libc::SI_USER, false, true),
            (libc::SIGINT, libc::SI_KERNEL, false, false),
            (libc::SIGINT, libc::SI_KERNEL, true, false),
            (libc::SIGQUIT, libc::SI_KERNEL, false, false),
            (libc::SIGTSTP, libc::SI_KERNEL, false, false),
            (libc::SIGTSTP, libc::SI_USER, false, true),
            (libc::SIGWINCH, libc::SI_KERNEL, false, false),
            (libc::SIGWINCH, libc::SI_USER, false, true),
            (libc::SIGCONT, libc::SI_USER, false, true),
            (libc::SIGUSR1, libc::SI_QUEUE, false, true),
            (libc::SIGTERM, libc::SI_TKILL, false, true),
            (libc::SIGHUP, libc::SI_KERNEL, false, false),
            (libc::SIGHUP, libc::SI_KERNEL, true, true),
            (libc::SIGALRM, libc::SI_KERNEL, false, true),
            (libc::SIGCHLD, libc::CLD_EXITED, false, false),
            (libc::SIGCHLD, libc::SI_USER, false, false),
        ] {
            assert_eq!(
                is_for_qemu(number, code, is_leader),
                passes,
                "{number} {code} {is_leader}"
            );
        }
    }
}
