//! Calls mdevctl's scripts around what automdev makes and removes, as mdevctl calls them around its start and stop.
//!
//! ```text
//! ask every callout what it knows ──► the first that answers is the one for this device
//! pre:   that one; or else each one, sorted, until one does not end with 2 ("not my type"), which is then the one
//! the act
//! post:  the one, or else as for pre
//! notify: every notifier
//! ```
//!
//! A `pre` that fails keeps the act from being tried; nothing else matters. mdevctl sets no limits and trusts
//! whatever lies in the folders. Here each call has its deadline, and a script that another than root may write is
//! not executed. No lock of the host's or of a parent's is held meanwhile.

mod folder;
mod process;

use std::path::{Path, PathBuf};

use super::machine::Machine;
use crate::model::callout::{Act, Event, Outcome, PROVIDES, Subject, Supports};
use crate::model::definition::{Attribute, Start};
use folder::Kind;
use process::{Ending, Ran};

/// Why an act is not to be tried. Displays the reason and what to do next, without the device.
#[derive(Debug, thiserror::Error)]
pub enum CalloutError {
    /// A script says so.
    #[error(
        "the callout {} refuses it: {message}; do as it says, or set callouts = false in {}",
        script.display(),
        super::machine::SETTINGS
    )]
    Refused {
        /// The script.
        script: PathBuf,
        /// What it says.
        message: String,
    },
    /// A script did not end.
    #[error("the callout {} does not come to an end; mend it, or give it more time (timeouts.callout)", script.display())]
    TimedOut {
        /// The script.
        script: PathBuf,
    },
    /// The call's time has passed before a script was called.
    #[error("no time is left to call the callout {}; give the whole call more time (timeouts.hook)", script.display())]
    NoTime {
        /// The script.
        script: PathBuf,
    },
    /// A script that answers for the device does not know the act.
    #[error("the callout {} answers for this device, but does not know {}; mend it", script.display(), act.as_str())]
    Unknown {
        /// The script.
        script: PathBuf,
        /// The act.
        act: Act,
    },
    /// A script that answers for the device cannot be executed any more.
    #[error("the callout {} cannot be executed: {source}; mend it", script.display())]
    NotExecuted {
        /// The script.
        script: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl CalloutError {
    /// Whether time alone may help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, CalloutError::TimedOut { .. } | CalloutError::NoTime { .. })
    }
}

/// The scripts around one act on one device, from before it until after it.
#[must_use = "the scripts are to be told the end"]
pub struct Callouts<'a> {
    machine: &'a Machine<'a>,
    subject: Subject,
    act: Act,
    /// What they are given.
    input: String,
    /// All callouts, as they were found before the act.
    all: Vec<PathBuf>,
    /// All notifiers, likewise.
    notifiers: Vec<PathBuf>,
    /// The one that answers for the device.
    script: Option<Script>,
    ran: bool,
}

struct Script {
    path: PathBuf,
    /// What it knows; none where it does not tell, and is taken to know everything.
    supports: Option<Supports>,
}

impl<'a> Callouts<'a> {
    /// Calls the scripts before a device is made.
    ///
    /// # Errors
    /// One of them does not want it to be made; they all have been told.
    pub fn before_start(
        machine: &'a Machine<'a>,
        subject: Subject,
        start: Start,
        attributes: &[Attribute],
    ) -> Result<Self, CalloutError> {
        let input = subject.start_input(start, attributes);
        Callouts::begin(machine, subject, Act::Start, input)
    }

    /// Calls the scripts before a device is removed.
    ///
    /// # Errors
    /// One of them does not want it to be removed; they all have been told.
    pub fn before_stop(machine: &'a Machine<'a>, subject: Subject) -> Result<Self, CalloutError> {
        let input = subject.stop_input();
        Callouts::begin(machine, subject, Act::Stop, input)
    }

    fn begin(
        machine: &'a Machine<'a>,
        subject: Subject,
        act: Act,
        input: String,
    ) -> Result<Self, CalloutError> {
        let mut callouts = Callouts {
            machine,
            subject,
            act,
            input,
            all: scripts(machine, Kind::Callouts),
            notifiers: scripts(machine, Kind::Notifiers),
            script: None,
            ran: false,
        };
        callouts.script = callouts.ask();
        if let Err(error) = callouts.call(Event::Pre, Outcome::None) {
            callouts.notify(Outcome::None);
            return Err(error);
        }
        Ok(callouts)
    }

    /// Calls the scripts after the act.
    pub fn end(mut self, outcome: Outcome) {
        if let Err(error) = self.call(Event::Post, outcome) {
            log::warn!(uuid:% = self.subject.uuid; "after the {}, {}", self.act.as_str(), error);
        }
        self.notify(outcome);
    }

    /// Whether there is no script at all, so that the end is told to nobody.
    #[must_use]
    pub fn has_none(&self) -> bool {
        self.all.is_empty() && self.notifiers.is_empty()
    }

    /// Whether any script was executed, which may have taken its time.
    #[must_use]
    pub const fn ran(&self) -> bool {
        self.ran
    }

    /// The script that says that it answers for this type.
    fn ask(&mut self) -> Option<Script> {
        for path in self.all.clone() {
            let ran = self.run(&path, Event::Get, Act::Capabilities, Outcome::None, PROVIDES);
            match ran {
                Ok(ran) if matches!(ran.ending, Ending::Exited(status) if status != NOT_MINE) => {
                    if let Some(supports) = Supports::parse(&ran.stdout) {
                        let supports = Some(supports);
                        return Some(Script { path, supports });
                    }
                }
                Ok(ran) => self.log_ending(&path, &ran),
                Err(error) => log::debug!("{} is not executed: {error}", path.display()),
            }
        }
        None
    }

    fn call(&mut self, event: Event, outcome: Outcome) -> Result<(), CalloutError> {
        let Some(Script { path, supports }) = &self.script else {
            return self.search(event, outcome);
        };
        let (script, act) = (path.clone(), self.act);
        if supports
            .as_ref()
            .is_some_and(|supports| !supports.knows(event, act))
        {
            return Err(CalloutError::Unknown { script, act });
        }
        let input = self.input.clone();
        let ran = self.run(&script, event, act, outcome, &input);
        let ran = ran.map_err(|source| CalloutError::NotExecuted {
            script: script.clone(),
            source,
        })?;
        self.log_ending(&script, &ran);
        judge(script, &ran)
    }

    /// Calls one script after the other until one answers for the device.
    fn search(&mut self, event: Event, outcome: Outcome) -> Result<(), CalloutError> {
        let input = self.input.clone();
        for path in self.all.clone() {
            let ran = match self.run(&path, event, self.act, outcome, &input) {
                Ok(ran) => ran,
                Err(error) => {
                    log::debug!("{} is not executed: {error}", path.display());
                    continue;
                }
            };
            self.log_ending(&path, &ran);
            match ran.ending {
                Ending::Exited(NOT_MINE) | Ending::Killed(_) => {}
                Ending::Exited(_) | Ending::TimedOut | Ending::NotStarted => {
                    judge(path.clone(), &ran)?;
                    let supports = None;
                    self.script = Some(Script { path, supports });
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn notify(&mut self, outcome: Outcome) {
        for path in std::mem::take(&mut self.notifiers) {
            match self.run(&path, Event::Notify, self.act, outcome, "") {
                Ok(ran) => self.log_ending(&path, &ran),
                Err(error) => log::debug!("{} is not executed: {error}", path.display()),
            }
        }
    }

    fn run(
        &mut self,
        script: &Path,
        event: Event,
        act: Act,
        outcome: Outcome,
        input: &str,
    ) -> std::io::Result<Ran> {
        let deadline = self.machine.deadline.or_after(self.machine.timeouts.callout);
        if deadline.has_passed() {
            return Ok(Ran::not_at_all());
        }
        self.ran = true;
        log::debug!(uuid:% = self.subject.uuid; "calling {} for {} {}", script.display(), event.as_str(), act.as_str());
        let arguments = self.subject.arguments(event, act, outcome);
        // What it leads to may be another program by now.
        let program = folder::program(&self.machine.root, script)?;
        process::run((script, &program), &arguments, input.as_bytes(), deadline)
    }

    fn log_ending(&self, script: &Path, ran: &Ran) {
        let (uuid, script) = (self.subject.uuid, script.display());
        match ran.ending {
            Ending::TimedOut => log::warn!(uuid:%; "{script} did not end in time, and was killed"),
            Ending::NotStarted => log::warn!(uuid:%; "there was no time left to call {script}"),
            Ending::Killed(signal) => log::warn!(uuid:%; "{script} was killed by signal {signal}"),
            Ending::Exited(0 | NOT_MINE) if ran.stderr.is_empty() => {}
            Ending::Exited(0) => log::info!(uuid:%; "{script} says: {}", one_line(&ran.stderr)),
            Ending::Exited(NOT_MINE) => log::debug!(uuid:%; "{script} says: {}", one_line(&ran.stderr)),
            Ending::Exited(status) => {
                log::warn!(uuid:%; "{script} ended with status {status}: {}", one_line(&ran.stderr));
            }
        }
    }
}

/// The scripts that are called, unless the settings say that none is.
fn scripts(machine: &Machine<'_>, kind: Kind) -> Vec<PathBuf> {
    if machine.callouts {
        folder::scripts(&machine.root, kind)
    } else {
        Vec::new()
    }
}

/// The exit status of a script that has nothing to do with the device's type.
const NOT_MINE: i32 = 2;

fn judge(script: PathBuf, ran: &Ran) -> Result<(), CalloutError> {
    match ran.ending {
        // mdevctl takes one that was killed for one that has nothing against it.
        Ending::Exited(0) | Ending::Killed(_) => Ok(()),
        Ending::TimedOut => Err(CalloutError::TimedOut { script }),
        Ending::NotStarted => Err(CalloutError::NoTime { script }),
        Ending::Exited(status) => {
            let said = one_line(&ran.stderr);
            let message = if said.is_empty() {
                format!("it ended with status {status}")
            } else {
                said
            };
            Err(CalloutError::Refused { script, message })
        }
    }
}

/// What a script said, on one line, in so many words as people read.
fn one_line(text: &[u8]) -> String {
    const MOST: usize = 400;
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let mut line: String = lines.join("; ").chars().take(MOST).collect();
    line = line.replace(char::is_control, " ");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_says_becomes_one_line() {
        for (said, line) in [
            ("", ""),
            ("\n \n", ""),
            ("no license\n", "no license"),
            (" a \r\n\nb\n", "a; b"),
            ("\u{1b}[31mred", " [31mred"),
        ] {
            assert_eq!(one_line(said.as_bytes()), line, "{said:?}");
        }
        assert_eq!(one_line(&[0xff]), "\u{fffd}");
        assert_eq!(one_line("x".repeat(1000).as_bytes()).len(), 400);
    }
}
