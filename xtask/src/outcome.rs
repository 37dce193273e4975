//! What tests came to, read from what their harness prints.

use std::fmt;
use std::iter;
use std::process::ExitCode;

use anyhow::Result;

/// How much is told of one failed test.
const LINES: usize = 30;

/// How much of one of its lines.
const WIDTH: usize = 300;

/// The tests of one place: how many passed, and which did not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    passed: usize,
    ignored: usize,
    failures: Vec<Failure>,
}

/// A test that failed.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    name: String,
    /// What it printed, the end of it.
    said: String,
}

impl Outcome {
    /// Reads the output of test programs, one after the other. One that ended before it told its result is a failure
    /// that its caller knows of.
    pub(crate) fn read(text: &str) -> Self {
        let mut outcome = Self::default();
        // Each program ends with its result.
        let mut lines: Vec<&str> = Vec::new();
        for line in text.lines() {
            let Some(result) = line.strip_prefix("test result: ") else {
                lines.push(line);
                continue;
            };
            outcome.passed += number_before(result, " passed");
            outcome.ignored += number_before(result, " ignored");
            outcome
                .failures
                .extend(failed(&lines).map(|name| Failure::read(name, &lines)));
            lines.clear();
        }
        outcome
    }

    /// Whether nothing failed, and something was tried.
    pub(crate) fn is_good(&self) -> bool {
        self.failures.is_empty() && self.passed > 0
    }

    /// Takes up what came of others.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.ignored += other.ignored;
        self.failures.extend(other.failures);
    }

    /// What failed, each with the end of what it printed; `place` is where it ran.
    fn print_failures(&self, place: impl fmt::Display) {
        for Failure { name, said } in &self.failures {
            println!("--- {place}: {name} failed:\n{said}");
        }
    }
}

/// The counts: `12 passed, 0 failed, 1 skipped`.
impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} passed, {} failed",
            self.passed,
            self.failures.len()
        )?;
        match self.ignored {
            0 => Ok(()),
            ignored => write!(formatter, ", {ignored} skipped"),
        }
    }
}

/// Tells what came of the tests of several places, what failed last: whoever sees only the end sees it.
pub(crate) fn summary<P: fmt::Display>(outcomes: impl IntoIterator<Item = (P, Result<Outcome>)>) -> ExitCode {
    let mut total = Outcome::default();
    let mut lost = false;
    for (place, outcome) in outcomes {
        match outcome {
            Ok(outcome) => {
                println!("{place}: {outcome}");
                outcome.print_failures(place);
                total.add(outcome);
            }
            Err(error) => {
                lost = true;
                println!("{place}: {error:#}");
            }
        }
    }
    println!("total: {total}");
    if total.is_good() && !lost {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Failure {
    fn read(name: &str, lines: &[&str]) -> Self {
        let begin = format!("---- {name} stdout ----");
        let section = lines.iter().skip_while(|line| **line != begin).skip(1);
        let section: Vec<&str> = section
            .take_while(|line| {
                **line != "failures:" && !(line.starts_with("---- ") && line.ends_with(" stdout ----"))
            })
            .copied()
            .collect();
        // What it found comes before the way that led there.
        let end = section
            .iter()
            .position(|line| line.starts_with("stack backtrace:"))
            .unwrap_or(section.len());
        let section = section[..end].trim_ascii_lines();
        let said = &section[section.len().saturating_sub(LINES)..];
        let said = said
            .iter()
            .map(|line| format!("    {}\n", line.chars().take(WIDTH).collect::<String>()));
        Self {
            name: name.to_owned(),
            said: said.collect(),
        }
    }
}

/// Lines without the empty ones at both ends.
trait Lines {
    fn trim_ascii_lines(&self) -> &Self;
}

impl Lines for [&str] {
    fn trim_ascii_lines(&self) -> &Self {
        let is_text = |line: &&str| !line.trim().is_empty();
        match (self.iter().position(is_text), self.iter().rposition(is_text)) {
            (Some(first), Some(last)) => &self[first..=last],
            _ => &[],
        }
    }
}

/// The names of the failed tests: the last list that is headed `failures:`.
fn failed<'a>(lines: &[&'a str]) -> impl Iterator<Item = &'a str> {
    let mut list = lines
        .iter()
        .rposition(|line| *line == "failures:")
        .map_or(&[][..], |at| &lines[at + 1..]);
    iter::from_fn(move || {
        let (first, rest) = list.split_first()?;
        list = rest;
        first.strip_prefix("    ")
    })
}

/// The number that stands before a word.
fn number_before(text: &str, word: &str) -> usize {
    let before = text.split(word).next().unwrap_or_default();
    before
        .rsplit(|character: char| !character.is_ascii_digit())
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
running 3 tests
test one ... ok
test two ... ignored, long
test three ... ok

successes:

---- one stdout ----
12 cases


successes:
    one
    three

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.58s
";

    const BAD: &str = "\
running 3 tests
test a::one ... ok
test a::two ... FAILED
test three ... FAILED

successes:

---- a::one stdout ----
fine

failures:

---- a::two stdout ----

thread 'a::two' (5411) panicked at tests/a.rs:244:87:
a device
stack backtrace:
   0: begin_unwind

---- three stdout ----
failures: 3


failures:
    a::two
    three

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 82.56s
";

    #[test]
    fn counts_of_several_programs_are_added() {
        let outcome = Outcome::read(&[GOOD, GOOD].concat());
        assert_eq!(outcome.to_string(), "4 passed, 0 failed, 2 skipped");
        assert!(outcome.is_good());
    }

    #[test]
    fn who_fails_is_told_with_what_it_said() {
        let mut outcome = Outcome::read(GOOD);
        outcome.add(Outcome::read(BAD));
        assert_eq!(outcome.to_string(), "3 passed, 2 failed, 1 skipped");
        assert!(!outcome.is_good());
        let failure = |name: &str, said: &str| Failure {
            name: name.to_owned(),
            said: said.to_owned(),
        };
        assert_eq!(
            outcome.failures,
            [
                failure(
                    "a::two",
                    "    thread 'a::two' (5411) panicked at tests/a.rs:244:87:\n    a device\n"
                ),
                failure("three", "    failures: 3\n"),
            ]
        );
    }

    #[test]
    fn where_nothing_was_tried_nothing_is_good() {
        assert!(!Outcome::read("").is_good());
        assert!(!Outcome::read("running 2 tests\ntest one ... ok\n").is_good());
    }
}
