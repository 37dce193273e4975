//! The part of the command line that is ours; all behind it is QEMU's.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invocation {
    /// The program; looked for on PATH unless it has a slash in it.
    pub(super) program: OsString,
    /// The name that it sees as its own.
    pub(super) name: OsString,
    /// Its arguments, ours among them.
    pub(super) arguments: Vec<OsString>,
    /// The file that has the marks.
    pub(super) domain: Option<PathBuf>,
}

/// Why it cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; usage: automdev run [--domain FILE] -- QEMU ARGS…")]
pub(super) struct Wrong(String);

impl Invocation {
    /// Reads the arguments after `run`.
    pub(super) fn parse(arguments: &[OsString]) -> Result<Self, Wrong> {
        let mut domain = None;
        let mut rest = arguments;
        loop {
            let (first, behind) = rest
                .split_first()
                .ok_or_else(|| Wrong("QEMU's command is missing".to_owned()))?;
            let value = if first == "--" {
                rest = behind;
                break;
            } else if first == "--domain" {
                let (value, behind) = behind
                    .split_first()
                    .ok_or_else(|| Wrong("--domain needs a file".to_owned()))?;
                rest = behind;
                value.as_os_str()
            } else if let Some(value) = first.as_bytes().strip_prefix(b"--domain=") {
                rest = behind;
                OsStr::from_bytes(value)
            } else if first.as_bytes().starts_with(b"-") {
                return Err(Wrong(format!(
                    "{} is no option of its own",
                    Path::new(first).display()
                )));
            } else {
                break;
            };
            if domain.replace(PathBuf::from(value)).is_some() {
                return Err(Wrong("--domain is given twice".to_owned()));
            }
        }
        let (program, arguments) = rest
            .split_first()
            .filter(|(program, _)| !program.is_empty())
            .ok_or_else(|| Wrong("QEMU's command is missing".to_owned()))?;
        Ok(Invocation {
            program: program.clone(),
            name: program.clone(),
            arguments: arguments.to_vec(),
            domain,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Invocation, Wrong> {
        Invocation::parse(&line.split_terminator(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_ours_ends_where_qemu_begins() {
        for (line, domain, program, count) in [
            ("-- qemu", None, "qemu", 0),
            ("-- qemu -- --domain x", None, "qemu", 3),
            ("-- --domain", None, "--domain", 0),
            ("qemu -S", None, "qemu", 1),
            ("qemu --domain x", None, "qemu", 2),
            ("--domain a.xml -- qemu -S", Some("a.xml"), "qemu", 1),
            ("--domain=a.xml qemu", Some("a.xml"), "qemu", 0),
            ("--domain -- -- qemu", Some("--"), "qemu", 0),
        ] {
            let invocation = parse(line).expect(line);
            assert_eq!(invocation.domain, domain.map(PathBuf::from), "{line}");
            assert_eq!(
                (invocation.program, invocation.arguments.len()),
                (program.into(), count),
                "{line}"
            );
            assert_eq!(invocation.name, program, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (line, why) in [
            ("", "QEMU's command is missing"),
            ("--", "QEMU's command is missing"),
            ("-- ", "QEMU's command is missing"),
            ("--domain", "--domain needs a file"),
            ("--domain a", "QEMU's command is missing"),
            ("--domain a --domain=b -- qemu", "--domain is given twice"),
            ("--verbose -- qemu", "--verbose is no option of its own"),
            ("-S qemu", "-S is no option of its own"),
        ] {
            let expected = format!("{why}; usage: automdev run [--domain FILE] -- QEMU ARGS…");
            assert_eq!(parse(line).expect_err(line).to_string(), expected, "{line}");
        }
    }
}
