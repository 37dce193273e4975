//! The hook, called as libvirt calls it: the same arguments, the same environment, the XML on standard input.

use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::files;

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Called {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Called {
    /// It succeeded and said nothing.
    #[track_caller]
    pub(crate) fn assert_fine(&self) {
        assert_eq!(
            (self.status, self.stdout.as_str(), self.stderr.as_str()),
            (Some(0), "", "")
        );
    }

    /// It failed with exactly this line.
    #[track_caller]
    pub(crate) fn assert_refused(&self, line: &str) {
        assert_eq!(
            (self.status, self.stdout.as_str(), self.stderr.as_str()),
            (Some(1), "", format!("{line}\n").as_str())
        );
    }
}

/// `OPERATION SUB_OPERATION`, for a domain of that name, as root.
pub(crate) fn hook(name: &str, operation: &str, input: impl AsRef<[u8]>) -> Called {
    hook_as(0, name, operation, input)
}

/// The same as another user.
pub(crate) fn hook_as(user: u32, name: &str, operation: &str, input: impl AsRef<[u8]>) -> Called {
    let mut command = Command::new("/usr/bin/automdev");
    command.arg("hook").arg(name).args(operation.split(' ')).arg("-");
    call(command.uid(user).gid(user), input.as_ref())
}

/// `automdev reconcile`.
pub(crate) fn reconcile() -> Called {
    call(Command::new("/usr/bin/automdev").arg("reconcile"), b"")
}

/// Has files taken away that somebody was just writing who was killed: they are nobody's, and `reconcile` alone looks for
/// them.
#[track_caller]
pub(crate) fn sweep(told: &str) {
    let left = files::ledger();
    if !left.is_empty() && left.iter().all(|entry| files::is_half_written(entry)) {
        let swept = reconcile();
        assert_eq!(swept.status, Some(0), "{told}: {swept:?}");
    }
}

/// Calls a program with libvirt's environment.
pub(crate) fn call(command: &mut Command, input: &[u8]) -> Called {
    command
        .env_clear()
        .env("LC_ALL", "C")
        .env("HOME", "/root")
        .env("USER", "root")
        .env("LOGNAME", "root");
    command.env(
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    );
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program is there");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // Who is called may end without reading all of it.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic");
    Called {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}
