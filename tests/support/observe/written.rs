//! What was observed before, in `observations/PARENT.txt`.

use std::fs;

use super::super::fake::config::Release;
use super::Subject;

/// Starts the lines of kernels before 6.6.
const OLDER: &str = "before 6.6:";

/// Compares what was observed with what was written down of this release; where it is something else, leaves
/// it where a person can look.
pub(crate) fn assert_observed(subject: Subject, release: Release, observed: &str) {
    let older = release < Release::V6_12;
    let lines = subject
        .written
        .lines()
        .filter_map(|line| match line.strip_prefix(OLDER) {
            Some(line) if older => Some(line),
            Some(_) => None,
            None => Some(line),
        });
    let written: Vec<_> = lines.collect();
    let observed: Vec<_> = observed.lines().collect();
    if observed != written {
        let path = std::env::temp_dir().join(format!("{}-{release:?}.txt", subject.parent));
        fs::write(&path, observed.join("\n") + "\n").expect("a temporary file");
        let same = observed
            .iter()
            .zip(&written)
            .take_while(|(is, was)| is == was)
            .count();
        panic!(
            "{}: line {} is {:?} and was {:?}; all is in {}",
            subject.parent,
            same + 1,
            observed.get(same),
            written.get(same),
            path.display()
        );
    }
}
