//! `cargo xtask test`: everything that has to pass.

use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::bench;
use crate::demo;
use crate::dist;
use crate::outcome::{self, Outcome};
use crate::vm::{self, Extent, Generation, Shown, Stage};

/// What the tests on this machine use, beside Rust.
const PACKAGES: [&str; 1] = ["strace"];

/// `cargo xtask test …`
#[derive(Args)]
pub(crate) struct Arguments {
    /// The long tests too, those marked `#[ignore]`
    #[arg(long)]
    full: bool,
}

/// Runs every test; what is quick comes first.
pub(crate) fn main(arguments: &Arguments) -> Result<ExitCode> {
    vm::ensure_packages(&PACKAGES)?;
    cargo("formatting", &["fmt", "--all", "--check"])?;
    let lints = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        "automdev/vm-tests",
        "--quiet",
    ];
    cargo("lints", &[&lints[..], &["--", "--deny", "warnings"]].concat())?;
    let mut outcomes = vec![("this machine".to_owned(), here(arguments.full))];
    if !outcomes
        .iter()
        .all(|(_, outcome)| outcome.as_ref().is_ok_and(Outcome::is_good))
    {
        return Ok(outcome::summary(outcomes));
    }
    let packages = dist::make()?;
    dist::check(&packages)?;
    bench::check()?;
    if demo::main()? != ExitCode::SUCCESS {
        bail!("the demonstration failed");
    }
    let extent = if arguments.full {
        Extent::Full
    } else {
        Extent::Usual
    };
    let hosts = vm::test(&Generation::ALL, extent, Shown::Progress, &[], || {
        dist::for_hosts(&packages)
    })?;
    outcomes.extend(hosts);
    Ok(outcome::summary(outcomes))
}

/// Runs the tests that need no real host. What they print is kept: how much each has tried, for example.
fn here(full: bool) -> Result<Outcome> {
    cargo(
        "building the tests",
        &["test", "--workspace", "--no-run", "--quiet"],
    )?;
    let stage = Stage::begin("automdev", "tests on this machine");
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["test", "--workspace", "--no-fail-fast", "--", "--show-output"])
        .current_dir(vm::workspace());
    if full {
        command.arg("--include-ignored");
    }
    let output = command.output().context("cannot run cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let log = vm::workspace().join("target/tests.txt");
    fs::write(&log, text.as_bytes()).with_context(|| format!("cannot write {}", log.display()))?;
    stage.end();
    let outcome = Outcome::read(&text);
    if output.status.success() != outcome.is_good() {
        bail!(
            "cargo test failed; what the tests printed is in {}",
            log.display()
        );
    }
    Ok(outcome)
}

/// Runs cargo on the whole workspace.
fn cargo(what: &str, arguments: &[&str]) -> Result<()> {
    let stage = Stage::begin("automdev", what);
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(vm::workspace())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("{what}: cargo {} failed", arguments.join(" "));
    }
    stage.end();
    Ok(())
}
