//! A process that is to become QEMU and waits until it may.

#![allow(unsafe_code, reason = "fork and _exit have no safe form")]

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe2, read, write};

use super::inherited;
use super::program::Program;
use super::signals::Signals;

/// A process that waits for a byte, then becomes QEMU. Dropped, it ends instead.
#[derive(Debug)]
pub struct Held {
    pid: Pid,
    pipes: Option<(OwnedFd, OwnedFd)>,
    /// The arguments that it gets instead of those that it has.
    instead: Option<Vec<u8>>,
}

/// A process that has been let go.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) pid: Pid,
    /// Its end of the pipe is closed when it becomes QEMU; before, it writes there why it cannot.
    pub(super) report: Option<OwnedFd>,
}

impl Held {
    /// Starts the process. From here on it gets the terminal's signals as QEMU would, and may die of them.
    ///
    /// # Errors
    /// There is no room for another process, or for two pipes.
    pub fn start(program: &Program, signals: &Signals) -> Result<Self, Errno> {
        let (gate, go) = pipe2(OFlag::O_CLOEXEC)?;
        let (report, failure) = pipe2(OFlag::O_CLOEXEC)?;
        // SAFETY: automdev has one thread, so the child may do whatever the parent may.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Held {
                pid: child,
                pipes: Some((go, report)),
                instead: None,
            }),
            ForkResult::Child => {
                // Or we would wait for ourselves.
                drop((go, report));
                signals.restore();
                let told = wait(&gate);
                if told != Told::Nothing {
                    inherited::restore();
                    let errno = match told {
                        Told::Instead(packed) => program.unpack(&packed).exec(),
                        _ => program.exec(),
                    };
                    let errno = errno as i32;
                    // Four bytes fit into an empty pipe.
                    let _ = write(&failure, &errno.to_ne_bytes());
                }
                // SAFETY: ends the child at once; nothing of the parent's (its guards) may be finished twice.
                unsafe { libc::_exit(127) }
            }
        }
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Gives it other arguments than it was started with.
    pub fn set_arguments(&mut self, program: &Program) {
        self.instead = Some(program.pack());
    }

    /// Lets it become QEMU.
    pub(super) fn let_go(mut self) -> Running {
        let instead = self.instead.take();
        let report = self.pipes.take().map(|(go, report)| {
            // That it has died meanwhile is seen when it is waited for.
            match instead {
                None => write_all(&go, &[AS_IT_IS]),
                Some(packed) => write_all(&go, &[&[INSTEAD], packed.as_slice()].concat()),
            }
            report
        });
        Running {
            pid: self.pid,
            report,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.pipes.take().is_some() {
            while waitpid(self.pid, None) == Err(Errno::EINTR) {}
        }
    }
}

impl Running {
    /// Why it did not become QEMU, once it has ended.
    pub(super) fn failure(&mut self) -> Option<Errno> {
        let report = self.report.take()?;
        let mut errno = [0; 4];
        match read(&report, &mut errno) {
            Ok(4) => Some(Errno::from_raw(i32::from_ne_bytes(errno))),
            _ => None,
        }
    }
}

/// It becomes what it was started for.
const AS_IT_IS: u8 = b'!';

/// The same with the arguments that follow, up to the pipe's end.
const INSTEAD: u8 = b'=';

/// What came through the pipe.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// Its writer is gone.
    Nothing,
    AsItIs,
    Instead(Vec<u8>),
}

fn write_all(to: &OwnedFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match write(to, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// Waits for the first byte, and for the others if there are any to come.
fn wait(gate: &OwnedFd) -> Told {
    let mut told = Vec::new();
    let mut part = [0; 4096];
    loop {
        match read(gate, &mut part) {
            Ok(0) => break,
            Ok(length) => told.extend_from_slice(&part[..length]),
            Err(Errno::EINTR) => continue,
            Err(_) => return Told::Nothing,
        }
        if told.first() == Some(&AS_IT_IS) {
            return Told::AsItIs;
        }
    }
    match told.split_first() {
        Some((&INSTEAD, packed)) => Told::Instead(packed.to_vec()),
        _ => Told::Nothing,
    }
}
