//! What a host, and the ssh to it, say on standard error: lines of somebody else's, which are shown to a person.

use std::borrow::Cow;

use super::plan::STANDARD_INPUT;
use crate::model::names::printable;

/// A line is cut after so many characters.
const LONGEST: usize = 1000;

/// The most lines that are shown of what automdev says.
const MOST_LINES: usize = 8;

/// What is said where nothing is.
const NOTHING: &str = "nothing says why";

/// The lines that have anything in them.
fn lines(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| shown(line).into_owned()).collect()
}

/// A text of another host's, cut where it is long.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", printable(&text[..end])).into(),
        None => printable(text),
    }
}

/// The first line; of standard output where nothing is on standard error.
pub(super) fn first(stderr: &[u8], stdout: &[u8]) -> String {
    let said = lines(stderr).into_iter().chain(lines(stdout)).next();
    said.map_or_else(|| NOTHING.to_owned(), |line| bare(&line).to_owned())
}

/// All that automdev says, on one line; what is on standard output where nothing is on standard error.
pub(super) fn all(stderr: &[u8], stdout: &[u8]) -> String {
    let mut said = lines(stderr);
    if said.is_empty() {
        said = lines(stdout);
        said.truncate(1);
    }
    if said.is_empty() {
        return NOTHING.to_owned();
    }
    joined(said)
}

/// What is said of the document that is called `name` there, on one line, and under the name `file` that it has here. Where
/// nothing names it, what is said of no document.
pub(super) fn of_document(stderr: &[u8], stdout: &[u8], name: &str, file: &str) -> String {
    let (mut own, mut of_none) = (Vec::new(), Vec::new());
    // Where a message goes that begins with a line, and goes on until the next one does.
    let mut of = Of::None;
    for line in String::from_utf8_lossy(stderr).lines() {
        let message = line.strip_prefix(NAME);
        if let Some(message) = message {
            of = Of::read(message, name);
        }
        let line = message.unwrap_or(line).trim();
        match (of, message.and_then(|message| message.strip_prefix(name))) {
            _ if line.is_empty() => {}
            (Of::This, Some(rest)) => own.push(shown(&format!("{file}{}", rest.trim_end())).into_owned()),
            (Of::This, None) => own.push(shown(line).into_owned()),
            (Of::None, _) => of_none.push(shown(line).into_owned()),
            (Of::Other, _) => {}
        }
    }
    match (own.is_empty(), of_none.is_empty()) {
        (false, _) => joined(own),
        (true, false) => joined(of_none),
        (true, true) => all(b"", stdout),
    }
}

/// What a message is about.
#[derive(Clone, Copy)]
enum Of {
    /// The document in question.
    This,
    /// Another one, or what is passed on as a note.
    Other,
    /// None.
    None,
}

impl Of {
    fn read(message: &str, name: &str) -> Self {
        let is_of = |name: &str| {
            let rest = message.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(':'))
        };
        if is_of(name) {
            Of::This
        } else if message.starts_with(STANDARD_INPUT) || is_note(message) {
            Of::Other
        } else {
            Of::None
        }
    }
}

/// Lines, as one.
fn joined(mut said: Vec<String>) -> String {
    said.truncate(MOST_LINES);
    let said: Vec<&str> = said.iter().map(|line| bare(line)).collect();
    // A line that ends so goes on with those after it, which are parts of a list.
    said.join("; ").replace(":; ", ": ")
}

/// What a message of automdev's begins with.
const NAME: &str = "automdev: ";

fn bare(line: &str) -> &str {
    line.strip_prefix(NAME).unwrap_or(line)
}

/// Why ssh did not get there: its first line, or the first that says more than a warning or a greeting.
pub(super) fn of_ssh(stderr: &[u8]) -> String {
    const CAUSES: [&str; 5] = [
        "ssh: ",
        "kex_exchange_identification: ",
        "Host key verification failed",
        "Connection ",
        "Bad configuration option",
    ];
    let lines = lines(stderr);
    let is_cause = |line: &&String| {
        CAUSES.iter().any(|cause| line.starts_with(cause)) || line.contains("Permission denied")
    };
    let is_plain = |line: &&String| {
        !["Warning:", "**", "@"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let line = lines
        .iter()
        .find(is_cause)
        .or_else(|| lines.iter().find(is_plain))
        .or(lines.first());
    line.cloned()
        .unwrap_or_else(|| "ssh ended with status 255 and does not say why".to_owned())
}

/// What automdev could not look at there. What it says of the document is said here as well.
pub(super) fn notes(stderr: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(stderr);
    let messages = text.lines().filter_map(|line| line.strip_prefix(NAME));
    let notes = messages.filter(|message| is_note(message)).take(MOST_LINES);
    notes.map(|note| shown(note.trim_end()).into_owned()).collect()
}

fn is_note(message: &str) -> bool {
    message.starts_with("note: ") || message.starts_with("warning: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_found_among_what_ssh_says() {
        for (said, cause) in [
            ("only this\nand that", "only this"),
            (
                "***\nWelcome to b\n***\nroot@b: Permission denied (publickey).",
                "root@b: Permission denied (publickey).",
            ),
            (
                "@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@\nIT IS POSSIBLE\nHost key verification failed.",
                "Host key verification failed.",
            ),
            (
                "kex_exchange_identification: read: Connection reset by peer\r\nConnection reset by 10.0.0.1 port 22",
                "kex_exchange_identification: read: Connection reset by peer",
            ),
            ("** WARNING: x\n", "** WARNING: x"),
            ("\n\u{7}x\n", "\"\\u{7}x\""),
        ] {
            assert_eq!(of_ssh(said.as_bytes()), cause);
        }
    }

    #[test]
    fn what_automdev_says_becomes_one_line() {
        let said = "automdev: FILE is there already, and different:\n  type: a, not b\n  start: c, not d\nnothing was changed; --force replaces it\n";
        assert_eq!(
            all(said.as_bytes(), b""),
            "FILE is there already, and different: type: a, not b; start: c, not d; nothing was changed; --force \
             replaces it"
        );
        assert_eq!(
            all(b"", b"This account is not available.\nx"),
            "This account is not available."
        );
        assert_eq!(all(b"", b" \n"), NOTHING);
        assert_eq!(first(b"", b"x\ny"), "x");
        assert_eq!(
            first("ä".repeat(2000).as_bytes(), b""),
            format!("{}…", "ä".repeat(LONGEST))
        );
    }

    #[test]
    fn what_is_said_of_a_document_is_told_under_its_own_name() {
        let said = "Welcome\nautomdev: warning: w\nautomdev: standard input (1):2:3: a\n  2 | <x>\n    | ^\n\
                    automdev: standard input (12): b\n  c\nautomdev: standard input (2): d\n";
        for (name, told) in [
            ("standard input (1)", "vm.xml:2:3: a; 2 | <x>; | ^"),
            ("standard input (12)", "vm.xml: b; c"),
            ("standard input (3)", "Welcome"),
        ] {
            assert_eq!(of_document(said.as_bytes(), b"x", name, "vm.xml"), told);
        }
        let said = "automdev: standard input:1:1: a\u{1b}\nautomdev: settings are broken\n";
        let of = |name| of_document(said.as_bytes(), b"", name, "vm.xml");
        assert_eq!(of("standard input"), "\"vm.xml:1:1: a\\u{1b}\"");
        assert_eq!(of("standard input (1)"), "settings are broken");
        assert_eq!(of_document(b"", b"", "standard input", "vm.xml"), NOTHING);
    }

    #[test]
    fn notes_are_told_and_nothing_else() {
        let said =
            "Welcome\nautomdev: note: a\nautomdev: warning: b\u{1b}\n  1 | <x>\nautomdev: c\nnote: d\n";
        assert_eq!(notes(said.as_bytes()), ["note: a", "\"warning: b\\u{1b}\""]);
    }
}
