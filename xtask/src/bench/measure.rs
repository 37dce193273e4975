//! Runs the two calls of a case in turn, and counts what each does.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use super::case::{Call, Case};
use super::counts::Counts;

/// What a case came to.
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) own: Cost,
    pub(crate) peer: Cost,
    pub(crate) goal: Option<f64>,
    pub(crate) most_cpu: Option<Duration>,
}

impl Measured {
    /// The time of processors that the call takes beyond what its peer does.
    pub(crate) fn more_cpu(&self) -> Duration {
        self.own.cpu.saturating_sub(self.peer.cpu)
    }
}

/// What one call costs.
pub(crate) struct Cost {
    pub(crate) name: String,
    /// The middle of all runs.
    pub(crate) median: Duration,
    /// A quarter of the runs took no longer than the first, and a quarter no less than the second.
    pub(crate) quartiles: (Duration, Duration),
    /// The middle of the time of processors that the runs took, over all of their processes.
    pub(crate) cpu: Duration,
    pub(crate) counts: Counts,
}

pub(crate) fn measure(case: &Case, runs: u32) -> Result<Measured> {
    let (mut own, mut peer) = (Vec::new(), Vec::new());
    // The first of each fills the caches.
    for run in 0..=runs {
        let times = (time(&case.own)?, time(&case.peer)?);
        if run > 0 {
            own.push(times.0);
            peer.push(times.1);
        }
    }
    Ok(Measured {
        name: case.name.clone(),
        own: cost(&case.own, own)?,
        peer: cost(&case.peer, peer)?,
        goal: case.goal,
        most_cpu: case.most_cpu,
    })
}

/// Counts what a call does.
pub(crate) fn count(call: &Call) -> Result<Counts> {
    Ok(Counts {
        instructions: instructions(call)?,
        system_calls: system_calls(call)?,
    })
}

fn cost(call: &Call, runs: Vec<(Duration, Duration)>) -> Result<Cost> {
    let (mut times, mut cpu): (Vec<Duration>, Vec<Duration>) = runs.into_iter().unzip();
    times.sort_unstable();
    cpu.sort_unstable();
    Ok(Cost {
        name: call.name.clone(),
        median: times[times.len() / 2],
        quartiles: (times[times.len() / 4], times[times.len() * 3 / 4]),
        cpu: cpu[cpu.len() / 2],
        counts: count(call)?,
    })
}

/// As long as it took, and the time of processors.
fn time(call: &Call) -> Result<(Duration, Duration)> {
    let mut command = Command::new(&call.program);
    command.args(&call.arguments);
    feed(&mut command, call)?;
    let before = cpu_of_children()?;
    let begun = Instant::now();
    let status = command.status().with_context(|| call.name.clone())?;
    let took = begun.elapsed();
    let cpu = cpu_of_children()?.saturating_sub(before);
    // That a dry run says no, or a hook of somebody's refuses, is an answer as well.
    if status.code().is_none() {
        bail!("{}: {status}", call.name);
    }
    Ok((took, cpu))
}

/// The time of processors of all children that have ended, and of theirs.
fn cpu_of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("how much time was used")?;
    let time = usage.user_time() + usage.system_time();
    Ok(Duration::from_micros(u64::try_from(time.num_microseconds())?))
}

fn feed(command: &mut Command, call: &Call) -> Result<()> {
    let input = match &call.input {
        Some(file) => File::open(file)
            .with_context(|| format!("{}", file.display()))?
            .into(),
        None => Stdio::null(),
    };
    command.stdin(input).stdout(Stdio::null()).stderr(Stdio::null());
    // What one has in the environment costs each program a little.
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Ok(())
}

/// Runs it under a tool whose report goes to a file, and returns the report.
fn under(tool: &[&str], report: &str, call: &Call) -> Result<String> {
    let mut command = Command::new(tool[0]);
    command.args(&tool[1..]).arg(&call.program).args(&call.arguments);
    feed(&mut command, call)?;
    command.status().with_context(|| tool[0].to_owned())?;
    let text = std::fs::read_to_string(report).with_context(|| report.to_owned())?;
    std::fs::remove_file(report)?;
    Ok(text)
}

/// Counted by callgrind, which says for each process `Collected : NUMBER`.
fn instructions(call: &Call) -> Result<u64> {
    let report = format!("/dev/shm/automdev-bench-{}.log", std::process::id());
    let log = format!("--log-file={report}");
    let tool = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        "--trace-children=yes",
        &log,
    ];
    let text = under(&tool, &report, call)?;
    let counts = text.lines().filter_map(|line| line.split_once("Collected : "));
    let counts = counts.filter_map(|(_, count)| count.trim().parse::<u64>().ok());
    Ok(counts.sum())
}

/// Counted by strace, whose table ends with `100.00 SECONDS USECS CALLS [ERRORS] total`.
fn system_calls(call: &Call) -> Result<u64> {
    let report = format!("/dev/shm/automdev-bench-{}.strace", std::process::id());
    let text = under(&["strace", "-f", "-c", "-o", &report], &report, call)?;
    let total = text.lines().rfind(|line| line.trim_end().ends_with(" total"));
    let calls = total.and_then(|line| line.split_ascii_whitespace().nth(3)?.parse().ok());
    calls.with_context(|| format!("strace counted nothing for {}", call.name))
}
