//! What this process was started with and Rust's runtime changes before `main`: it ignores SIGPIPE, and opens
//! `/dev/null` in the place of a standard stream that is closed. QEMU gets both as they were.

#![allow(
    unsafe_code,
    reason = "only what runs before main can tell, and closing a number is not safe"
)]

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use nix::libc;

static IGNORES_SIGPIPE: AtomicBool = AtomicBool::new(false);
/// A bit for each standard stream that is closed.
static CLOSED: AtomicU8 = AtomicU8::new(0);

// SAFETY: the C library calls what stands in this section, with the arguments of main, which a function of the
// C ABI may leave unread (System V ABI, "Initialization and Termination Functions").
#[used]
#[unsafe(link_section = ".init_array")]
static REMEMBER: extern "C" fn() = remember;

/// Runs before `main` and before Rust's runtime, in every command: two looks at SIGPIPE and three descriptors.
extern "C" fn remember() {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asks only; `action` has room for the answer.
    let asked = unsafe { libc::sigaction(libc::SIGPIPE, ptr::null(), action.as_mut_ptr()) };
    if asked == 0 {
        // SAFETY: it was filled in, and zeroes are a valid one as well.
        let action = unsafe { action.assume_init() };
        IGNORES_SIGPIPE.store(action.sa_sigaction == libc::SIG_IGN, Ordering::Relaxed);
    }
    for number in 0..3 {
        // SAFETY: asks only, about a number that may be closed.
        if unsafe { libc::fcntl(number, libc::F_GETFD) } == -1 {
            CLOSED.fetch_or(1 << number, Ordering::Relaxed);
        }
    }
}

/// Makes it as it was. For a process that is about to become another program.
pub(super) fn restore() {
    if !IGNORES_SIGPIPE.load(Ordering::Relaxed) {
        // SAFETY: no handler of ours is in its place, so none is lost.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    }
    let closed = CLOSED.load(Ordering::Relaxed);
    for number in (0..3).filter(|number| closed & (1 << number) != 0) {
        // SAFETY: nobody uses the stream any more: the process is about to become another program.
        unsafe { libc::close(number) };
    }
}
