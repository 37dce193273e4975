//! From the arguments to the front, and from its end to the exit status.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use clap::Parser;

use super::cli::Cli;
use super::{Status, complain, hook, run as run_front};
use crate::host::kernel::Kernel;
use crate::host::root::Root;

/// Runs the whole program: `arguments` are those of main, the program's name first.
pub fn run(arguments: Vec<OsString>, kernel: &dyn Kernel) -> Status {
    if arguments.first().is_some_and(|name| is_hook(Path::new(name))) {
        return hook::run(&Root::default(), kernel, &arguments[1..]);
    }
    if arguments.first().is_some_and(|name| is_qemu(Path::new(name))) {
        return run_front::run_as_qemu(kernel, &arguments);
    }
    match foreign(&arguments) {
        Some((Foreign::Hook, root, rest)) => return hook::run(&root, kernel, rest),
        Some((Foreign::Run, root, rest)) => return run_front::run(&root, kernel, rest),
        None => {}
    }
    match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.run(kernel).unwrap_or_else(|error| {
            complain(&format!("automdev: {error:#}{}", advice(&error)));
            Status::Failed
        }),
        Err(error) => {
            let status = if error.use_stderr() {
                Status::Usage
            } else {
                Status::Done
            };
            // Nobody is there to be told that printing failed.
            drop(error.print());
            status
        }
    }
}

/// What may help where the machine refused it for lack of rights.
fn advice(error: &anyhow::Error) -> &'static str {
    let is_denied = |cause: &(dyn Error + 'static)| {
        let denied = cause.downcast_ref::<io::Error>();
        denied.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    if error.chain().any(is_denied) && !nix::unistd::geteuid().is_root() {
        "; run this as root"
    } else {
        ""
    }
}

/// Whether the program was started as libvirt's hook: by a path whose last part is `qemu`, or whose folder is
/// `qemu.d`.
fn is_hook(program: &Path) -> bool {
    let folder = program.parent().and_then(Path::file_name);
    program.file_name() == Some(OsStr::new("qemu")) || folder == Some(OsStr::new("qemu.d"))
}

/// Whether the program was started in the place of a QEMU.
fn is_qemu(program: &Path) -> bool {
    let name = program.file_name().map(OsStr::as_encoded_bytes);
    name.is_some_and(|name| name.starts_with(b"qemu-system-"))
}

/// A front whose arguments are not ours to understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Foreign {
    Hook,
    Run,
}

/// The root and the arguments of `[--root DIR] hook …` or `[--root DIR] run …`: a domain may be called
/// `--version`.
fn foreign(arguments: &[OsString]) -> Option<(Foreign, Root, &[OsString])> {
    let (root, rest) = match arguments.get(1..)? {
        [option, folder, rest @ ..] if option == "--root" => (Root::new(folder), rest),
        [option, rest @ ..] => match option.to_str().and_then(|option| option.strip_prefix("--root=")) {
            Some(folder) => (Root::new(folder), rest),
            None => (Root::default(), arguments.get(1..)?),
        },
        [] => return None,
    };
    let (command, rest) = rest.split_first()?;
    let front = match command.to_str() {
        Some("hook") => Foreign::Hook,
        Some("run") => Foreign::Run,
        _ => return None,
    };
    match rest {
        [help] if help == "--help" || help == "-h" => None,
        rest => Some((front, root, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hook_is_known_by_its_path() {
        for (path, hook) in [
            ("/etc/libvirt/hooks/qemu", true),
            ("/etc/libvirt/hooks/qemu.d/50-automdev", true),
            ("qemu", true),
            ("/usr/bin/automdev", false),
            ("automdev", false),
            ("/usr/bin/qemu-system-x86_64", false),
            ("", false),
        ] {
            assert_eq!(is_hook(Path::new(path)), hook, "{path}");
        }
    }

    #[test]
    fn a_qemu_is_known_by_its_name() {
        for (path, qemu) in [
            ("qemu-system-x86_64", true),
            ("/usr/local/bin/qemu-system-s390x", true),
            ("/etc/libvirt/hooks/qemu", false),
            ("/usr/bin/qemu-img", false),
            ("/usr/bin/automdev", false),
            ("", false),
        ] {
            assert_eq!(is_qemu(Path::new(path)), qemu, "{path}");
        }
    }

    #[test]
    fn what_libvirt_passes_is_not_taken_for_options() {
        let arguments = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (line, count) in [
            ("automdev hook --version prepare begin -", Some(4)),
            ("automdev --root /t hook --help prepare begin -", Some(4)),
            ("automdev --root=/t hook", Some(0)),
            ("automdev hook --help", None),
            ("automdev run --help", None),
            ("automdev run -- --help", Some(2)),
            ("automdev --root /t run -- qemu", Some(2)),
            ("automdev plan", None),
            ("automdev --version", None),
            ("automdev", None),
        ] {
            let arguments = arguments(line);
            assert_eq!(foreign(&arguments).map(|(.., rest)| rest.len()), count, "{line}");
        }
    }
}
