//! The command line of `cargo xtask vm`.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use super::cargo::{self, Wanted};
use super::generation::Generation;
use super::image;
use super::machine::Purpose;
use super::payload::Carried;
use super::run::Job;
use super::shell;
use super::test::{Extent, Shown, each, test};
use crate::{dist, outcome};

const EXAMPLES: &str = "\
Examples:
  cargo xtask vm test                              all tests, on every generation
  cargo xtask vm test --generation trixie adopt    those with `adopt` in their name
  cargo xtask vm run -- virsh version              one command in the newest host
  cargo xtask vm shell --generation bookworm       a root shell; ends with poweroff";

/// `cargo xtask vm …`
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Build the images that are not there yet
    Build {
        /// Only this generation's
        #[arg(long, value_enum)]
        generation: Option<Generation>,
    },
    /// Run the tests that want a real host (tests/vm) in one
    Test {
        /// Only on this generation
        #[arg(long, value_enum)]
        generation: Option<Generation>,
        /// The long ones too, those marked `#[ignore]`
        #[arg(long)]
        full: bool,
        /// Only tests with one of these in their name
        filters: Vec<String>,
    },
    /// Run one command in a host, as root, with automdev at /usr/bin/automdev
    Run {
        /// The host's generation
        #[arg(long, value_enum, default_value_t = Generation::Trixie)]
        generation: Generation,
        /// A file or folder that the command finds below /automdev
        #[arg(long, value_name = "FILE")]
        carry: Vec<PathBuf>,
        /// Minutes after which the host is given up
        #[arg(long, default_value_t = 40)]
        minutes: u64,
        /// The program, in the host, and its arguments
        #[arg(required = true, last = true)]
        command: Vec<String>,
    },
    /// Open a root shell in a host, with automdev at /usr/bin/automdev; nothing done there lasts
    Shell {
        /// The host's generation
        #[arg(long, value_enum, default_value_t = Generation::Trixie)]
        generation: Generation,
        /// A file or folder to be found below /automdev
        #[arg(long, value_name = "FILE")]
        carry: Vec<PathBuf>,
    },
    /// Remove all images and logs
    Clean,
}

/// Does what the command line says.
pub(crate) fn main(arguments: Arguments) -> Result<ExitCode> {
    match arguments.action {
        Action::Build { generation } => {
            each(&chosen(generation), image::ensure)
                .into_iter()
                .collect::<Result<Vec<_>>>()?;
        }
        Action::Test {
            generation,
            full,
            filters,
        } => {
            let extent = if full { Extent::Full } else { Extent::Usual };
            let packages = || dist::for_hosts(&dist::make()?);
            let outcomes = test(&chosen(generation), extent, Shown::All, &filters, packages)?;
            return Ok(outcome::summary(outcomes));
        }
        Action::Run {
            generation,
            carry,
            minutes,
            command,
        } => {
            let files = [cargo::build(Wanted::Program)?, named(&carry)?].concat();
            let image = image::ensure(generation)?;
            let limit = Duration::from_secs(60 * minutes);
            let job = Job {
                image: &image,
                carried: &files,
                command: &command,
                purpose: Purpose::Run,
                limit,
            };
            let status = job.run(print)?;
            return Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)));
        }
        Action::Shell { generation, carry } => {
            let files = [cargo::build(Wanted::Program)?, named(&carry)?].concat();
            shell::open(&image::ensure(generation)?, &files)?;
        }
        Action::Clean => image::clean()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(generation: Option<Generation>) -> Vec<Generation> {
    generation.map_or_else(|| Generation::ALL.to_vec(), |generation| vec![generation])
}

/// The files under their own names.
fn named(files: &[PathBuf]) -> Result<Vec<Carried>> {
    let name = |file: &PathBuf| {
        let from = file
            .canonicalize()
            .with_context(|| format!("cannot find {}", file.display()))?;
        let name = from
            .file_name()
            .context("a file to carry needs a name")?
            .to_string_lossy()
            .into_owned();
        Ok(Carried { name, from })
    };
    files.iter().map(name).collect()
}

/// Passes on what a host says, as it comes. A reader that went away is no reason to stop.
fn print(piece: &[u8]) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(piece).and_then(|()| stdout.flush());
}
