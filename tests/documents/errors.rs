//! The index of errors has every message that the program can give, and no other.
//!
//! What is a message is taken from the source: a text of some words is one, unless it is printed as part of a list, told
//! to no user, or named below. So one that is new, or worded anew, is missed here until the index has it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::literals::{self, Literal};

/// What prints lists, explains the command line, is for those who look for a bug, or only goes well.
const NO_MESSAGES: [&str; 13] = [
    "expect",
    "allow",
    "command",
    "arg",
    "info!",
    "debug!",
    "unreachable!",
    "assert!",
    "put!",
    "push_str",
    "print",
    "write!",
    "writeln!",
];

/// Files with texts that are shown where all goes well, or are words out of which messages are made.
const OTHER_FILES: [(&str, &str); 2] = [
    ("src/cmd/plan/text.rs", "what plan prints"),
    (
        "src/model/words.rs",
        "serde's words made plain; the index has their forms by hand",
    ),
];

/// Texts that say that all is well, or are no text for people.
const NOT_ERRORS: [&str; 35] = [
    "there before, left standing:",
    "given up, left standing:",
    " (starting or just ended)",
    ", made by automdev",
    ", not made by automdev",
    "the domain does not mark it; it is there already",
    "what an interrupted start left of it is removed first",
    "its driver may still be cleaning up after its last guest; it is removed first",
    "automdev made it before",
    "it is active already, as defined, and is left standing",
    "it is active already and is left standing; this host has no definition of it, so that it could not be made again",
    "a place of pool {name} now; another start may take it first",
    "a place of pool {name} now, made as {uuid} is defined; another start may take it first",
    "a place of pool {name} now: {uuid} makes way and is put back afterwards; another start may take it first",
    "nothing is left over",
    "AppArmor confines libvirt's daemon, which may execute {}",
    "SELinux lets libvirt's hooks run unconfined (virt_hooks_unconfined is on)",
    "1 domain with marked devices",
    "{marked} domains with marked devices",
    "mediated devices of {types} on {parents}",
    "would put back",
    " (did you mean {}?)",
    " at line {line} column {column}",
    "a domain's UUID",
    "a parent's name",
    "a type's name",
    "an attribute's path",
    "a pool's name",
    "a host's name",
    "no mediated devices",
    "a device of a pool",
    "Host key verification failed",
    "Bad configuration option",
    "automdev: Command not found.",
    "this domain needs a newer automdev",
];

/// One row of one of the index's tables.
struct Row {
    messages: Vec<String>,
    cells: Vec<String>,
    has_code: bool,
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("it is there")
}

/// What is between backticks.
fn spans(cell: &str) -> Vec<String> {
    let parts = cell.split('`').enumerate();
    parts
        .filter(|(index, _)| index % 2 == 1)
        .map(|(_, part)| part.to_owned())
        .collect()
}

/// The rows of all tables whose first column is called `message`.
fn index() -> Vec<Row> {
    let text = read("docs/errors.md");
    let mut rows = Vec::new();
    let (mut is_index, mut has_code) = (false, false);
    for line in text.lines() {
        if !line.starts_with('|') {
            is_index = false;
        } else if line.starts_with("| message |") {
            is_index = true;
            has_code = line.starts_with("| message | code |");
        } else if is_index && !line.starts_with("| ---") {
            let cells: Vec<String> = line
                .trim_matches('|')
                .split(" | ")
                .map(|cell| cell.trim().to_owned())
                .collect();
            assert!(
                cells.len() >= 3 && cells.iter().all(|cell| !cell.is_empty()),
                "{line}"
            );
            rows.push(Row {
                messages: spans(&cells[0]),
                cells,
                has_code,
            });
        }
    }
    rows
}

/// A message's text between its placeholders.
fn fragments(text: &str) -> Vec<String> {
    let mut fragments = vec![String::new()];
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let last = fragments.last_mut().expect("there is one");
        if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            last.push(character);
            rest = after;
        } else if let Some((_, after)) = rest.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
            fragments.push(String::new());
            rest = after;
        } else {
            last.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    let first = fragments[0].trim_start();
    let first = first.strip_prefix("automdev: ").unwrap_or(first);
    let first = ["note: ", "warning: "]
        .iter()
        .find_map(|start| first.strip_prefix(start))
        .unwrap_or(first);
    let first = first.to_owned();
    fragments[0] = first;
    let last = fragments.last_mut().expect("there is one");
    *last = last.trim_end().to_owned();
    fragments
}

/// Whether an entry is this message, with words in the places of what differs.
fn is_of(fragments: &[String], entry: &str) -> bool {
    let [first, middle @ ..] = fragments else {
        return false;
    };
    let Some(mut rest) = entry.strip_prefix(first.as_str()) else {
        return false;
    };
    let Some((last, middle)) = middle.split_last() else {
        return rest.is_empty();
    };
    for fragment in middle {
        let Some(at) = rest.find(fragment.as_str()) else {
            return false;
        };
        rest = &rest[at + fragment.len()..];
    }
    rest.ends_with(last.as_str())
}

/// The texts that stand on lines of their own.
fn lines(literal: Literal) -> impl Iterator<Item = Literal> {
    let lines: Vec<String> = literal.text.lines().map(str::to_owned).collect();
    lines.into_iter().map(move |text| Literal {
        text,
        place: literal.place.clone(),
        around: literal.around.clone(),
    })
}

/// How many words of its own a text has.
fn words(fragments: &[String]) -> usize {
    let all = fragments.join(" \u{0} ");
    all.split_whitespace()
        .filter(|word| word.chars().any(|character| character.is_ascii_lowercase()) && !word.contains('/'))
        .count()
}

fn is_message(literal: &Literal) -> bool {
    let file = literal.place.split(':').next().unwrap_or_default();
    let callee = |around: &String| around.rsplit([':', '.']).next().unwrap_or_default().to_owned();
    let around: Vec<String> = literal.around.iter().map(callee).collect();
    let is_error = around.windows(2).any(|pair| pair == ["#", "error"])
        || around
            .iter()
            .any(|one| ["bail!", "anyhow!", "context", "with_context"].contains(&one.as_str()));
    if around.contains(&"#".to_owned()) && !is_error
        || around.iter().any(|one| NO_MESSAGES.contains(&one.as_str()))
        || OTHER_FILES.iter().any(|(other, _)| *other == file)
        || NOT_ERRORS.contains(&literal.text.as_str())
        || literal.text.starts_with('<')
        || literal.text.contains("Examples:\n")
    {
        return false;
    }
    let least = if is_error { 2 } else { 3 };
    words(&fragments(&literal.text)) >= least
}

#[test]
fn every_message_has_its_entry_and_every_entry_its_message() {
    let messages: Vec<(Literal, Vec<String>)> = literals::of_program()
        .into_iter()
        .filter(is_message)
        .flat_map(lines)
        .map(|literal| {
            let fragments = fragments(&literal.text);
            (literal, fragments)
        })
        .collect();
    assert!(
        messages.len() > 250,
        "only {} messages were found",
        messages.len()
    );
    let rows = index();
    let entries: Vec<&String> = rows.iter().flat_map(|row| &row.messages).collect();
    // What mends it is a message as well, and stands in the last column.
    let all: Vec<String> = rows
        .iter()
        .flat_map(|row| row.cells.iter().flat_map(|cell| spans(cell)))
        .collect();
    let missing: Vec<String> = messages
        .iter()
        .filter(|(_, fragments)| !all.iter().any(|entry| is_of(fragments, entry)))
        .map(|(literal, _)| format!("{}: {}", literal.place, literal.text))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/errors.md has no entry for:\n{}",
        missing.join("\n")
    );
    let unknown: Vec<&String> = entries
        .into_iter()
        .filter(|entry| !messages.iter().any(|(_, fragments)| is_of(fragments, entry)))
        .collect();
    assert!(
        unknown.is_empty(),
        "docs/errors.md has what the program does not say: {unknown:#?}"
    );
}

/// What is named above as no error is there.
#[test]
fn nothing_is_left_out_that_is_gone() {
    let literals = literals::of_program();
    for text in NOT_ERRORS {
        assert!(literals.iter().any(|literal| literal.text == text), "{text}");
    }
    for (file, _) in OTHER_FILES {
        assert!(
            literals.iter().any(|literal| literal.place.starts_with(file)),
            "{file}"
        );
    }
}

/// An entry stands once, so that nobody finds two causes for one message.
#[test]
fn no_entry_stands_twice() {
    let mut seen = BTreeSet::new();
    for row in index() {
        for message in row.messages {
            assert!(seen.insert(message.clone()), "{message}");
        }
    }
}

/// The stable words of refusals and of `check` have a row each where they are met.
#[test]
fn every_code_has_its_entry() {
    let literals = literals::of_program();
    let codes: BTreeSet<&str> = literals
        .iter()
        .filter(|literal| literals::is_code(literal))
        .map(|literal| literal.text.as_str())
        .collect();
    assert!(codes.len() > 40, "{codes:?}");
    let rows = index();
    let told: BTreeSet<String> = rows
        .iter()
        .filter(|row| row.has_code)
        .flat_map(|row| spans(&row.cells[1]))
        .collect();
    let missing: Vec<&&str> = codes.iter().filter(|code| !told.contains(**code)).collect();
    assert!(missing.is_empty(), "docs/errors.md has no row for {missing:?}");
    let unknown: Vec<&String> = told
        .iter()
        .filter(|code| !codes.contains(code.as_str()))
        .collect();
    assert!(unknown.is_empty(), "no code of the program's: {unknown:?}");
}
