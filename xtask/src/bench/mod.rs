//! `cargo xtask bench`: what automdev costs beside what it has to be compared with, as ratios from one run.
//!
//! Whole processes are measured, the two of a pair in turn, so that what else the machine does hits both. Times differ
//! from run to run; instructions and system calls, which are counted beside them, do not.

mod call;
mod case;
mod count;
mod counts;
mod host;
mod measure;
mod memory;
mod process;
mod reads;
mod report;
mod starts;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use crate::dist::{self, Libc};
use crate::vm::{self, Generation, Purpose, Stage};
pub(crate) use host::{Inside, inside};
use measure::{Instructions, Measured};

/// What counts, beside Rust.
const PACKAGES: [&str; 2] = ["strace", "valgrind"];

/// How often a call is run.
const RUNS: u32 = 100;

/// The same in a host, which is emulated, as a rule.
const RUNS_IN_HOST: u32 = 15;

/// What the time in a host goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Clock {
    /// This machine's
    Real,
    /// The instructions that its one emulated processor executes, a nanosecond each, whatever else this machine does
    Counted,
}

/// `cargo xtask bench …`
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask bench                       all cases on this machine
  cargo xtask bench --runs 20 pool        those with `pool` in their name, quickly
  cargo xtask bench --host                on a real kernel, beside mdevctl, virsh and hooks of others
  cargo xtask bench --host --clock counted   the same in instructions of the whole host
  cargo xtask bench --check               has anything got worse? instructions and system calls only
  cargo xtask bench --record              what is counted now is what counts from now on")]
pub(crate) struct Arguments {
    /// How often each call of a pair is run: 100 times on this machine, 15 times in a host
    #[arg(long, value_parser = clap::value_parser!(u32).range(3..))]
    runs: Option<u32>,
    /// In a disposable host with the kernel's sample drivers, mdevctl and libvirt
    #[arg(long, conflicts_with_all = ["check", "record"])]
    host: bool,
    /// The host's generation
    #[arg(long, value_enum, default_value_t = Generation::Trixie, requires = "host")]
    generation: Generation,
    /// What the host's time goes by
    #[arg(long, value_enum, default_value_t = Clock::Real, requires = "host")]
    clock: Clock,
    /// Writes the results there, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only counts instructions and system calls, and fails where they are more than was recorded
    #[arg(long, conflicts_with_all = ["record", "json", "runs", "filters"])]
    check: bool,
    /// Only counts instructions and system calls, and records them in xtask/src/bench/recorded-*.json
    #[arg(long, conflicts_with_all = ["json", "runs", "filters"])]
    record: bool,
    /// Only the cases with one of these in their names
    filters: Vec<String>,
}

/// Measures, prints the table, and writes it.
pub(crate) fn main(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.check {
        check()?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.record {
        record()?;
        return Ok(ExitCode::SUCCESS);
    }
    let filters = &arguments.filters;
    let runs = |usual| arguments.runs.unwrap_or(usual);
    let libc = Libc::best()?;
    let program = dist::program(libc)?;
    let (results, ended) = if arguments.host {
        {
            let programs = host::Programs {
                automdev: &program,
                bare_writes: &dist::example(libc, "bare-writes")?,
                bare_steps: &dist::example(libc, "bare-steps")?,
            };
            let place = host::Place {
                generation: arguments.generation,
                purpose: match arguments.clock {
                    Clock::Real => Purpose::Run,
                    Clock::Counted => Purpose::Count,
                },
            };
            host::measure(&place, &programs, runs(RUNS_IN_HOST), filters)?
        }
    } else {
        (here(libc, &program, runs(RUNS), filters)?, ExitCode::SUCCESS)
    };
    let size = (
        fs::metadata(&program).context("the program")?.len(),
        dist::LARGEST,
    );
    print!("{}", report::table(&results, size));
    if let Some(file) = &arguments.json {
        fs::write(file, report::json(&results, size)).with_context(|| format!("{}", file.display()))?;
    }
    Ok(ended)
}

/// Measures on this machine.
fn here(libc: Libc, program: &Path, runs: u32, filters: &[String]) -> Result<Vec<Measured>> {
    vm::ensure_packages(&PACKAGES)?;
    let folder = tree::Folder::new()?;
    let mut cases = case::all(program, &folder)?;
    if is_wanted(case::LARGEST_CHOICE, filters) {
        cases.push(reads::case(&dist::example(libc, "bare-reads")?, &cases, &folder)?);
    }
    let on_fake = dist::program_on_fake(libc)?;
    // Of those that come in turn the time would be that of the kernel in the folder, which has more to go through with each
    // device that it ever had. What they do is counted, and a host times them.
    cases.extend(starts::at_once(&on_fake, &folder)?);
    let mut results = Vec::new();
    for case in cases.iter().filter(|case| is_wanted(&case.name, filters)) {
        eprintln!("automdev: measuring {} …", case.name);
        // Each takes seconds.
        let runs = if case.own.is_at_once() {
            runs.min(RUNS_IN_HOST)
        } else {
            runs
        };
        results.push(measure::measure(case, runs, Instructions::Counted)?);
    }
    if results.is_empty() {
        bail!("no case has one of these in its name");
    }
    Ok(results)
}

/// Whether a case's name has one of these in it, or there are none.
fn is_wanted(name: &str, filters: &[String]) -> bool {
    filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
}

/// Counts what each case costs; that one costs more than was recorded is an error.
pub(crate) fn check() -> Result<()> {
    vm::ensure_packages(&PACKAGES)?;
    let libc = Libc::best()?;
    let counted = count(libc)?;
    let worse = counts::worse(&counted, &counts::recorded(libc)?);
    for line in &worse {
        eprintln!("automdev: {line}");
    }
    if !worse.is_empty() {
        bail!("it costs more than it did; where that has to be: cargo xtask bench --record");
    }
    Ok(())
}

/// Records it for each C library.
fn record() -> Result<()> {
    vm::ensure_packages(&PACKAGES)?;
    for libc in [Libc::Musl, Libc::Glibc] {
        counts::record(libc, &count(libc)?)?;
    }
    Ok(())
}

fn count(libc: Libc) -> Result<counts::Recorded> {
    let program = dist::program(libc)?;
    let on_fake = dist::program_on_fake(libc)?;
    let stage = Stage::begin("automdev", "counting instructions and system calls");
    let folder = tree::Folder::new()?;
    let mut cases = case::all(&program, &folder)?;
    cases.extend(starts::in_turn(&on_fake, &folder)?);
    let counted = counts::all(&cases)?;
    stage.end();
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn the_command_line() {
        let parse = |line: &str| Line::try_parse_from(["bench"].into_iter().chain(line.split_whitespace()));
        for good in [
            "",
            "--runs 3 pool",
            "--check",
            "--host --generation bookworm --json out 1",
            "--host --clock counted 1",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "--runs 2",
            "--generation trixie",
            "--clock counted",
            "--host --check",
            "--host --record",
            "--check pool",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let Ok(line) = parse("--host") else {
            panic!("--host is enough");
        };
        assert_eq!(line.arguments.generation, Generation::Trixie);
    }
}
