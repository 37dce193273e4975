//! Reads the text that a command is about, and shows what is wrong with it.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use super::colour::Palette;
use super::diagnostic::Diagnostic;
use super::{Status, complain};
use crate::model::domain::{MOST_BYTES, decode};
use crate::model::fault::{Fault, MOST_FAULTS};
use crate::model::names::printable;

/// The XML of a domain, as far as it is a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// What it is called in messages: printable, on one line.
    pub name: String,
    /// The file; none where it is standard input.
    pub path: Option<PathBuf>,
    /// The text.
    pub text: String,
}

/// Why there is no input.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// Nothing was named, and standard input is a person.
    #[error("no FILE is given, and standard input is a terminal; - reads it all the same")]
    Terminal,
    /// It cannot be read.
    #[error("cannot read {name}")]
    Unreadable {
        /// The input's name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It is no text, or too much of it.
    #[error("{name} is not the XML of a domain", name = shown.name)]
    NotText {
        /// As far as it can be shown.
        shown: Box<Input>,
        /// What is wrong with it.
        fault: Fault,
    },
}

impl InputError {
    /// Prints it; the status that the command ends with.
    #[must_use]
    pub fn report(self) -> Status {
        match self {
            InputError::Terminal => {
                complain(&format!("automdev: {self}"));
                return Status::Usage;
            }
            InputError::Unreadable { source, name } => {
                complain(&format!("automdev: cannot read {name}: {source}"));
            }
            InputError::NotText { shown, fault } => shown.complain(&[fault]),
        }
        Status::Failed
    }
}

impl Input {
    /// Reads a file, or, where there is none or it is `-`, standard input: at most [`MOST_BYTES`].
    pub fn read(file: Option<&Path>) -> Result<Self, InputError> {
        match file {
            Some(path) if path != Path::new("-") => {
                let name = display_name(path);
                match File::open(path) {
                    Ok(file) => Self::read_all(file, name, Some(path.to_owned())),
                    Err(source) => Err(InputError::Unreadable { name, source }),
                }
            }
            None if io::stdin().is_terminal() => Err(InputError::Terminal),
            _ => Self::read_all(io::stdin().lock(), "standard input".to_owned(), None),
        }
    }

    fn read_all(reader: impl Read, name: String, path: Option<PathBuf>) -> Result<Self, InputError> {
        let mut bytes = Vec::new();
        // One more than may be, to know that there is more.
        let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        if let Err(source) = reader.take(most).read_to_end(&mut bytes) {
            return Err(InputError::Unreadable { name, source });
        }
        match decode(bytes) {
            Ok(text) => Ok(Input { name, path, text }),
            Err((text, fault)) => Err(InputError::NotText {
                shown: Box::new(Input { name, path, text }),
                fault,
            }),
        }
    }

    /// Prints what is odd about the text, though it can be used.
    pub fn warn(&self, odd: &[Fault]) {
        let warning = |fault: &Fault| Fault {
            message: format!("warning: {}", fault.message),
            ..fault.clone()
        };
        self.complain(&odd.iter().map(warning).collect::<Vec<_>>());
    }

    /// Prints what is wrong with the text.
    pub fn complain(&self, faults: &[Fault]) {
        let palette = Palette::for_stderr();
        for fault in faults {
            let (name, text) = (&self.name, &self.text);
            complain(
                &Diagnostic {
                    name,
                    text,
                    fault,
                    palette,
                }
                .to_string(),
            );
        }
        if faults.len() >= MOST_FAULTS {
            complain(&format!(
                "automdev: {}: only the first {MOST_FAULTS} errors are shown",
                self.name
            ));
        }
    }
}

/// The path for people: as it is, or quoted where it would do something to the terminal.
#[must_use]
pub fn display_name(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_as_it_is_unless_it_would_harm() {
        let long = "x/".repeat(200);
        for (path, shown) in [
            ("vm.xml", "vm.xml"),
            ("/a b/ä.xml", "/a b/ä.xml"),
            (&long, &long),
            ("a\nb", "\"a\\nb\""),
            ("\u{1b}[31m", "\"\\u{1b}[31m\""),
        ] {
            assert_eq!(display_name(Path::new(path)), shown);
        }
    }
}
