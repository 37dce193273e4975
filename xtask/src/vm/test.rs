//! Runs the project's tests for a real host (`tests/vm`), on several generations at once.

use std::fmt;
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
use super::run::Job;
use super::stage::Stage;
use super::{pair, place};
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
const OF_PACKAGES: [&str; 2] = ["packages::", "pair::playbook::the_package_"];

/// How the names of those tests begin that need two hosts.
const OF_PAIRS: &str = "pair::";

/// What both of them are: the one whose kernel can migrate a sample driver's device.
const PAIRED: Generation = Generation::Trixie;

/// Where tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a host of its own.
    Host(Generation),
    /// In one of two hosts on one network.
    Pair(Generation),
}

impl Place {
    fn generation(self) -> Generation {
        let (Self::Host(generation) | Self::Pair(generation)) = self;
        generation
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(generation) => generation.fmt(formatter),
            Self::Pair(generation) => formatter.pad(&format!("{generation}-pair")),
        }
    }
}

/// Runs those tests of `extent` that have one of `filters` in their name, all of them where there is no filter.
/// `packages` is asked for what the tests of the packages need, where one of them is among these. Returns what came of
/// them in each place; a host that was lost is an error among them.
pub(crate) fn test(
    generations: &[Generation],
    extent: Extent,
    shown: Shown,
    filters: &[String],
    packages: impl FnOnce() -> Result<Vec<Carried>>,
) -> Result<Vec<(String, Result<Outcome>)>> {
    let stage = Stage::begin("automdev", "building the program and its tests");
    let mut files = cargo::build(Wanted::ProgramAndTests)?;
    stage.end();
    let names = names(&files, filters)?;
    if names.is_empty() {
        bail!("no test has one of these in its name: {}", filters.join(", "));
    }
    let needs_packages = |name: &String| OF_PACKAGES.iter().any(|start| name.starts_with(start));
    if names.iter().any(needs_packages) {
        files.extend(packages()?);
    }
    let (paired, alone): (Vec<String>, _) = names.into_iter().partition(|name| name.starts_with(OF_PAIRS));
    let mut outcomes = Vec::new();
    let mut run = |places: &[Place], names: &[String]| {
        let command = command(extent, names);
        let all = each(places, |place| test_in(place, &files, &command, extent, shown));
        outcomes.extend(places.iter().map(Place::to_string).zip(all));
    };
    if !alone.is_empty() {
        let places: Vec<Place> = generations.iter().copied().map(Place::Host).collect();
        run(&places, &alone);
    }
    // Two hosts at a time are enough for most machines.
    if generations.contains(&PAIRED) && !paired.is_empty() {
        run(&[Place::Pair(PAIRED)], &paired);
    } else if !paired.is_empty() {
        let count = paired.len();
        eprintln!("{count} tests need two hosts of {PAIRED}, and are left out");
    }
    Ok(outcomes)
}

/// What is run in a host for these tests.
fn command(extent: Extent, names: &[String]) -> Vec<String> {
    // One after the other: the host is one thing, and what is on it is what the tests look at.
    // How much each has tried is what they print.
    let mut command = ["/automdev/vm", "--test-threads=1", "--show-output", "--exact"]
        .map(str::to_owned)
        .to_vec();
    if extent == Extent::Full {
        command.push("--include-ignored".to_owned());
    }
    command.extend_from_slice(names);
    command
}

/// The names of the tests that `filters` mean.
fn names(files: &[Carried], filters: &[String]) -> Result<Vec<String>> {
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
    let text = String::from_utf8(output.stdout)?;
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(str::to_owned).collect())
}

/// Does something for several generations, or places, at once; the results have their order.
pub(crate) fn each<P: Copy + Sync, T: Send>(
    places: &[P],
    action: impl Fn(P) -> Result<T> + Sync,
) -> Vec<Result<T>> {
    thread::scope(|scope| {
        let action = &action;
        let threads: Vec<_> = places
            .iter()
            .map(|place| scope.spawn(move || action(*place)))
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

fn test_in(
    place: Place,
    files: &[Carried],
    command: &[String],
    extent: Extent,
    shown: Shown,
) -> Result<Outcome> {
    let image = image::ensure(place.generation())?;
    let stage = Stage::begin(place, "testing");
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
    let mut log = Log::new(place, shown)?;
    let status = match place {
        Place::Host(_) => job.run(|piece| log.take(piece)),
        Place::Pair(_) => pair::run(&job, |piece| log.take(piece)),
    };
    let text = log.end()?;
    stage.end();
    let outcome = Outcome::read(&text);
    if (status? == 0) != outcome.is_good() {
        bail!("{place}: the tests' status and what they printed do not agree");
    }
    Ok(outcome)
}

/// What the tests print, line by line: kept in a file with the time of each, and shown.
struct Log {
    place: Place,
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
    fn new(place: Place, shown: Shown) -> Result<Self> {
        let path = place::logs()?.join(format!("{place}-tests.txt"));
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            place,
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
            let _ = write!(stdout, "{:8} | {line}", self.place).and_then(|()| stdout.flush());
        } else if line.starts_with("test ") && line.contains(" ... ") {
            self.done += 1;
            if line.trim_end().ends_with("FAILED") || self.done % TOLD_EACH == 0 {
                let text = line.trim_end();
                eprintln!(
                    "{}: {} min, {} tests: {text}",
                    self.place,
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
