//! A program that is to be run, and its arguments.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use nix::unistd::execvp;

/// A program and its arguments, ready for exec.
#[derive(Debug)]
pub struct Program {
    file: CString,
    arguments: Vec<CString>,
}

impl Program {
    /// `file` is looked for on PATH unless it has a slash in it. `name` is what the program sees as its own.
    ///
    /// # Errors
    /// There is a NUL byte in one of them, which no command line has.
    pub fn new(file: &OsStr, name: &OsStr, arguments: Vec<OsString>) -> Result<Self, std::ffi::NulError> {
        let name = std::iter::once(name.to_owned());
        Ok(Program {
            file: CString::new(file.as_bytes())?,
            arguments: name
                .chain(arguments)
                .map(|argument| CString::new(argument.into_vec()))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Becomes it; returns only why not.
    pub(super) fn exec(&self) -> Errno {
        match execvp(&self.file, &self.arguments) {
            Ok(never) => match never {},
            Err(errno) => errno,
        }
    }
}
