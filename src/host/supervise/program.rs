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

    /// The arguments for [`Program::unpack`], by way of a pipe.
    pub(super) fn pack(&self) -> Vec<u8> {
        let arguments = self.arguments.iter();
        arguments
            .flat_map(|argument| argument.to_bytes_with_nul())
            .copied()
            .collect()
    }

    /// The same program with these arguments.
    pub(super) fn unpack(&self, packed: &[u8]) -> Self {
        let arguments = packed.split_inclusive(|byte| *byte == 0);
        Program {
            file: self.file.clone(),
            arguments: arguments
                .filter_map(|argument| CString::from_vec_with_nul(argument.to_vec()).ok())
                .collect(),
        }
    }

    /// Becomes it; returns only why not.
    pub(super) fn exec(&self) -> Errno {
        match execvp(&self.file, &self.arguments) {
            Ok(never) => match never {},
            Err(errno) => errno,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_go_through_a_pipe_as_they_are() {
        let program = |arguments: &[&str]| {
            let arguments = arguments.iter().map(OsString::from).collect();
            Program::new(OsStr::new("/bin/qemu"), OsStr::new("qemu"), arguments).expect("no NUL in it")
        };
        for arguments in [&[][..], &["", "-m", "a b\n", ""], &["\u{e4}"]] {
            let other = program(arguments);
            let same = program(&["-x"]).unpack(&other.pack());
            assert_eq!((same.file, same.arguments), (other.file, other.arguments));
        }
    }
}
