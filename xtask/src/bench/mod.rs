//! `cargo xtask bench`: what automdev costs beside what it has to be compared with, as ratios from one run.
//!
//! Whole processes are measured, the two of a pair in turn, so that what else the machine does hits both. Times differ
//! from run to run; instructions and system calls, which are counted beside them, do not.

mod case;
mod measure;
mod report;
mod tree;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::vm::{self, Stage};

/// What counts, beside Rust.
const PACKAGES: [&str; 2] = ["strace", "valgrind"];

/// `cargo xtask bench …`
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask bench                       all cases on this machine
  cargo xtask bench --runs 20 pool        those with `pool` in their name, quickly")]
pub(crate) struct Arguments {
    /// How often each program of a pair is run
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(3..))]
    runs: u32,
    /// Writes the results there, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only the cases with one of these in their names
    filters: Vec<String>,
}

/// Measures, prints the table, and writes it.
pub(crate) fn main(arguments: &Arguments) -> Result<ExitCode> {
    vm::ensure_packages(&PACKAGES)?;
    let program = build()?;
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

/// The program as it is released, linked statically.
fn build() -> Result<PathBuf> {
    let stage = Stage::begin("automdev", "building the program as it is released");
    let target = vm::workspace().join("target/static");
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--release",
            "--package",
            "automdev",
            "--bin",
            "automdev",
        ])
        .args(["--target", "x86_64-unknown-linux-gnu", "--target-dir"])
        .arg(&target)
        .current_dir(vm::workspace())
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the program does not build");
    }
    stage.end();
    Ok(target.join("x86_64-unknown-linux-gnu/release/automdev"))
}
