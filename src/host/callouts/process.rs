//! Runs one script, which gets nothing of ours but its input, until it ends or its time has passed.

#![allow(unsafe_code, reason = "what happens between fork and exec has no safe form")]

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::host::clock::Deadline;
use crate::host::pipes::{Input, Output};

/// More of what a script prints is thrown away.
const MOST_OUTPUT: usize = 64 << 10;

/// As long as one that was killed is waited for: it may be stuck in a driver.
const DYING: Duration = Duration::from_secs(1);

/// As long as nothing is looked at while a script prints nothing.
const PAUSE: Duration = Duration::from_millis(20);

/// Of systemd's services, without what the caller had set.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a script ended, and what it said.
pub(super) struct Ran {
    pub(super) ending: Ending,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl Ran {
    /// No time was left for it.
    pub(super) const fn not_at_all() -> Self {
        Ran {
            ending: Ending::NotStarted,
            stdout: Vec::new(),
            stderr: Vec::new(),
        }
    }
}

/// How a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// With a status.
    Exited(i32),
    /// By a signal of somebody else's.
    Killed(i32),
    /// By us, when its time had passed.
    TimedOut,
    /// It was not called: no time was left for it.
    NotStarted,
}

/// Runs a script, which is this program, in a process group of its own.
///
/// # Errors
/// It cannot be executed.
pub(super) fn run(
    (script, program): (&Path, &Path),
    arguments: &[String],
    input: &[u8],
    deadline: Deadline,
) -> io::Result<Ran> {
    let mut command = Command::new(program);
    command
        .arg0(script)
        .args(arguments)
        .env_clear()
        .envs([("PATH", PATH), ("LC_ALL", "C")])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    // SAFETY: it makes system calls only, which are allowed between fork and exec.
    unsafe {
        command.pre_exec(|| {
            keep_nothing();
            Ok(())
        })
    };
    let mut running = Running::new(command.spawn()?, input)?;
    let ending = running.until(deadline);
    Ok(Ran {
        ending: ending.map_or(Ending::TimedOut, |status| {
            match (status.code(), status.signal()) {
                (Some(code), _) => Ending::Exited(code),
                (None, signal) => Ending::Killed(signal.unwrap_or_default()),
            }
        }),
        stdout: running.stdout.into_bytes(),
        stderr: running.stderr.into_bytes(),
    })
}

/// Lets the next exec close what was inherited, from whoever called us, and must not reach a script.
fn keep_nothing() {
    const FIRST: u32 = 3;
    // SAFETY: no memory is concerned, and descriptors are only marked.
    let marked = unsafe { libc::syscall(libc::SYS_close_range, FIRST, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked == -1 {
        // Before Linux 5.11.
        for number in 3..4096 {
            // SAFETY: as above; that there is no such number is an answer, too.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

struct Running<'a> {
    child: Child,
    stdin: Input<'a>,
    stdout: Output,
    stderr: Output,
}

impl<'a> Running<'a> {
    fn new(mut child: Child, input: &'a [u8]) -> io::Result<Self> {
        Ok(Running {
            stdin: Input::new(child.stdin.take(), input)?,
            stdout: Output::new(child.stdout.take(), MOST_OUTPUT)?,
            stderr: Output::new(child.stderr.take(), MOST_OUTPUT)?,
            child,
        })
    }

    /// Its status; none where its time has passed, and it is dead.
    fn until(&mut self, deadline: Deadline) -> Option<ExitStatus> {
        loop {
            self.stdin.write();
            self.stdout.read();
            self.stderr.read();
            if let Ok(Some(status)) = self.child.try_wait() {
                // It may have said something since.
                self.stdout.read();
                self.stderr.read();
                return Some(status);
            }
            if deadline.has_passed() {
                return self.kill();
            }
            if self.stdout.is_open() || self.stderr.is_open() {
                self.pause(deadline);
            } else if let Some(Ok(status)) = deadline.poll(|| self.child.try_wait().transpose()) {
                return Some(status);
            }
        }
    }

    fn pause(&self, deadline: Deadline) {
        let mut watched = Vec::new();
        let outputs = [self.stdout.fd(), self.stderr.fd()];
        for fd in outputs.into_iter().flatten() {
            watched.push(PollFd::new(fd, PollFlags::POLLIN));
        }
        if let Some(pipe) = self.stdin.fd() {
            watched.push(PollFd::new(pipe, PollFlags::POLLOUT));
        }
        let pause = deadline.left().min(PAUSE);
        let pause = PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO);
        let _: Result<i32, Errno> = poll(&mut watched, pause);
    }

    /// Ends it and all that it has started.
    fn kill(&mut self) -> Option<ExitStatus> {
        let group = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
        let _ = killpg(group, Signal::SIGKILL);
        Deadline::after(DYING).poll(|| self.child.try_wait().transpose());
        None
    }
}
