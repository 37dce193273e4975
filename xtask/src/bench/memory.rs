//! The most memory that a process had resident.
//!
//! What wait4(2) tells of a child is no less than what its parent had when it made it, which is more than the hook has. So
//! the process is watched as a debugger does, and asked when it is about to end.

use std::fs;
use std::io::Write as _;
use std::process::{ChildStdin, Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail};
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::call::Step;
use super::process;

/// The shell waits for a line, by which time it is watched, and becomes the program, which finds its input behind it.
const WAIT: &str = "read -r _ && exec \"$@\"";

/// The most KiB that the process of a step had resident; what it starts itself is not counted.
pub(crate) fn peak(step: &Step) -> Result<u64> {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", WAIT, "sh"])
        .arg(&step.program)
        .args(&step.arguments);
    process::feed(&mut command, step)?;
    let mut child = command.stdin(Stdio::piped()).spawn().context("cannot run sh")?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    ptrace::seize(pid, Options::PTRACE_O_TRACEEXIT).context("cannot watch a process")?;
    let mut input = b"\n".to_vec();
    if let Some(file) = &step.input {
        input.extend(fs::read(file).with_context(|| format!("{}", file.display()))?);
    }
    let stdin = child.stdin.take();
    // A pipe takes no more at a time than a process reads.
    let writer = thread::spawn(move || stdin.map(|stdin| write(stdin, &input)));
    let peak = until_its_end(pid);
    child.wait()?;
    drop(writer.join());
    peak
}

/// Who is called may end without reading all of it.
fn write(mut stdin: ChildStdin, input: &[u8]) {
    let _ = stdin.write_all(input);
}

fn until_its_end(pid: Pid) -> Result<u64> {
    loop {
        match waitpid(pid, None)? {
            WaitStatus::PtraceEvent(_, _, event) if event == Event::PTRACE_EVENT_EXIT as i32 => {
                let peak = resident(pid);
                ptrace::cont(pid, None)?;
                return peak;
            }
            WaitStatus::Stopped(_, signal) => ptrace::cont(pid, signal)?,
            WaitStatus::PtraceEvent(..) => ptrace::cont(pid, None)?,
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => bail!("a process ended unwatched"),
            _ => {}
        }
    }
}

/// The kernel keeps the peak a little behind, as it adds up later what it counts for each processor; what there is at the
/// end, it adds up page by page (`proc(5)`, `VmHWM` and `smaps_rollup`).
fn resident(pid: Pid) -> Result<u64> {
    let read = |file: &str, name: &str| {
        let path = format!("/proc/{pid}/{file}");
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        kib(&text, name).with_context(|| format!("{path} has no {name}"))
    };
    Ok(read("status", "VmHWM")?.max(read("smaps_rollup", "Rss")?))
}

/// `NAME:   NUMBER kB`.
fn kib(text: &str, name: &str) -> Option<u64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_kib() {
        let text = "Name:\ttrue\nVmHWM:\t    1234 kB\nRssAnon:\t 1 kB\nRss:    5 kB\n";
        assert_eq!(kib(text, "VmHWM"), Some(1234));
        assert_eq!(kib(text, "Rss"), Some(5));
        assert_eq!(kib(text, "VmPeak"), None);
    }

    #[test]
    fn a_process_has_some_memory_and_no_more_than_it_takes() {
        let little = peak(&Step::new("/bin/true", &[])).expect("it can be watched");
        assert!((100..20_000).contains(&little), "{little} KiB");
        // What it reads in one piece it holds.
        let much = Step::new("/bin/dd", &["if=/dev/zero", "of=/dev/null", "bs=40M", "count=1"]);
        let much = peak(&much).expect("it can be watched");
        assert!((40 << 10..80 << 10).contains(&much), "{much} KiB");
    }
}
