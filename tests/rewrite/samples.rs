//! Every domain among the samples, as it is and as it becomes.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Outcome, run};

/// What comes out when a sample goes in is kept beside this test, under the sample's name.
fn samples() -> Vec<(PathBuf, PathBuf)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<_> = fs::read_dir(here.join("samples/domains"))
        .expect("the samples")
        .map(|entry| entry.expect("a sample").file_name())
        .collect();
    names.sort();
    assert!(names.len() >= 9, "{names:?}");
    let pair = |name| {
        (
            here.join("samples/domains").join(&name),
            here.join("tests/rewrite/expected").join(&name),
        )
    };
    names.into_iter().map(pair).collect()
}

#[test]
fn each_becomes_what_is_expected_and_nothing_more() {
    for (sample, expected) in samples() {
        let expected = fs::read_to_string(&expected).unwrap_or_else(|error| panic!("{expected:?}: {error}"));
        let raw = fs::read(&sample).expect("the sample");
        let sample = sample.to_str().expect("UTF-8");
        let here = Path::new("/");
        let (same, other) = (Outcome::new("", "", 0), Outcome::new("", "", 3));
        let check = if raw == expected.as_bytes() { &same } else { &other };

        assert_eq!(
            run(here, &[sample], b""),
            Outcome::new(&expected, "", 0),
            "{sample}"
        );
        assert_eq!(
            run(here, &["-"], &raw),
            Outcome::new(&expected, "", 0),
            "{sample}"
        );
        assert_eq!(run(here, &[sample, "--check"], b""), *check, "{sample}");
        assert_eq!(
            run(here, &[], expected.as_bytes()),
            Outcome::new(&expected, "", 0),
            "{sample}"
        );
        assert_eq!(run(here, &["--check"], expected.as_bytes()), same, "{sample}");
        assert_eq!(run(here, &["--diff"], expected.as_bytes()), same, "{sample}");
    }
}

/// What they become is held to libvirt's own schema where libvirt is: in a test for real hosts, which carries them.
#[test]
fn each_is_held_to_libvirts_schema() {
    let test = include_str!("../vm/rewrite.rs");
    for (sample, _) in samples() {
        let name = sample.file_name().expect("a name").to_string_lossy();
        let line = format!("\"../../samples/domains/{name}\"");
        assert!(test.contains(&line), "tests/vm/rewrite.rs does not have {line}");
    }
}

/// A difference is one that patch(1) takes.
#[test]
fn the_difference_leads_from_one_to_the_other() {
    for (sample, expected) in samples() {
        let (raw, expected) = (
            fs::read_to_string(&sample).expect("the sample"),
            fs::read_to_string(&expected).expect("what it becomes"),
        );
        let outcome = run(Path::new("/"), &["--check", "--diff"], raw.as_bytes());
        assert_eq!(
            (outcome.stderr.as_str(), outcome.status),
            ("", if raw == expected { 0 } else { 3 })
        );
        assert_eq!(apply(&raw, &outcome.stdout), expected, "{}", outcome.stdout);
    }
}

/// Applies a unified difference, strictly.
fn apply(old: &str, diff: &str) -> String {
    let mut old = old.split_inclusive('\n');
    let mut at = 1;
    let mut new = String::new();
    for (number, line) in diff.split_inclusive('\n').enumerate() {
        match (number, line.split_at(1)) {
            (0, _) => assert_eq!(line, "--- standard input\n"),
            (1, _) => assert_eq!(line, "+++ standard input\trewritten\n"),
            (_, ("@", _)) => {
                let start = line.split([' ', ',']).nth(1).expect("a range");
                let start: usize = start.trim_start_matches('-').parse().expect("a number");
                while at < start {
                    new.push_str(old.next().expect("a line"));
                    at += 1;
                }
            }
            (_, (" ", rest)) => {
                assert_eq!(old.next(), Some(rest));
                new.push_str(rest);
                at += 1;
            }
            (_, ("-", rest)) => {
                assert_eq!(old.next(), Some(rest));
                at += 1;
            }
            (_, ("+", rest)) => new.push_str(rest),
            _ => panic!("{line:?}"),
        }
    }
    new.extend(old);
    new
}
