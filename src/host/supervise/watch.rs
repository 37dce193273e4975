//! Waits for the end of a process, passing signals on meanwhile.

#![allow(unsafe_code, reason = "nix's waitpid loses the end by a realtime signal")]

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::held::Running;
use super::signals::{self, Signals};

/// So often, in milliseconds, is looked for the QEMU that goes into the background.
const LOOK: u8 = 10;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was never run.
    NotRun(Errno),
    /// By itself, with this status.
    Exited(c_int),
    /// By this signal.
    Killed(c_int),
}

/// Waits for the end of a process. `look` is called now and then meanwhile.
pub(super) fn watch(mut child: Running, signals: &Signals, mut look: Option<&mut dyn FnMut()>) -> End {
    loop {
        let mut status = 0;
        // SAFETY: asks about our own child; `status` has room for the answer.
        let pid = unsafe {
            libc::waitpid(
                child.pid.as_raw(),
                &raw mut status,
                libc::WNOHANG | libc::WUNTRACED,
            )
        };
        if pid == child.pid.as_raw() {
            if libc::WIFSTOPPED(status) {
                signals::stop_like(child.pid, libc::WSTOPSIG(status));
            } else {
                return child.failure().map_or_else(|| end(status), End::NotRun);
            }
        } else if pid == -1 && Errno::last() == Errno::ECHILD {
            // Nobody else waits for it: never seen.
            return End::Exited(1);
        }
        let mut timeout = PollTimeout::NONE;
        if let Some(look) = look.as_mut() {
            look();
            timeout = PollTimeout::from(LOOK);
        }
        // Interrupted or not, what there is to see is looked at.
        let _ = poll(
            &mut [PollFd::new(signals.descriptor(), PollFlags::POLLIN)],
            timeout,
        );
        signals.relay(child.pid);
    }
}

fn end(status: c_int) -> End {
    if libc::WIFSIGNALED(status) {
        End::Killed(libc::WTERMSIG(status))
    } else {
        End::Exited(libc::WEXITSTATUS(status))
    }
}
