//! The program's system calls, and what strace does to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use super::{Called, call};

/// Where strace writes.
const TRACE: &str = "/tmp/calls";

/// The `nth` call of that name, of whichever process.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) nth: usize,
    /// The line of the trace on which it is first.
    line: usize,
}

impl Point {
    /// An operation of the hook's, killed at this call; false where it had none of that number this time: how often it
    /// looks into `/proc` depends on what else runs.
    #[must_use]
    pub(crate) fn kill(&self, domain: &str, operation: &str, xml: &str) -> bool {
        let Point { name, nth, .. } = self;
        let inject = format!("inject={name}:signal=SIGKILL:when={nth}");
        traced(
            domain,
            operation,
            xml,
            &["-e", &format!("trace={name}"), "-e", &inject],
        );
        was_hit("+++ killed by SIGKILL +++")
    }
}

/// An operation of the hook's under strace, with more of strace's arguments.
pub(crate) fn traced(domain: &str, operation: &str, xml: &str, arguments: &[&str]) -> Called {
    let mut command = Command::new("strace");
    command.args(["-f", "-o", TRACE]).args(arguments);
    command.args(["/usr/bin/automdev", "hook", domain]);
    command.args(operation.split(' ')).arg("-");
    call(&mut command, xml.as_bytes())
}

/// All calls of the operation that was traced last at which it can be killed or fail, in the order of the first of
/// their name and number.
pub(crate) fn points() -> Vec<Point> {
    let trace = fs::read_to_string(TRACE).expect("a trace");
    let (mut counts, mut points) = (BTreeMap::<(&str, &str), usize>::new(), Vec::new());
    for (index, line) in trace.lines().enumerate() {
        let (pid, rest) = line.split_once(' ').expect("a number");
        let Some((name, _)) = rest.trim_start().split_once('(') else {
            continue;
        };
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            continue;
        }
        let count = counts.entry((pid, name)).or_default();
        *count += 1;
        let point = Point {
            name: name.to_owned(),
            nth: *count,
            line: index,
        };
        let is_known = points
            .iter()
            .any(|known: &Point| (&known.name, known.nth) == (&point.name, point.nth));
        // The first starts the program, the last ends it.
        if !["execve", "exit_group"].contains(&name) && !is_known {
            points.push(point);
        }
    }
    points
}

/// Those of these points of the last trace that come after the first line with `from` and before the last with `to`.
pub(crate) fn between(points: &[Point], from: &str, to: &str) -> Vec<Point> {
    let trace = fs::read_to_string(TRACE).expect("a trace");
    let lines: Vec<&str> = trace.lines().collect();
    let first = lines.iter().position(|line| line.contains(from));
    let last = lines.iter().rposition(|line| line.contains(to));
    let (first, last) = (first.expect("a line"), last.expect("a line"));
    let chosen = points.iter().filter(|point| (first..last).contains(&point.line));
    chosen.cloned().collect()
}

/// Whether strace has written that.
pub(crate) fn was_hit(text: &str) -> bool {
    fs::read_to_string(TRACE).is_ok_and(|trace| trace.contains(text))
}

/// So many of them, from the first to the last, or all.
pub(crate) fn sample<T: Clone>(of: &[T], size: Option<usize>) -> Vec<T> {
    let Some(size) = size else { return of.to_vec() };
    let chosen: BTreeSet<usize> = (0..size)
        .map(|number| number * (of.len() - 1) / (size - 1))
        .collect();
    chosen.into_iter().map(|number| of[number].clone()).collect()
}
