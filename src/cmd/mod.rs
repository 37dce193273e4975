//! The fronts, one file a command: each reads its input, calls down, prints.

use std::io::Write as _;

use crate::model::names::is_unprintable;

pub mod check;
pub mod cli;
pub mod colour;
pub mod define;
pub mod diagnostic;
pub mod format;
pub mod hook;
pub mod hosts;
pub mod hotplug;
pub mod input;
pub mod install_hook;
pub mod list;
pub mod output;
pub mod plan;
pub mod pools;
pub mod program;
pub mod reconcile;
pub mod rewrite;
pub mod run;
pub mod show;
pub mod types;
pub mod undefine;

/// How a command ended, as its exit status says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Done, or yes.
    Done,
    /// Failed or refused; the reason has been printed.
    Failed,
    /// The command line is wrong.
    Usage,
    /// The answer is no.
    No,
    /// The status of the program that was run, or that of `run` itself.
    Exit(u8),
}

impl Status {
    /// The exit status.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Status::Done => 0,
            Status::Failed => 1,
            Status::Usage => 2,
            Status::No => 3,
            Status::Exit(code) => code,
        }
    }
}

/// Prints a line for the person or program that called; that nobody reads it must not end us.
pub fn complain(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// A message on one line, with nothing in it that a terminal would obey: it is shown to whoever started the
/// domain.
fn one_line(message: &str) -> String {
    message
        .chars()
        .map(|character| if is_unprintable(character) { ' ' } else { character })
        .collect()
}
