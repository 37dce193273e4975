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

/// So many faults are told at a time; who has more than that has the wrong file.
pub const MOST_FAULTS: usize = 100;

/// The faults of one text, as they are found: in any order, and no more than [`MOST_FAULTS`].
#[derive(Debug)]
pub(crate) struct Faults<'text> {
    text: &'text str,
    found: Vec<(usize, String)>,
}

impl<'text> Faults<'text> {
    pub(crate) fn of(text: &'text str) -> Self {
        Faults {
            text,
            found: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, offset: usize, message: impl Into<String>) {
        if !self.is_full() {
            self.found.push((offset, message.into()));
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= MOST_FAULTS
    }

    /// Nothing is wrong, or all that is, in the text's order. Counts the lines once, not once a fault.
    pub(crate) fn finish(mut self) -> Result<(), Vec<Fault>> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|(offset, _)| *offset);
        let (mut line, mut counted) = (1, 0);
        let faults = self.found.into_iter().map(|(offset, message)| {
            // A line that starts after what has been counted is counted from there.
            let place = Place::of_offset(&self.text[counted..], offset - counted);
            let start = self.text.as_bytes()[counted..offset.min(self.text.len())]
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map(|newline| counted + newline + 1);
            let place = Place {
                line: place.line + line - 1,
                ..place
            };
            if let Some(start) = start {
                (line, counted) = (place.line, start);
            }
            Fault { place, message }
        });
        Err(faults.collect())
    }
}

fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_the_texts_order_with_their_own_places() {
        let text = "ab\nä ü\n\nend";
        for offset in 0..=text.len() {
            let mut faults = Faults::of(text);
            for other in [text.len(), offset, 4, 0, 3] {
                faults.push(other, "wrong");
            }
            let mut expected = [text.len(), offset, 4, 0, 3];
            expected.sort_unstable();
            assert_eq!(
                faults.finish(),
                Err(expected.map(|offset| Fault::at(text, offset, "wrong")).into())
            );
        }
        assert_eq!(Faults::of(text).finish(), Ok(()));
    }

    #[test]
    fn no_more_faults_are_kept_than_people_read() {
        let mut faults = Faults::of("");
        for _ in 0..MOST_FAULTS + 5 {
            faults.push(0, "wrong");
        }
        assert_eq!(faults.finish().map_err(|faults| faults.len()), Err(MOST_FAULTS));
    }

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
