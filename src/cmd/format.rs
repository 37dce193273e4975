//! How lists are printed.

use std::fmt::Write as _;

use clap::ValueEnum;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one object a line, each with "schema": 1.
    Json,
}

/// The version of all objects that are printed.
pub(super) const SCHEMA: u32 = 1;

/// What is printed for people fits a terminal of 80 columns.
const COLUMNS: usize = 79;

/// Adds an object and the end of its line.
pub(super) fn push_json<T: Serialize>(text: &mut String, object: &T) {
    let line = serde_json::to_string(object).expect("it has only texts, numbers and lists");
    text.push_str(&line);
    text.push('\n');
}

/// Adds a text, indented, broken between words where a line would become too long.
pub(super) fn push_wrapped(text: &mut String, indent: usize, words: &str) {
    let mut column = 0;
    for word in words.split(' ') {
        let width = word.width();
        if column > 0 && column + 1 + width <= COLUMNS {
            text.push(' ');
            column += 1;
        } else {
            if column > 0 {
                text.push('\n');
            }
            write!(text, "{:indent$}", "").expect("a String takes it");
            column = indent;
        }
        text.push_str(word);
        column += width;
    }
    text.push('\n');
}

/// Writes into a text.
macro_rules! put {
    ($text:expr, $($arguments:tt)*) => {
        ::std::fmt::Write::write_fmt($text, format_args!($($arguments)*)).expect("a String takes it")
    };
}

pub(super) use put;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words() {
        let mut text = String::new();
        push_wrapped(&mut text, 4, &["word"; 20].join(" "));
        assert_eq!(text.lines().count(), 2);
        let is_good = |line: &str| line.starts_with("    word") && line.len() <= COLUMNS;
        assert!(text.lines().all(is_good), "{text}");
        text.clear();
        push_wrapped(&mut text, 2, &"x".repeat(100));
        assert_eq!(text, format!("  {}\n", "x".repeat(100)));
        // As columns are counted, not characters.
        text.clear();
        push_wrapped(&mut text, 0, &["語語"; 20].join(" "));
        assert!(text.lines().all(|line| line.width() <= COLUMNS), "{text}");
    }
}
