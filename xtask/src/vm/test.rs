//! Runs the project's tests for a real host (`tests/vm`), on several generations at once.

use std::fs::File;
use std::io::{self, Write as _};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::cargo::{self, Wanted};
use super::generation::Generation;
use super::image;
use super::machine::Purpose;
use super::payload::Carried;
use super::place;
use super::run::Job;
use super::stage::Stage;
use crate::outcome::Outcome;

/// After how many tests it is told how far they are.
const TOLD_EACH: usize = 20;

/// Which tests to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// Those that belong to each run.
    Usual,
    /// The long ones too, those marked `#[ignore]`.
    Full,
}

impl Extent {
    /// When a host is given up.
    fn limit(self) -> Duration {
        let minutes = match self {
            Self::Usual => 70,
            Self::Full => 240,
        };
        Duration::from_secs(60 * minutes)
    }
}

/// How much of what the tests print is shown while they run. All of it is kept, in `target/vm/logs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Each line.
    All,
    /// How far they are, now and then.
    Progress,
}

/// How the names of those tests begin that need the packages.
const OF_PACKAGES: &str = "packages::";

/// Runs those tests of `extent` that have one of `filters` in their name, all of them where there is no filter.
/// `packages` is asked for what the tests of the packages need, where one of them is among these. Returns what came of
/// them on each generation; a host that was lost is an error among them.
pub(crate) fn test(
    generations: &[Generation],
    extent: Extent,
    shown: Shown,
    filters: &[String],
    packages: impl FnOnce() -> Result<Vec<Carried>>,
) -> Result<Vec<(Generation, Result<Outcome>)>> {
    let stage = Stage::begin("automdev", "building the program and its tests");
    let mut files = cargo::build(Wanted::ProgramAndTests)?;
    stage.end();
    let names = names(&files, filters)?;
    if !names.lines().any(|line| line.ends_with(": test")) {
        bail!("no test has one of these in its name: {}", filters.join(", "));
    }
    if names.lines().any(|name| name.starts_with(OF_PACKAGES)) {
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
        test_on(generation, &files, &command, extent, shown)
    });
    Ok(generations.iter().copied().zip(outcomes).collect())
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

fn test_on(
    generation: Generation,
    files: &[Carried],
    command: &[String],
    extent: Extent,
    shown: Shown,
) -> Result<Outcome> {
    let image = image::ensure(generation)?;
    let stage = Stage::begin(generation, "testing");
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
        limit: extent.limit(),
    };
    let mut log = Log::new(generation, shown)?;
    let status = job.run(|piece| log.take(piece));
    let text = log.end()?;
    stage.end();
    let outcome = Outcome::read(&text);
    if (status? == 0) != outcome.is_good() {
        bail!("{generation}: the tests' status and what they printed do not agree");
    }
    Ok(outcome)
}

/// What the tests print, line by line: kept in a file with the time of each, and shown.
struct Log {
    generation: Generation,
    shown: Shown,
    file: File,
    start: Instant,
    text: String,
    /// The line that has not ended yet.
    rest: Vec<u8>,
    /// Tests that have ended.
    done: usize,
}

impl Log {
    fn new(generation: Generation, shown: Shown) -> Result<Self> {
        let path = place::logs()?.join(format!("{generation}-tests.txt"));
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            generation,
            shown,
            file,
            start: Instant::now(),
            text: String::new(),
            rest: Vec::new(),
            done: 0,
        })
    }

    fn take(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.line(&String::from_utf8_lossy(&line));
        }
    }

    fn line(&mut self, line: &str) {
        // A host that crashed has begun anew.
        if line.starts_with("running ") {
            self.text.clear();
            self.done = 0;
        }
        self.text.push_str(line);
        let seconds = self.start.elapsed().as_secs();
        let mut stdout = io::stdout().lock();
        // A reader that went away, or a full disk, is no reason to stop.
        let _ = write!(self.file, "{seconds:4} s | {line}");
        if self.shown == Shown::All {
            let _ = write!(stdout, "{:8} | {line}", self.generation).and_then(|()| stdout.flush());
        } else if line.starts_with("test ") && line.contains(" ... ") {
            self.done += 1;
            if line.trim_end().ends_with("FAILED") || self.done % TOLD_EACH == 0 {
                let text = line.trim_end();
                eprintln!(
                    "{}: {} min, {} tests: {text}",
                    self.generation,
                    seconds / 60,
                    self.done
                );
            }
        }
    }

    /// All of it, from the last start on.
    fn end(mut self) -> Result<String> {
        if !self.rest.is_empty() {
            self.take(b"\n");
        }
        self.file
            .sync_all()
            .context("cannot keep what the tests printed")?;
        Ok(self.text)
    }
}
