//! The texts in the program's source: every string literal outside of tests, and what it is an argument of.

use std::fs;
use std::path::{Path, PathBuf};

/// A string literal.
#[derive(Debug)]
pub(crate) struct Literal {
    /// Its file and line.
    pub place: String,
    /// What the parentheses, brackets and braces around it stand behind (`bail!`, `log::warn!`, `#`), outermost first.
    pub around: Vec<String>,
    /// The text, without escapes.
    pub text: String,
}

/// The files of the program, without those that are tests only.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

/// All of them, by file and line.
pub(crate) fn of_program() -> Vec<Literal> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&here.join("src"), &mut files);
    files.sort();
    let texts: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|file| (file.clone(), fs::read_to_string(&file).expect("a source")))
        .collect();
    let mut only_tests: Vec<PathBuf> = Vec::new();
    for (file, text) in &texts {
        let below = match file.file_name().and_then(|name| name.to_str()) {
            Some("mod.rs") => file.parent().expect("it has one").to_owned(),
            _ => file.with_extension(""),
        };
        for rest in text.split("#[cfg(test)]\nmod ").skip(1) {
            if let Some((name, _)) = rest.split_once(';').filter(|(name, _)| {
                name.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            }) {
                only_tests.push(below.join(name));
            }
        }
    }
    let mut literals = Vec::new();
    for (file, text) in &texts {
        let is_test = |folder: &PathBuf| file.starts_with(folder) || *file == folder.with_extension("rs");
        if only_tests.iter().any(is_test) {
            continue;
        }
        let name = file
            .strip_prefix(here)
            .expect("it is below")
            .display()
            .to_string();
        let text = text
            .split("\n#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        read(&name, text, &mut literals);
    }
    literals
}

/// Reads a file as far as its literals need: comments, characters and lifetimes are told apart from them.
fn read(name: &str, text: &str, literals: &mut Vec<Literal>) {
    let mut around: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        if let Some((literal, length)) = string(rest, text[..at].chars().next_back()) {
            let line = text[..at].matches('\n').count() + 1;
            literals.push(Literal {
                place: format!("{name}:{line}"),
                around: around.clone(),
                text: literal,
            });
            at += length;
            continue;
        }
        match character {
            '\'' => {
                at += character_length(rest);
                continue;
            }
            '(' | '[' | '{' => around.push(before(&text[..at])),
            ')' | ']' | '}' => drop(around.pop()),
            _ => {}
        }
        at += character.len_utf8();
    }
    assert!(around.is_empty(), "{name}: {around:?} is still open");
}

/// How long a character's literal is, or the quote of a lifetime.
fn character_length(rest: &str) -> usize {
    let inside = &rest[1..];
    let Some(first) = inside.chars().next() else {
        return 1;
    };
    let length = if first == '\\' {
        inside[2..].find('\'').map(|end| end + 2)
    } else {
        Some(first.len_utf8()).filter(|end| inside[*end..].starts_with('\''))
    };
    length.map_or(1, |length| length + 2)
}

/// A string literal at the start, and how long it is.
fn string(rest: &str, before: Option<char>) -> Option<(String, usize)> {
    if let Some(inside) = rest.strip_prefix('"') {
        let mut text = String::new();
        let mut characters = inside.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => return Some((text, at + 2)),
                '\\' => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    '\n' => {
                        let spaces = inside[at + 2..].len() - inside[at + 2..].trim_start().len();
                        for _ in 0..spaces {
                            characters.next();
                        }
                    }
                    other => text.push(other),
                },
                other => text.push(other),
            }
        }
        return None;
    }
    let is_word = before.is_some_and(|before| before.is_alphanumeric() || before == '_');
    let hashes = rest.strip_prefix('r').filter(|_| !is_word)?;
    let count = hashes.len() - hashes.trim_start_matches('#').len();
    let inside = hashes[count..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(count));
    let length = inside.find(&end)?;
    Some((inside[..length].to_owned(), 1 + count + 1 + length + end.len()))
}

/// The word that an opening parenthesis stands behind.
fn before(text: &str) -> String {
    let text = text.trim_end();
    let is_part = |character: char| character.is_alphanumeric() || "_:.!#".contains(character);
    let start = text
        .char_indices()
        .rev()
        .take_while(|(_, character)| is_part(*character))
        .last();
    start.map_or_else(String::new, |(at, _)| text[at..].to_owned())
}

/// Whether a text is a stable word for what is wrong: a refusal's, one of `check`, of a list, or of what stays.
pub(crate) fn is_code(literal: &Literal) -> bool {
    let is_word = literal
        .text
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let by = literal.around.last().map_or("", String::as_str);
    let is_in = |file: &str| literal.place.starts_with(file);
    let is_finding = is_in("src/host/check") && matches!(by, "Finding::problem" | "Finding::note");
    let is_problem = by == "Problem" && (is_in("src/model/overview.rs") || is_in("src/host/pools/"));
    let is_hindrance = is_in("src/model/leftover.rs") && !OUTCOMES.contains(&literal.text.as_str());
    is_word
        && !literal.text.is_empty()
        && (is_in("src/model/refusal.rs:") || is_finding || is_problem || is_hindrance)
}

/// What `reconcile` does, in the same file as why it does not.
const OUTCOMES: [&str; 4] = ["remove", "forget", "put-back", "keep"];

#[test]
fn literals_are_told_apart_from_all_else() {
    let source = r##"// "no" 'x # "#
        fn f<'a>(c: char) { if c == '"' || c == '\'' { bail!("one \"{c}\" \
            two", r#"three "3""#); } }"##;
    let mut literals = Vec::new();
    read("f", source, &mut literals);
    let found: Vec<(&str, &str)> = literals
        .iter()
        .map(|one| (one.around.last().expect("bail").as_str(), one.text.as_str()))
        .collect();
    assert_eq!(found, [("bail!", "one \"{c}\" two"), ("bail!", "three \"3\"")]);
}
