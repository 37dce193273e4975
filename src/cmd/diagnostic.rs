//! Shows what is wrong with a text: the place, the line itself, and a mark under the place.

use std::fmt;

use unicode_width::UnicodeWidthChar;

use super::colour::Palette;
use crate::model::fault::Fault;

/// So many columns of a line are shown.
const COLUMNS: usize = 100;

/// So many of them in front of the place, where the line is longer.
const BEFORE: usize = 60;

/// A tab is shown as so many spaces, wherever it is.
const TAB: &str = "    ";

/// One fault, to be displayed with the line that it is in:
///
/// ```text
/// automdev: vm.xml:5:61: autocreate is "yes" or "no", not "maybe"
///   5 |     <hostdev mode='subsystem' type='mdev' autocreate='maybe'>
///     |                                                       ^
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Diagnostic<'a> {
    /// The text's name: printable, on one line.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
    /// What is wrong with it.
    pub fault: &'a Fault,
    /// The colours.
    pub palette: Palette,
}

impl fmt::Display for Diagnostic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Palette {
            strong, bad, faint, ..
        } = self.palette;
        let Fault { place, message } = self.fault;
        let (line, column) = (place.line, place.column);
        writeln!(
            f,
            "automdev: {strong}{}:{line}:{column}:{strong:#} {message}",
            self.name
        )?;
        let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        let whole = self.text.split('\n').nth(index).unwrap_or_default();
        let column = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
        let (shown, mark) = cut(whole.strip_suffix('\r').unwrap_or(whole), column);
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "  {faint}{number} |{faint:#} {shown}")?;
        write!(
            f,
            "  {faint}{margin} |{faint:#} {:mark$}{bad}^{bad:#}",
            "",
            mark = mark
        )
    }
}

/// As much of the line as is shown, and the columns in front of the character of that number.
fn cut(line: &str, character: usize) -> (String, usize) {
    // A character may be wide, or an escape; one column each is the least that they take, save for those
    // that combine.
    let from = character.saturating_sub(COLUMNS);
    let cells: Vec<Cell> = line
        .chars()
        .skip(from)
        .take(character - from + COLUMNS)
        .map(Cell::of)
        .collect();
    let rest = line.chars().nth(character + COLUMNS).is_some();
    let place = (character - from).min(cells.len());
    let width = |cells: &[Cell]| cells.iter().map(|cell| cell.width).sum::<usize>();
    let mut start = 0;
    if from > 0 || rest || width(&cells) > COLUMNS {
        start = place;
        while start > 0 && width(&cells[start - 1..place]) <= BEFORE {
            start -= 1;
        }
    }
    let mut end = place;
    while end < cells.len() && width(&cells[start..=end]) <= COLUMNS {
        end += 1;
    }
    let mut shown = String::new();
    let mut mark = width(&cells[start..place]);
    if from > 0 || start > 0 {
        shown.push('…');
        mark += 1;
    }
    for cell in &cells[start..end] {
        shown.push_str(&cell.shown);
    }
    if rest || end < cells.len() {
        shown.push('…');
    }
    (shown, mark)
}

/// A character as it is shown.
struct Cell {
    shown: String,
    width: usize,
}

impl Cell {
    fn of(character: char) -> Self {
        let shown = match character {
            '\t' => TAB.to_owned(),
            // The pictures of control characters.
            '\0'..='\u{1f}' => {
                char::from_u32(0x2400 + u32::from(character)).map_or_else(String::new, String::from)
            }
            '\u{7f}' => '\u{2421}'.to_string(),
            // Those that would change what is printed after them.
            '\u{80}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => char::REPLACEMENT_CHARACTER.to_string(),
            other => other.to_string(),
        };
        let width = shown.chars().filter_map(UnicodeWidthChar::width).sum();
        Cell { shown, width }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, offset: usize) -> String {
        let fault = Fault::at(text, offset, "wrong");
        Diagnostic {
            name: "f",
            text,
            fault: &fault,
            palette: Palette::PLAIN,
        }
        .to_string()
    }

    #[test]
    fn the_mark_is_under_the_place() {
        for (text, at, expected) in [
            ("", "", "automdev: f:1:1: wrong\n  1 | \n    | ^"),
            ("ab\ncde\n", "d", "automdev: f:2:2: wrong\n  2 | cde\n    |  ^"),
            (
                "ab\r\ncde\r\n",
                "d",
                "automdev: f:2:2: wrong\n  2 | cde\n    |  ^",
            ),
            ("a\tb", "b", "automdev: f:1:3: wrong\n  1 | a    b\n    |      ^"),
            ("ä日b", "b", "automdev: f:1:3: wrong\n  1 | ä日b\n    |    ^"),
            (
                "e\u{301}b",
                "b",
                "automdev: f:1:3: wrong\n  1 | e\u{301}b\n    |  ^",
            ),
            (
                "\u{1b}[31m\u{202e}b",
                "b",
                "automdev: f:1:7: wrong\n  1 | ␛[31m\u{fffd}b\n    |       ^",
            ),
            (
                "\n\n\n\n\n\n\n\n\nx",
                "x",
                "automdev: f:10:1: wrong\n  10 | x\n     | ^",
            ),
        ] {
            assert_eq!(show(text, text.find(at).expect(at)), expected);
        }
        assert_eq!(
            show("ab\n", 99),
            "automdev: f:2:1: wrong\n  2 | \n    | ^",
            "one past the end"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        for (before, after, start, end) in [
            (0, 99, "!", "a"),
            (99, 0, "b", "!"),
            (0, 100, "!", "…"),
            (100, 0, "…b", "!"),
            (500, 500, "…b", "…"),
            (60, 500, "b", "…"),
            (61, 500, "…b", "…"),
            (1_000_000, 7_000_000, "…b", "…"),
        ] {
            let line = format!("{}!{}", "b".repeat(before), "a".repeat(after));
            let (shown, mark) = cut(&line, before);
            assert!(
                shown.starts_with(start) && shown.ends_with(end),
                "{before} {after}: {shown}"
            );
            assert_eq!(shown.chars().nth(mark), Some('!'), "{before} {after}: {shown}");
            assert!(shown.chars().count() <= COLUMNS + 2, "{before} {after}: {shown}");
        }
    }

    #[test]
    fn a_line_of_wide_characters_is_cut_by_its_width() {
        let line = "日".repeat(300);
        let (shown, mark) = cut(&line, 150);
        assert_eq!(mark, BEFORE + 1);
        assert_eq!(shown.chars().count(), COLUMNS / 2 + 2);
    }
}
