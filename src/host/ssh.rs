//! Asks other hosts over the ssh of whoever calls us, with their configuration, keys and agent: all hosts at once, none for
//! longer than its time.
//!
//! One loop serves all pipes of all of them and never waits for a single one. Each ssh is in a process group of its own, so that
//! what it has started (a proxy, say) can be ended with it; a terminal's Ctrl-C does not reach it there, and so it is caught here.

#![allow(unsafe_code, reason = "what happens between fork and exec has no safe form")]

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::clock::Deadline;
use super::pipes::{Input, Output};
use crate::model::far::{End, Reply};
use crate::model::names::HostName;

mod descriptors;
mod interrupts;

use descriptors::Descriptors;
use interrupts::Interrupts;
pub use interrupts::end_by;

/// The most that is printed by a host that means well, where it is asked little.
const MOST_OUTPUT: usize = 4 << 20;

/// And so many times what it is asked: of each device in a domain's XML, some hundred bytes, it says some hundred bytes more.
const MOST_GROWTH: usize = 16;

/// More of what is said on standard error is thrown away.
const MOST_SAID: usize = 64 << 10;

/// As long as those that were killed are waited for.
const DYING: Duration = Duration::from_secs(1);

/// The longest that nothing is looked at, whatever was missed.
const PAUSE: Duration = Duration::from_secs(1);

/// What is asked of one host.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The host.
    pub host: &'a HostName,
    /// What its login shell is to run.
    pub command: &'a str,
    /// What that gets on its standard input.
    pub input: &'a [u8],
}

/// What came of all of them.
#[derive(Debug)]
pub struct Replies {
    /// One for each question, in their order.
    pub replies: Vec<Reply>,
    /// The signal that ended it early.
    pub interrupted: Option<Signal>,
}

/// Why nobody was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no ssh.
    #[error("there is no ssh on PATH; install an SSH client (openssh-client, openssh-clients)")]
    NoSsh,
    /// Signals cannot be held.
    #[error("cannot hold signals back")]
    Signals(#[source] Errno),
}

/// Asks all at once; each has so much time from its start to its end.
///
/// # Errors
/// See [`AskError`]. What is wrong with one host alone is in its reply.
pub fn ask(questions: &[Question<'_>], limit: Duration) -> Result<Replies, AskError> {
    let interrupts = Interrupts::hold().map_err(AskError::Signals)?;
    let descriptors = Descriptors::raise();
    let mut talks = Vec::with_capacity(questions.len());
    let mut has_ssh = true;
    for question in questions {
        match start(question, limit, &interrupts, &descriptors) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                has_ssh = false;
                break;
            }
            talk => talks.push(talk),
        }
    }
    let interrupted = if has_ssh {
        serve(&mut talks, &interrupts)
    } else {
        None
    };
    if interrupted.is_some() || !has_ssh {
        end_all(&mut talks, &End::Interrupted);
    }
    // The processes of those that were killed; the kernel may still be at it.
    Deadline::after(DYING).poll(|| talks.iter_mut().flatten().all(Talk::is_reaped).then_some(()));
    if !has_ssh {
        return Err(AskError::NoSsh);
    }
    let replies = talks.into_iter().map(|talk| match talk {
        Ok(talk) => talk.into_reply(),
        Err(error) => Reply {
            end: End::NotStarted(error.to_string()),
            stdout: Vec::new(),
            stderr: Vec::new(),
        },
    });
    Ok(Replies {
        replies: replies.collect(),
        interrupted,
    })
}

/// What ssh is told beside the host and the command.
fn options(limit: Duration) -> Vec<String> {
    // Nobody is asked for a password fifty times, no terminal is made there, and nothing else is run, whatever the
    // configuration says.
    let mut options = ["-o", "BatchMode=yes", "-o", "RemoteCommand=none"]
        .map(str::to_owned)
        .to_vec();
    // A host that drops what it is sent is to be told from one that is slow: ssh gives up first, and says why.
    if limit >= Duration::from_secs(2) {
        let seconds = limit.as_secs() - 1;
        options.extend(["-o".to_owned(), format!("ConnectTimeout={seconds}")]);
    }
    options.extend(["-T", "--"].map(str::to_owned));
    options
}

fn start<'a>(
    question: &Question<'a>,
    limit: Duration,
    interrupts: &Interrupts,
    descriptors: &Descriptors,
) -> io::Result<Talk<'a>> {
    let mut command = Command::new("ssh");
    command
        .args(options(limit))
        .args([question.host.as_str(), question.command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let (mask, before) = (interrupts.mask(), descriptors.before());
    let prepare = move || {
        mask.thread_set_mask()?;
        Ok(Descriptors::put_back(before)?)
    };
    // SAFETY: it makes two system calls, which are allowed between fork and exec.
    unsafe { command.pre_exec(prepare) };
    let mut child = command.spawn()?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let most = MOST_OUTPUT.saturating_add(question.input.len().saturating_mul(MOST_GROWTH));
    let talk = || {
        Ok((
            Input::new(pipes.0, question.input)?,
            Output::new(pipes.1, most)?,
            Output::new(pipes.2, MOST_SAID)?,
        ))
    };
    match talk() {
        Ok((stdin, stdout, stderr)) => Ok(Talk {
            child,
            stdin,
            stdout,
            stderr,
            deadline: Deadline::after(limit),
            limit,
            end: None,
            is_reaped: false,
        }),
        Err(error) => {
            kill_group(&child);
            drop(child.wait());
            Err(error)
        }
    }
}

/// Ends an ssh and all that it has started.
fn kill_group(child: &Child) {
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let _ = killpg(group, Signal::SIGKILL);
}

/// Reads and writes until each has come to its end; the signal that came before that.
fn serve(talks: &mut [io::Result<Talk<'_>>], interrupts: &Interrupts) -> Option<Signal> {
    loop {
        for talk in talks.iter_mut().flatten() {
            talk.serve();
        }
        if let Some(signal) = interrupts.next() {
            return Some(signal);
        }
        let open = talks.iter().flatten().filter(|talk| talk.end.is_none());
        let deadline = open.clone().map(|talk| talk.deadline).min()?;
        let mut watched: Vec<PollFd<'_>> = open.flat_map(Talk::watched).collect();
        watched.push(PollFd::new(interrupts.fd(), PollFlags::POLLIN));
        let pause = deadline.left().min(PAUSE);
        // A whole millisecond more, or the last one before a deadline would be spent asking again and again.
        let pause = PollTimeout::try_from(pause + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
        let _: Result<i32, Errno> = poll(&mut watched, pause);
    }
}

/// Ends those that have not come to an end.
fn end_all(talks: &mut [io::Result<Talk<'_>>], end: &End) {
    for talk in talks.iter_mut().flatten().filter(|talk| talk.end.is_none()) {
        talk.kill(end.clone());
    }
}

/// One host.
struct Talk<'a> {
    child: Child,
    stdin: Input<'a>,
    stdout: Output,
    stderr: Output,
    deadline: Deadline,
    limit: Duration,
    /// None until it is over.
    end: Option<End>,
    is_reaped: bool,
}

impl Talk<'_> {
    /// Does what can be done now.
    fn serve(&mut self) {
        if self.end.is_some() {
            return;
        }
        self.stdin.write();
        self.stdout.read();
        self.stderr.read();
        if self.stdout.is_cut() {
            self.kill(End::TooMuch);
        } else if let Ok(Some(status)) = self.child.try_wait() {
            self.is_reaped = true;
            self.read_rest();
            self.end = Some(match (status.code(), status.signal()) {
                _ if self.stdout.is_cut() => End::TooMuch,
                (Some(code), _) => End::Exited(code),
                (None, signal) => End::Killed(signal.unwrap_or_default()),
            });
        } else if self.deadline.has_passed() {
            // What it had printed by then may be an answer.
            self.read_rest();
            self.kill(End::Late(self.limit));
        }
    }

    /// What it had printed before its end. Somebody else may have its pipes open (a connection that is kept for later
    /// calls), and is not waited for.
    fn read_rest(&mut self) {
        // A pipe of Linux holds a mebibyte at the most, unless root has it otherwise (pipe(7)).
        const MOST_ROUNDS: u32 = 64;
        for _ in 0..MOST_ROUNDS {
            self.stdout.read();
            self.stderr.read();
        }
    }

    fn watched(&self) -> impl Iterator<Item = PollFd<'_>> {
        let outputs = [self.stdout.fd(), self.stderr.fd()].into_iter().flatten();
        let outputs = outputs.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let input = self.stdin.fd().map(|fd| PollFd::new(fd, PollFlags::POLLOUT));
        outputs.chain(input)
    }

    /// Ends it and all that it has started.
    fn kill(&mut self, end: End) {
        kill_group(&self.child);
        self.end = Some(end);
    }

    fn is_reaped(&mut self) -> bool {
        self.is_reaped = self.is_reaped || !matches!(self.child.try_wait(), Ok(None));
        self.is_reaped
    }

    fn into_reply(self) -> Reply {
        Reply {
            end: self.end.unwrap_or(End::Interrupted),
            stdout: self.stdout.into_bytes(),
            stderr: self.stderr.into_bytes(),
        }
    }
}
