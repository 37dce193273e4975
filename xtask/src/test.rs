//! `cargo xtask test`: everything that has to pass.

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::bench;
use crate::demo;
use crate::dist;
use crate::vm::{self, Extent, Generation, Stage};

/// What the tests on this machine use, beside Rust.
const PACKAGES: [&str; 1] = ["strace"];

/// When a host is given up.
const LIMIT: Duration = Duration::from_secs(65 * 60);

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
    let tests: &[&str] = if arguments.full {
        &["--", "--show-output", "--include-ignored"]
    } else {
        // How much each has tried is what they print.
        &["--", "--show-output"]
    };
    cargo(
        "tests on this machine",
        &[&["test", "--workspace", "--quiet"], tests].concat(),
    )?;
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
    let failed = vm::test(&Generation::ALL, extent, LIMIT, &[], || {
        dist::for_hosts(&packages)
    })?;
    if failed.is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
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
