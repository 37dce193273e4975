//! Other hosts, which are asked over ssh: what they are told to run, and what it means how that ended.

use std::time::Duration;

use super::names::{Shown, printable};

pub mod command;
pub mod definition;
pub mod plan;
mod said;

/// How the ssh to a host ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With a status: that of what was run there, or 255, which is ssh's own.
    Exited(i32),
    /// By a signal of somebody else's.
    Killed(i32),
    /// By us, when so much time had passed.
    Late(Duration),
    /// By us: it printed more than anything of ours does.
    TooMuch,
    /// By us, as we were interrupted.
    Interrupted,
    /// It was never there.
    NotStarted(String),
}

/// What came of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// How it ended.
    pub end: End,
    /// What was printed there.
    pub stdout: Vec<u8>,
    /// What was said there, and by ssh.
    pub stderr: Vec<u8>,
}

/// Whether a host answered, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It did.
    Answered,
    /// There was no ssh to ask it by: something lacks on this host.
    NotAsked,
    /// ssh did not get there, or was not let in.
    Unreachable,
    /// Its time passed first.
    Late,
    /// There is none, or none that can be executed.
    NoAutomdev,
    /// Its automdev does not know what it was asked.
    Older,
    /// Its automdev answers in a form that this one does not know.
    Newer,
    /// Its automdev could not answer.
    Failed,
    /// What was printed is no answer.
    NotUnderstood,
    /// What was printed took no end.
    TooMuch,
    /// We were interrupted first.
    Interrupted,
}

impl State {
    /// All of them.
    pub const ALL: [State; 11] = [
        State::Answered,
        State::NotAsked,
        State::Unreachable,
        State::Late,
        State::NoAutomdev,
        State::Older,
        State::Newer,
        State::Failed,
        State::NotUnderstood,
        State::TooMuch,
        State::Interrupted,
    ];

    /// Its stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Answered => "answered",
            State::NotAsked => "not-asked",
            State::Unreachable => "unreachable",
            State::Late => "late",
            State::NoAutomdev => "no-automdev",
            State::Older => "older",
            State::Newer => "newer",
            State::Failed => "failed",
            State::NotUnderstood => "not-understood",
            State::TooMuch => "too-much",
            State::Interrupted => "interrupted",
        }
    }
}

/// Why a host has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// In a word.
    pub state: State,
    /// For people, on one line, with nothing in it that a terminal would obey.
    pub reason: String,
}

impl Silence {
    fn new(state: State, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Silence { state, reason }
    }
}

/// What a shell ends with where there is no such program (POSIX, "Exit Status for Commands").
const NOT_FOUND: i32 = 127;

/// The same where it cannot be executed.
const NOT_EXECUTABLE: i32 = 126;

/// ssh's own status (ssh(1), "EXIT STATUS").
const OF_SSH: i32 = 255;

/// Of what failed.
const FAILED: i32 = 1;

/// Of a command line that is not understood.
const USAGE: i32 = 2;

impl Reply {
    /// The status with which automdev ended there and may have answered; else why it has not.
    fn status(&self) -> Result<i32, Silence> {
        let said = || said::first(&self.stderr, &self.stdout);
        let not_installed = || format!("automdev is not installed there: {}", said());
        let (state, reason) = match &self.end {
            End::Exited(FAILED) if self.is_not_found_by_csh() => (State::NoAutomdev, not_installed()),
            End::Exited(status @ (0 | FAILED | 3)) => return Ok(*status),
            End::Exited(NOT_FOUND) => (State::NoAutomdev, not_installed()),
            End::Exited(NOT_EXECUTABLE) => (
                State::NoAutomdev,
                format!("its automdev cannot be executed: {}", said()),
            ),
            End::Exited(OF_SSH) => (State::Unreachable, said::of_ssh(&self.stderr)),
            End::Exited(USAGE) => (
                State::Older,
                format!(
                    "its automdev does not know what it was asked; install a newer one there: {}",
                    said()
                ),
            ),
            End::Exited(status) => (
                State::Failed,
                format!("what was run there ended with status {status}: {}", said()),
            ),
            End::Killed(signal) => (
                State::Unreachable,
                format!("its ssh was killed by signal {signal}"),
            ),
            End::Late(limit) => (State::Late, format!("no answer within {} s", limit.as_secs_f64())),
            End::TooMuch => (
                State::TooMuch,
                "what it prints takes no end, and is no answer of automdev's".to_owned(),
            ),
            End::Interrupted => (State::Interrupted, "interrupted before it answered".to_owned()),
            End::NotStarted(why) => (
                State::NotAsked,
                format!(
                    "it was not asked, as ssh cannot be started here: {}",
                    printable(why)
                ),
            ),
        };
        Err(Silence { state, reason })
    }

    /// Whether this is all that csh(1) and tcsh(1) say of a program that is not there. Their status means nothing.
    fn is_not_found_by_csh(&self) -> bool {
        self.stdout.is_empty() && self.stderr.trim_ascii_end() == b"automdev: Command not found."
    }

    /// What automdev says there where it has failed.
    fn failure(&self) -> Silence {
        Silence::new(State::Failed, said::all(&self.stderr, &self.stdout))
    }

    /// What was printed is not what automdev prints.
    fn not_understood(&self) -> Silence {
        let text = String::from_utf8_lossy(&self.stdout);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty());
        let reason = match line {
            Some(line) => format!("what it prints is no answer of automdev's: {}", Shown(line)),
            None => "it printed nothing, and said that all is well".to_owned(),
        };
        Silence::new(State::NotUnderstood, reason)
    }

    /// What automdev could not look at there, though it answered.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        said::notes(&self.stderr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(end: End, stderr: &str) -> Reply {
        Reply {
            end,
            stdout: Vec::new(),
            stderr: stderr.into(),
        }
    }

    #[test]
    fn how_it_ended_says_why_there_is_no_answer() {
        for (end, stderr, state, reason) in [
            (
                End::Exited(255),
                "Warning: Permanently added 'b' (ED25519) to the list of known hosts.\r\nssh: connect to host b port 22: Connection refused\r\n",
                State::Unreachable,
                "ssh: connect to host b port 22: Connection refused",
            ),
            (
                End::Exited(255),
                "",
                State::Unreachable,
                "ssh ended with status 255 and does not say why",
            ),
            (
                End::Exited(127),
                "bash: line 1: automdev: command not found\n",
                State::NoAutomdev,
                "automdev is not installed there: bash: line 1: automdev: command not found",
            ),
            (
                End::Exited(1),
                "automdev: Command not found.\r\n",
                State::NoAutomdev,
                "automdev is not installed there: Command not found.",
            ),
            (
                End::NotStarted("Too many open files (os error 24)".to_owned()),
                "",
                State::NotAsked,
                "it was not asked, as ssh cannot be started here: Too many open files (os error 24)",
            ),
            (
                End::Exited(126),
                "",
                State::NoAutomdev,
                "its automdev cannot be executed: nothing says why",
            ),
            (
                End::Exited(2),
                "error: unexpected argument '--null' found\n\n  tip: x\n",
                State::Older,
                "its automdev does not know what it was asked; install a newer one there: error: unexpected argument '--null' found",
            ),
            (
                End::Exited(42),
                "a\u{1b}[2J\n",
                State::Failed,
                "what was run there ended with status 42: \"a\\u{1b}[2J\"",
            ),
            (
                End::Killed(9),
                "",
                State::Unreachable,
                "its ssh was killed by signal 9",
            ),
            (
                End::Late(Duration::from_millis(500)),
                "x",
                State::Late,
                "no answer within 0.5 s",
            ),
        ] {
            let silence = reply(end, stderr).status().expect_err(reason);
            assert_eq!((silence.state, silence.reason.as_str()), (state, reason));
        }
        for status in [0, 1, 3] {
            for said in ["x", "automdev: vm.xml: Command not found."] {
                assert_eq!(reply(End::Exited(status), said).status(), Ok(status));
            }
        }
    }

    #[test]
    fn each_state_has_a_word_of_its_own() {
        let mut words: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), State::ALL.len());
    }
}
