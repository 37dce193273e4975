//! What comes out of a host: lines for people, and at last one with the results.

use anyhow::{Context as _, Result};

use super::Measured;

/// What the line with the results begins with.
const RESULTS: &str = "results: ";

/// That line.
pub(super) fn line(results: &[Measured]) -> Result<String> {
    Ok(format!("{RESULTS}{}", serde_json::to_string(results)?))
}

/// Takes the host's output apart, as it comes.
pub(super) struct Said<F> {
    /// The line that has not ended yet.
    rest: Vec<u8>,
    results: Option<String>,
    /// What becomes of the lines for people.
    show: F,
}

impl<F: FnMut(&str)> Said<F> {
    pub(super) fn new(show: F) -> Self {
        Said {
            rest: Vec::new(),
            results: None,
            show,
        }
    }

    pub(super) fn take(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            match line.strip_prefix(RESULTS) {
                Some(results) => self.results = Some(results.to_owned()),
                None => (self.show)(line.trim_end()),
            }
        }
    }

    /// The results, once the host has ended.
    pub(super) fn results(self) -> Result<Vec<Measured>> {
        let results = self.results.context("the host said nothing of its results")?;
        serde_json::from_str(&results).context("the host's results")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_told_from_what_people_read() {
        let mut shown = Vec::new();
        let mut said = Said::new(|line: &str| shown.push(line.to_owned()));
        let all = format!("measuring a\n{}\nit is done\n", line(&[]).expect("text"));
        for piece in all.as_bytes().chunks(7) {
            said.take(piece);
        }
        assert!(said.results().expect("results").is_empty());
        assert_eq!(shown, ["measuring a", "it is done"]);
    }

    #[test]
    fn a_host_that_says_nothing_has_no_results() {
        let mut said = Said::new(|_: &str| {});
        said.take(b"measuring a\nresults: [");
        assert!(said.results().is_err());
    }
}
