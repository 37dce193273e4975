//! Signals that are to end us, while we have to end others first.

#![allow(unsafe_code, reason = "sigaction has no safe form")]

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, raise, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Those by which a person or a service ends a command.
const ENDING: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// These signals, and those of our children's ends, held back and read when we like.
pub(super) struct Interrupts {
    descriptor: SignalFd,
    /// As we were started.
    mask: SigSet,
    /// As we were started.
    on_child: SigAction,
}

impl Interrupts {
    pub(super) fn hold() -> Result<Self, Errno> {
        let mut held: SigSet = ENDING.into_iter().filter(|signal| !is_ignored(*signal)).collect();
        held.add(Signal::SIGCHLD);
        let descriptor = SignalFd::with_flags(&held, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let mask = held.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let by_default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // Ignored, the ends of our children would be thrown away.
        // SAFETY: no function of ours is called for it.
        let on_child = unsafe { sigaction(Signal::SIGCHLD, &by_default) };
        let on_child = on_child.inspect_err(|_| {
            let _ = mask.thread_set_mask();
        })?;
        Ok(Interrupts {
            descriptor,
            mask,
            on_child,
        })
    }

    /// Which signals were held back before, for a child of ours.
    pub(super) const fn mask(&self) -> SigSet {
        self.mask
    }

    /// What becomes readable when there is a signal.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// The signal that is to end us, if there is one.
    pub(super) fn next(&self) -> Option<Signal> {
        while let Ok(Some(info)) = self.descriptor.read_signal() {
            let number = i32::try_from(info.ssi_signo).unwrap_or_default();
            match Signal::try_from(number) {
                Ok(Signal::SIGCHLD) | Err(_) => {}
                Ok(signal) => return Some(signal),
            }
        }
        None
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        // SAFETY: what is put back was there before.
        let _ = unsafe { sigaction(Signal::SIGCHLD, &self.on_child) };
        let _ = self.mask.thread_set_mask();
    }
}

/// Whether whoever started us wants the signal to mean nothing, as nohup(1) does.
fn is_ignored(signal: Signal) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: it only asks, and the kernel fills in what it is given a place for.
    let result = unsafe { libc::sigaction(signal as i32, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: on success all of it is filled in.
    result == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// Ends us by a signal that was held back, so that a shell sees what it sees of any other command.
pub fn end_by(signal: Signal) {
    // Nothing of ours handles it, and it is not held back any more.
    let _ = raise(signal);
}
