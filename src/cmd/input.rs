//! Reads the text that a command is about, and shows what is wrong with it.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};

use super::colour::Palette;
use super::diagnostic::Diagnostic;
use super::{Status, complain};
use crate::model::domain::{MOST_BYTES, decode};
use crate::model::far::plan::{SEPARATOR, STANDARD_INPUT, document_name};
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
            _ => Self::read_all(io::stdin().lock(), STANDARD_INPUT.to_owned(), None),
        }
    }

    /// Reads standard input as several documents, one behind the other as they are asked for, with a NUL byte behind each
    /// (behind the last it may be missing). `file` is none where nobody named it.
    pub fn documents(file: Option<&Path>) -> impl Iterator<Item = Result<Self, InputError>> + use<> {
        let mut number = 0;
        let mut is_over = false;
        let mut is_person = file.is_none() && io::stdin().is_terminal();
        std::iter::from_fn(move || {
            if std::mem::take(&mut is_person) {
                is_over = true;
                return Some(Err(InputError::Terminal));
            }
            if is_over {
                return None;
            }
            let name = document_name(number);
            let mut bytes = Vec::new();
            let read = io::stdin().lock().take(most()).read_until(SEPARATOR, &mut bytes);
            if let Err(source) = read {
                is_over = true;
                return Some(Err(InputError::Unreadable { name, source }));
            }
            // Where a document is too large, nobody knows where the next one begins.
            is_over = bytes.last() != Some(&SEPARATOR);
            if !is_over {
                bytes.pop();
            }
            if is_over && bytes.len() <= MOST_BYTES && bytes.trim_ascii().is_empty() {
                return None;
            }
            number += 1;
            Some(Self::of_bytes(bytes, name, None))
        })
    }

    fn read_all(reader: impl Read, name: String, path: Option<PathBuf>) -> Result<Self, InputError> {
        let mut bytes = Vec::new();
        if let Err(source) = reader.take(most()).read_to_end(&mut bytes) {
            return Err(InputError::Unreadable { name, source });
        }
        Self::of_bytes(bytes, name, path)
    }

    fn of_bytes(bytes: Vec<u8>, name: String, path: Option<PathBuf>) -> Result<Self, InputError> {
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

/// One byte more than may be, to know that there is more.
fn most() -> u64 {
    u64::try_from(MOST_BYTES).unwrap_or(u64::MAX).saturating_add(1)
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
