//! What is wrong with a text that somebody wrote, and where.

use std::fmt;

/// A place in a text. Both numbers start at 1; the column counts characters, not bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Place {
    /// The place of the byte at `offset`; one past the end where the text is shorter.
    #[must_use]
    pub fn of_offset(text: &str, offset: usize) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            line: saturate(before.bytes().filter(|byte| *byte == b'\n').count() + 1),
            column: saturate(before[start..].chars().count() + 1),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// One thing that is wrong, at one place. Displays as one line, place first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Fault {
    /// Where it is wrong.
    pub place: Place,
    /// What is wrong: lower case, no full stop.
    pub message: String,
}

impl Fault {
    /// What is wrong at the byte `offset` of `text`.
    pub fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        Fault {
            place: Place::of_offset(text, offset),
            message: message.into(),
        }
    }
}

fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        for (text, offset, line, column) in [
            ("", 0, 1, 1),
            ("abc", 2, 1, 3),
            ("a\nbc", 2, 2, 1),
            ("a\r\nbc", 4, 2, 2),
            ("äöü", 4, 1, 3),
            ("äöü", 3, 1, 2),
            ("a\n", 99, 2, 1),
        ] {
            assert_eq!(
                Place::of_offset(text, offset),
                Place { line, column },
                "{text:?} at {offset}"
            );
        }
    }
}
