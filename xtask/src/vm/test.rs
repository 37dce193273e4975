//! Runs the project's tests for a real host (`tests/vm`), on several generations at once.

use std::io::{self, Write as _};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::cargo::{self, Wanted};
use super::generation::Generation;
use super::image;
use super::machine::Purpose;
use super::payload::Carried;
use super::run::Job;
use super::stage::{Stage, bold};

/// Which tests to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// Those that belong to each run.
    Usual,
    /// The long ones too, those marked `#[ignore]`.
    Full,
}

/// How the names of those tests begin that need the packages.
const OF_PACKAGES: &str = "packages::";

/// Runs those tests of `extent` that have one of `filters` in their name, all of them where there is no filter.
/// `packages` is asked for what the tests of the packages need, where one of them is among these. Returns the
/// generations on which they failed.
pub(crate) fn test(
    generations: &[Generation],
    extent: Extent,
    limit: Duration,
    filters: &[String],
    packages: impl FnOnce() -> Result<Vec<Carried>>,
) -> Result<Vec<Generation>> {
    let stage = Stage::begin("automdev", "building the program and its tests");
    let mut files = cargo::build(Wanted::ProgramAndTests)?;
    stage.end();
    if names(&files, filters)?
        .lines()
        .any(|name| name.starts_with(OF_PACKAGES))
    {
        files.extend(packages()?);
    }
    // One after the other: the host is one thing, and what is on it is what the tests look at.
    // How much each has tried is what they print.
    let mut command = ["/automdev/vm", "--test-threads=1", "--show-output"]
        .map(str::to_owned)
        .to_vec();
    if extent == Extent::Full {
        command.push("--include-ignored".to_owned());
    }
    command.extend_from_slice(filters);
    let outcomes = each(generations, |generation| {
        test_on(generation, &files, &command, limit)
    });
    let mut failed = Vec::new();
    let mut first_error = None;
    for (generation, outcome) in generations.iter().zip(outcomes) {
        match outcome {
            Ok(true) => {}
            Ok(false) => failed.push(*generation),
            // Errors are told one by one; the last line is for one of them.
            Err(error) if first_error.is_none() => first_error = Some(error),
            Err(error) => eprintln!("{generation}: {error:#}"),
        }
    }
    first_error.map_or(Ok(failed), Err)
}

/// The names of the tests that `filters` mean, one a line.
fn names(files: &[Carried], filters: &[String]) -> Result<String> {
    let tests = files.iter().find(|file| file.name == "vm");
    let output = Command::new(&tests.context("there are no tests")?.from)
        .arg("--list")
        .args(filters)
        .output()
        .context("cannot list the tests")?;
    if !output.status.success() {
        bail!(
            "cannot list the tests: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Does something for several generations at once; the results have the generations' order.
pub(crate) fn each<T: Send>(
    generations: &[Generation],
    action: impl Fn(Generation) -> Result<T> + Sync,
) -> Vec<Result<T>> {
    thread::scope(|scope| {
        let action = &action;
        let threads: Vec<_> = generations
            .iter()
            .map(|generation| scope.spawn(move || action(*generation)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")))
            })
            .collect()
    })
}

fn test_on(generation: Generation, files: &[Carried], command: &[String], limit: Duration) -> Result<bool> {
    let image = image::ensure(generation)?;
    let stage = Stage::begin(generation, "testing");
    let mut lines = Lines {
        generation,
        rest: Vec::new(),
    };
    // A guest within the host needs one, and the host's own is outside of it.
    let kernel = Carried {
        name: "kernel".to_owned(),
        from: image.kernel(),
    };
    let job = Job {
        image: &image,
        carried: &[files, &[kernel]].concat(),
        command,
        purpose: Purpose::Run,
        limit,
    };
    let status = job.run(|piece| lines.print(piece))?;
    lines.end();
    stage.end();
    if status != 0 {
        eprintln!("{}: the tests failed", bold(generation));
    }
    Ok(status == 0)
}

/// Prints whole lines, each with the name of the generation that it comes from.
struct Lines {
    generation: Generation,
    rest: Vec<u8>,
}

impl Lines {
    fn print(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let mut stdout = io::stdout().lock();
            // A reader that went away is no reason to stop.
            let _ = write!(stdout, "{:8} | ", self.generation)
                .and_then(|()| stdout.write_all(&line))
                .and_then(|()| stdout.flush());
        }
    }

    fn end(&mut self) {
        if !self.rest.is_empty() {
            self.print(b"\n");
        }
    }
}
