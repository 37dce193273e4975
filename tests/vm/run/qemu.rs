//! A real QEMU under the wrapper.

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use crate::support::{IDLE_FIRMWARE, eventually, files};

/// A small machine without anything that takes time, whose guest does nothing.
pub(crate) fn plain() -> [&'static str; 10] {
    [
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-machine",
        "q35",
        "-m",
        "16",
        "-bios",
        IDLE_FIRMWARE,
    ]
}

/// The program and its arguments: the small machine and these.
pub(crate) fn arguments<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&["qemu-system-x86_64"], &plain()[..], rest].concat()
}

/// The value of `-device` for one.
pub(crate) fn device(uuid: &str) -> String {
    format!("vfio-pci,sysfsdev=/sys/bus/mdev/devices/{uuid}")
}

/// `automdev run --`, as a shell starts a job: in a group of its own.
pub(crate) fn wrapper() -> Command {
    let mut command = Command::new("automdev");
    command.args(["run", "--"]).stdin(Stdio::null()).process_group(0);
    command
}

/// The wrapper, with its standard streams on pipes.
pub(crate) struct Qemu(Child);

impl Qemu {
    pub(crate) fn start(rest: &[&str]) -> Self {
        let mut command = wrapper();
        Qemu::of(command.args(arguments(rest)))
    }

    pub(crate) fn of(command: &mut Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Qemu(command.spawn().expect("it starts"))
    }

    /// The wrapper's number.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn type_in(&mut self, keys: &str) {
        let input = self.0.stdin.as_mut().expect("a pipe");
        input.write_all(keys.as_bytes()).expect("somebody reads");
    }

    pub(crate) fn end(self) -> Output {
        self.0.wait_with_output().expect("it ends")
    }
}

/// Waits until a QEMU has a device open, and tells its number.
#[track_caller]
pub(crate) fn wait_for_holder(uuid: &str) -> u32 {
    let mut found = None;
    eventually("a QEMU has the device open", || {
        found = holder(uuid);
        found.is_some()
    });
    found.expect("it was found")
}

/// Waits until a QEMU ends in good order by the signals that mean it to: it says that it handles them (proc(5)) only
/// once it is set up.
#[track_caller]
pub(crate) fn wait_until_ready(pid: u32) {
    eventually("QEMU handles SIGTERM", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        caught.unwrap_or_default() & (1 << (Signal::SIGTERM as u32 - 1)) != 0
    });
}

/// The process that has the node of a device open, whatever its parent.
fn holder(uuid: &str) -> Option<u32> {
    let group = fs::read_link(format!("/sys/bus/mdev/devices/{uuid}/iommu_group")).ok()?;
    let node = std::path::Path::new("/dev/vfio").join(group.file_name()?);
    pids().find(|pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd"));
        let mut files = files.into_iter().flatten().flatten();
        files.any(|file| fs::read_link(file.path()).is_ok_and(|file| file == node))
    })
}

/// What a command that has ended printed.
pub(crate) fn ended(output: io::Result<Output>) -> String {
    String::from_utf8(output.expect("it starts").stdout).expect("UTF-8")
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().expect("a number"));
    signal::kill(pid, signal).expect("it runs");
}

/// Whether a process is there and has not ended.
pub(crate) fn runs(pid: u32) -> bool {
    !matches!(state(pid), '-' | 'Z')
}

/// All processes of a program that have not ended.
pub(crate) fn all_of(program: &str) -> Vec<u32> {
    let is_one = |pid: &u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == program && runs(*pid)
    };
    pids().filter(is_one).collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The state of a process (proc(5)), or a dash.
pub(crate) fn state(pid: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next())
        .unwrap_or('-')
}

/// The name of a process's program.
pub(crate) fn name_of(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).expect("it runs");
    name.trim().to_owned()
}

/// The number in a file of `-pidfile`.
pub(crate) fn pid_in(file: &str) -> u32 {
    eventually("QEMU has written its number", || {
        fs::read_to_string(file).is_ok_and(|text| text.ends_with('\n'))
    });
    fs::read_to_string(file)
        .expect("a file")
        .trim()
        .parse()
        .expect("a number")
}

/// All that is left of a run is looked at once nothing is under way.
pub(crate) fn wait_until_idle() {
    eventually("all devices are gone", || {
        files::active().is_empty() && files::ledger().is_empty()
    });
}
