//! Short lines that tell a person what takes so long.

use std::fmt::Display;
use std::io::{IsTerminal as _, stderr};
use std::time::Instant;

/// Something that takes a while. Two lines on stderr: one at its start, one with its time at its end.
pub(crate) struct Stage {
    text: String,
    start: Instant,
}

impl Stage {
    /// Says that `what` begins for `whom`.
    pub(crate) fn begin(whom: impl Display, what: impl Display) -> Self {
        let text = format!("{}: {what}", bold(whom));
        eprintln!("{text} …");
        Self {
            text,
            start: Instant::now(),
        }
    }

    /// Says that it is done, and how long it took.
    pub(crate) fn end(self) {
        eprintln!("{} … {} s", self.text, self.start.elapsed().as_secs());
    }
}

/// `text` in bold where stderr is a terminal.
pub(crate) fn bold(text: impl Display) -> String {
    if stderr().is_terminal() {
        format!("\x1b[1m{text}\x1b[0m")
    } else {
        text.to_string()
    }
}
