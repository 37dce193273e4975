//! Counts what a step does: instructions, system calls, memory. These differ little from run to run.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use nix::sys::prctl;

use super::call::{Call, Step};
use super::process;

/// Counts it for each step, one after the other, also of those that belong to one round. What a run needs before is done.
pub(crate) fn each(call: &Call, count: fn(&Step) -> Result<u64>) -> Result<Vec<u64>> {
    for round in &call.before {
        process::round(process::commands(round)?, call)?;
    }
    call.steps().map(count).collect()
}

/// Counted by callgrind, which says for each process `Collected : NUMBER`.
pub(crate) fn instructions(step: &Step) -> Result<u64> {
    let report = format!("/dev/shm/automdev-bench-{}.log", std::process::id());
    let log = format!("--log-file={report}");
    let tool = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        "--trace-children=yes",
        &log,
    ];
    let text = under(&tool, &report, step)?;
    let counts = text.lines().filter_map(|line| line.split_once("Collected : "));
    let counts = counts.filter_map(|(_, count)| count.trim().parse::<u64>().ok());
    Ok(counts.sum())
}

/// Counted by strace.
pub(crate) fn system_calls(step: &Step) -> Result<u64> {
    let report = format!("/dev/shm/automdev-bench-{}.strace", std::process::id());
    let text = under(&["strace", "-f", "-c", "-o", &report], &report, step)?;
    match total(&text) {
        Some(calls) => Ok(calls),
        None => bail!("strace counted nothing for {}", step.program.display()),
    }
}

/// The table of strace ends with `100.00 SECONDS USECS CALLS [ERRORS] total`.
fn total(table: &str) -> Option<u64> {
    let total = table.lines().rfind(|line| line.trim_end().ends_with(" total"))?;
    total.split_ascii_whitespace().nth(3)?.parse().ok()
}

/// Runs it under a tool whose report goes to a file, and returns the report.
fn under(tool: &[&str], report: &str, step: &Step) -> Result<String> {
    let mut command = Command::new(tool[0]);
    command.args(&tool[1..]).arg(&step.program).args(&step.arguments);
    process::feed(&mut command, step)?;
    // A process that it has started may end later, and what that does counts as well.
    prctl::set_child_subreaper(true).context("whose orphans are whose")?;
    command.status().with_context(|| tool[0].to_owned())?;
    process::await_orphans(tool[0])?;
    let text = std::fs::read_to_string(report).with_context(|| report.to_owned())?;
    std::fs::remove_file(report)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_a_table() {
        for (line, calls) in [
            (
                "100.00    0.000123           4        28         2 total\n",
                Some(28),
            ),
            (
                "100.00    0.000000           0        25           total\n",
                Some(25),
            ),
            ("", None),
        ] {
            assert_eq!(
                total(&format!(
                    "% time     seconds  usecs/call     calls    errors syscall\n{line}"
                )),
                calls
            );
        }
    }
}
