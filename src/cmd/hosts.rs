//! What the commands have in common that ask other hosts over ssh.

use std::str::FromStr;
use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use super::complain;
use super::format::put;
use crate::host::ssh::{self, AskError, Question, Replies};
use crate::model::names::HostName;

/// A time of so many seconds, fractions allowed.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Seconds(pub Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const LEAST: f64 = 0.05;
        const MOST: f64 = 3600.0;
        match text.parse::<f64>() {
            Ok(seconds) if (LEAST..=MOST).contains(&seconds) => Ok(Seconds(Duration::from_secs_f64(seconds))),
            _ => Err(format!("{text} is not between {LEAST} and {MOST} seconds")),
        }
    }
}

/// Asks them all, and passes on what they say besides their answers.
pub(super) fn ask(questions: &[Question<'_>], limit: Seconds) -> Result<Replies, AskError> {
    let replies = ssh::ask(questions, limit.0)?;
    for (question, reply) in questions.iter().zip(&replies.replies) {
        for note in reply.notes() {
            complain(&format!("automdev: {}: {note}", question.host));
        }
    }
    Ok(replies)
}

/// Each once, in the order in which they were named first.
pub(super) fn once<T: PartialEq>(all: Vec<T>) -> Vec<T> {
    let mut seen = Vec::with_capacity(all.len());
    for one in all {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}

/// The width of a column of these texts below its head.
pub(super) fn width<'a>(head: &str, texts: impl IntoIterator<Item = &'a str>) -> usize {
    let widths = texts.into_iter().map(unicode_width::UnicodeWidthStr::width);
    widths.max().unwrap_or_default().max(head.width())
}

/// Adds a text, and what is missing of its column's width and the space between two.
pub(super) fn push_cell(text: &mut String, cell: &str, width: usize) {
    let missing = width.saturating_sub(cell.width()) + 2;
    put!(text, "{cell}{:missing$}", "");
}

/// The width of the column of hosts.
pub(super) fn host_width<'a>(hosts: impl IntoIterator<Item = &'a HostName>) -> usize {
    width("HOST", hosts.into_iter().map(HostName::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_seconds() {
        for (text, seconds) in [("10", 10.0), ("0.05", 0.05), ("3600", 3600.0)] {
            let parsed: Seconds = text.parse().expect(text);
            assert_eq!(parsed.0, Duration::from_secs_f64(seconds));
        }
        for text in ["", "0", "-1", "3601", "NaN", "inf", "10s"] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
        }
    }

    #[test]
    fn columns_are_as_wide_as_they_are_seen() {
        assert_eq!(width("HOST", ["a", "語語語"]), 6);
        let mut text = String::new();
        push_cell(&mut text, "語", 4);
        assert_eq!(text, "語    ");
        assert_eq!(once(vec![2, 1, 2, 1, 3]), [2, 1, 3]);
    }
}
