//! `cargo xtask bench`: what automdev costs beside what it has to be compared with, as ratios from one run.
//!
//! Whole processes are measured, the two of a pair in turn, so that what else the machine does hits both. Times differ
//! from run to run; instructions and system calls, which are counted beside them, do not.

mod case;
mod counts;
mod measure;
mod report;
mod tree;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::dist::{self, Libc};
use crate::vm::{self, Stage};

/// What counts, beside Rust.
const PACKAGES: [&str; 2] = ["strace", "valgrind"];

/// `cargo xtask bench …`
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask bench                       all cases on this machine
  cargo xtask bench --runs 20 pool        those with `pool` in their name, quickly
  cargo xtask bench --check               has anything got worse? instructions and system calls only
  cargo xtask bench --record              what is counted now is what counts from now on")]
pub(crate) struct Arguments {
    /// How often each program of a pair is run
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(3..))]
    runs: u32,
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
    vm::ensure_packages(&PACKAGES)?;
    let program = dist::program(Libc::best()?)?;
    let folder = tree::Folder::new()?;
    let cases = case::all(&program, &folder)?;
    let is_wanted = |name: &str| {
        let filters = &arguments.filters;
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    };
    let mut results = Vec::new();
    for case in cases.iter().filter(|case| is_wanted(&case.name)) {
        eprintln!("automdev: measuring {} …", case.name);
        results.push(measure::measure(case, arguments.runs)?);
    }
    if results.is_empty() {
        bail!("no case has one of these in its name");
    }
    let size = fs::metadata(&program).context("the program")?.len();
    print!("{}", report::table(&results, size));
    if let Some(file) = &arguments.json {
        fs::write(file, report::json(&results, size)).with_context(|| format!("{}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
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
    let stage = Stage::begin("automdev", "counting instructions and system calls");
    let folder = tree::Folder::new()?;
    let counted = counts::count(&case::all(&program, &folder)?)?;
    stage.end();
    Ok(counted)
}
