//! A host on which QEMU is started by the wrapper. The processes are this machine's own: whoever claims is one.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::ops::Deref;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::support::Tree;

/// A host with parents and definitions to come, and a QEMU that is a script.
pub(crate) struct Host {
    tree: Tree,
}

impl Deref for Host {
    type Target = Tree;

    fn deref(&self) -> &Tree {
        &self.tree
    }
}

/// The program, next to the tests' own.
pub(crate) fn program() -> PathBuf {
    let tests = std::env::current_exe().expect("the tests are a program");
    let built = tests.ancestors().nth(2).expect("target/PROFILE/deps/TESTS");
    built.join("examples/automdev-on-fake")
}

impl Host {
    /// A host that has the sample drivers' parents.
    pub(crate) fn new() -> Self {
        let tree = Tree::new();
        fs::remove_dir(tree.at("proc")).expect("an empty folder");
        std::os::unix::fs::symlink("/proc", tree.at("proc")).expect("a link");
        for driver in ["mtty", "mdpy", "mbochs"] {
            tree.folder(&format!("sys/bus/mdev/drivers/{driver}"));
        }
        tree.folder("sys/class/vfio-dev").folder("scripts").mtty().mdpy();
        Host { tree }
    }

    /// Puts a QEMU in place: a shell script, which finds the host's root in `$ROOT`.
    pub(crate) fn qemu(&self, script: &str) -> PathBuf {
        self.script("qemu", script)
    }

    /// Puts a script of that name in place.
    pub(crate) fn script(&self, name: &str, script: &str) -> PathBuf {
        let path = self.at("scripts").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let text = format!("#!/bin/sh\nROOT={}\n{script}\n", self.path().display());
        // By another process: what a child of another test has open for writing cannot be executed.
        let mut writer = Command::new("/bin/sh")
            .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut input = writer.stdin.take().expect("a pipe");
        input.write_all(text.as_bytes()).expect("it reads");
        drop(input);
        assert!(writer.wait().expect("it ends").success());
        path
    }

    /// `automdev --root ROOT run`, in a process group of its own.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(program());
        command
            .arg("--root")
            .arg(self.path())
            .arg("run")
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// The same as a shell starts a job: with no signal ignored. Who runs these tests in the background may have them
    /// ignore some.
    pub(crate) fn job(&self) -> Command {
        let command = self.command();
        let mut job = Command::new("/usr/bin/env");
        job.arg("--default-signal=HUP,INT,QUIT")
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .process_group(0);
        job
    }

    /// Runs the wrapper around the script with these arguments.
    #[track_caller]
    pub(crate) fn run<S: AsRef<OsStr>>(&self, script: &str, arguments: &[S]) -> Answer {
        let qemu = self.qemu(script);
        answer(self.command().arg("--").arg(qemu).args(arguments))
    }

    /// `automdev reconcile`.
    pub(crate) fn reconcile(&self) -> Answer {
        let mut command = Command::new(program());
        answer(command.arg("--root").arg(self.path()).arg("reconcile"))
    }

    /// The same, without waiting for its end.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, script: &str, arguments: &[S]) -> Running {
        let qemu = self.qemu(script);
        let mut command = self.job();
        command.arg("--").arg(qemu).args(arguments);
        Running::of(&mut command)
    }

    /// Waits until a script has written a file, and reads it.
    #[track_caller]
    pub(crate) fn wait_for(&self, path: &str) -> String {
        eventually(&format!("{path} is there"), || self.at(path).exists());
        self.read(path).expect("a file")
    }

    /// The active devices.
    pub(crate) fn devices(&self) -> Vec<String> {
        self.names("sys/bus/mdev/devices")
    }

    /// The claims on a device.
    pub(crate) fn claims(&self, uuid: &str) -> Vec<String> {
        self.names(format!("run/automdev/claims/{uuid}"))
    }

    /// Everything is as if automdev had never been there, but for its locks.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.devices(), Vec::<String>::new(), "devices");
        for kind in ["devices", "claims", "claimants"] {
            let left = self.names(format!("run/automdev/{kind}"));
            assert_eq!(left, Vec::<String>::new(), "{kind}");
        }
    }
}

/// The wrapper, and what it runs.
pub(crate) struct Running(Option<Child>);

impl Running {
    /// Starts a command.
    pub(crate) fn of(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(Some(command.spawn().expect("the program starts")))
    }

    pub(crate) fn pid(&self) -> Pid {
        let child = self.0.as_ref().expect("it runs");
        Pid::from_raw(i32::try_from(child.id()).expect("a number"))
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// Whether it has.
    pub(crate) fn has_ended(&mut self) -> bool {
        let child = self.0.as_mut().expect("it runs");
        child.try_wait().expect("it can be waited for").is_some()
    }

    /// Kills it, and not what it runs.
    pub(crate) fn kill(mut self) {
        let mut child = self.0.take().expect("it runs");
        child.kill().expect("it runs");
        assert_eq!(child.wait().expect("it can be waited for").signal(), Some(9));
    }

    /// Waits for its end, and for that of all who have its output; who takes minutes is killed, with its group.
    pub(crate) fn end(mut self) -> Answer {
        let pid = self.pid();
        let child = self.0.take().expect("it runs");
        let (ended, end) = mpsc::channel::<()>();
        let watch = thread::spawn(move || {
            if end.recv_timeout(Duration::from_secs(120)) == Err(RecvTimeoutError::Timeout) {
                killpg(pid, Signal::SIGKILL).expect("it runs");
            }
        });
        let output = child.wait_with_output().expect("a child can be waited for");
        drop(ended);
        watch.join().expect("it only waits");
        Answer::of(&output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Waits for a command's end.
#[track_caller]
pub(crate) fn answer(command: &mut Command) -> Answer {
    Answer::of(&command.output().expect("the program starts"))
}

/// How it ended, and what was said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    fn of(output: &Output) -> Self {
        Answer {
            status: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// It ended so, and only QEMU said something.
    #[track_caller]
    pub(crate) fn ended(self, status: i32) -> Self {
        assert_eq!(
            (self.status, self.stderr.as_str()),
            (Some(status), ""),
            "{self:?}"
        );
        self
    }

    /// It was refused with this line, before QEMU ran.
    #[track_caller]
    pub(crate) fn refused(self, line: &str) {
        self.failed(125, line);
    }

    /// It failed with this line.
    #[track_caller]
    pub(crate) fn failed(self, status: i32, line: &str) {
        let expected = format!("automdev: {line}\n");
        assert_eq!((self.status, self.stderr), (Some(status), expected));
        assert_eq!(self.stdout, "");
    }
}

/// Looks until it is so; panics after a time that is long on a busy machine, too.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The state of a process (proc(5)); none once it is gone.
pub(crate) fn state(pid: Pid) -> Option<char> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
