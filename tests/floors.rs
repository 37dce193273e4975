//! The floors of the house: each knows only those below it, and the lowest one knows no machine at all.

use std::fs;
use std::path::{Path, PathBuf};

/// What the source of one floor may not name, and why.
struct Rule {
    floor: &'static str,
    forbidden: &'static [&'static str],
}

const RULES: [Rule; 2] = [
    Rule {
        floor: "src/model",
        forbidden: &[
            "crate::host",
            "crate::cmd",
            "super::host",
            "super::cmd",
            "automdev::",
            "std::env",
            "std::fs",
            "std::io",
            "std::net",
            "std::os::fd",
            "std::os::unix::fs",
            "std::os::unix::net",
            "std::os::unix::process",
            "std::process",
            "std::thread",
            "std::time::Instant",
            "std::time::SystemTime",
            "Instant::now",
            "SystemTime::now",
            // Texts that are shared are no state.
            "std::sync::Barrier",
            "std::sync::Condvar",
            "std::sync::LazyLock",
            "std::sync::Mutex",
            "std::sync::Once",
            "std::sync::OnceLock",
            "std::sync::RwLock",
            "std::sync::atomic",
            "std::sync::mpsc",
            "nix::",
            "log::",
            "libc::",
            "anyhow::",
            "clap::",
            "println!",
            "eprintln!",
            "print!",
            "eprint!",
        ],
    },
    Rule {
        floor: "src/host",
        forbidden: &[
            "crate::cmd",
            "super::cmd",
            "automdev::",
            "anyhow::",
            "clap::",
            "println!",
            "eprintln!",
            "print!",
            "eprint!",
        ],
    },
];

/// The places at which a source names what it may not: `LINE: NAME`.
fn breaches(source: &str, forbidden: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(source.lines());
    while let Some((number, line)) = lines.next() {
        let mut code = code_of(line).to_owned();
        // An import may go on for some lines.
        let is_import = code.trim_start().starts_with("use ") || code.contains(" use ");
        while is_import && !code.contains(';') {
            let Some((_, line)) = lines.next() else { break };
            code.push_str(code_of(line));
        }
        let names = expand(&code);
        for name in forbidden {
            if names.iter().any(|used| uses(used, name)) {
                found.push(format!("{number}: {name}"));
            }
        }
    }
    found
}

/// A line without its comment: a link of the documentation is no use.
fn code_of(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// A line, and where it is `use a::{b, c};`, `use a::b` and `use a::c` as well.
fn expand(code: &str) -> Vec<String> {
    let mut lines = vec![code.to_owned()];
    let parts = code.split_once('{').filter(|(before, _)| before.ends_with("::"));
    if let Some((before, list)) = parts {
        let list = list.split(['}', ';']).next().unwrap_or_default();
        lines.extend(list.split(',').map(|name| format!("{before}{} ", name.trim())));
    }
    // However far up the stairs, there is but one floor of that name.
    for line in &mut lines {
        while line.contains("super::super::") {
            *line = line.replace("super::super::", "super::");
        }
    }
    lines
}

/// Whether a line names something: not as the end of a longer name, nor the start of one.
fn uses(code: &str, name: &str) -> bool {
    let is_part = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        let ends_open = name.ends_with(':') || name.ends_with('!');
        let is_inner = code[..at]
            .strip_suffix("::")
            .is_some_and(|path| is_part(path.chars().next_back()));
        !is_part(before) && !is_inner && (ends_open || !is_part(after))
    })
}

/// The Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the sources") {
        let path = entry.expect("an entry of the sources").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn each_floor_knows_only_those_below_it() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    for Rule { floor, forbidden } in RULES {
        let files = sources(&package.join(floor));
        assert!(files.len() > 5, "{floor} is not where it was");
        let mut told = Vec::new();
        for file in files {
            let source = fs::read_to_string(&file).expect("a source");
            let shown = file.strip_prefix(package).unwrap_or(&file).display();
            told.extend(
                breaches(&source, forbidden)
                    .iter()
                    .map(|breach| format!("{shown}:{breach}")),
            );
        }
        assert!(told.is_empty(), "{floor} may not know:\n{}", told.join("\n"));
    }
}

#[test]
fn a_breach_is_found_however_it_is_written() {
    let forbidden = RULES[0].forbidden;
    for (source, found) in [
        ("use crate::host::root::Root;", &["1: crate::host"][..]),
        ("use crate::{cmd, model};", &["1: crate::cmd"]),
        ("use std::{fmt, fs};", &["1: std::fs"]),
        ("use std::fs::{self, File};", &["1: std::fs"]),
        (
            "\nlet now = std::time::Instant::now();",
            &["2: std::time::Instant"],
        ),
        ("use std::time::{Duration, Instant};", &["1: std::time::Instant"]),
        ("    let x = Instant::now();", &["1: Instant::now"]),
        ("log::warn!(\"x\");", &["1: log::"]),
        ("    println!(\"x\");", &["1: println!"]),
        ("pub use ::std::env;", &["1: std::env"]),
        ("use crate::{\n    cmd,\n    model,\n};", &["1: crate::cmd"]),
        ("    super::super::host::files::names()", &["1: super::host"]),
        ("use std::fmt;", &[]),
        ("use std::time::Duration;", &[]),
        ("/// See [`crate::host::ledger`].", &[]),
        ("let x = 1; // std::fs", &[]),
        ("use crate::hostname::x;", &[]),
        ("let syslog = my_log::x;", &[]),
    ] {
        assert_eq!(breaches(source, forbidden), found, "{source}");
    }
}

/// The picture of the floors in docs/architecture.md names what there is, and every front.
#[test]
fn the_picture_is_true() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(package.join("docs/architecture.md")).expect("the document");
    let (_, rest) = text.split_once("## Four floors").expect("its heading");
    let picture = rest.split("```").nth(1).expect("a block");
    for floor in ["cmd", "host", "model"] {
        let start = format!("src/{floor}/");
        let (_, rest) = picture.split_once(&start).expect("a floor");
        let floor_text = rest.split('─').next().unwrap_or_default();
        // What is said about a name stands in parentheses.
        let mut named = String::new();
        let mut depth = 0;
        for character in floor_text.chars() {
            match character {
                '(' => depth += 1,
                ')' => depth -= 1,
                other if depth == 0 => named.push(other),
                _ => {}
            }
        }
        let (_, named) = named.split_once(':').expect("names");
        let named = named.split(": read input").next().unwrap_or_default();
        let named: Vec<&str> = named.split(',').map(str::trim).collect();
        let folder = package.join("src").join(floor);
        for name in &named {
            let is_there = folder.join(format!("{name}.rs")).exists() || folder.join(name).is_dir();
            assert!(is_there, "{start} has no {name}");
        }
        if floor == "cmd" {
            let commands = fs::read_to_string(folder.join("cli.rs")).expect("the commands");
            let (_, fronts) = commands.split_once("match self.command").expect("them all");
            for front in fronts.lines().filter_map(|line| line.split_once("=> ")) {
                let call = front.1.trim_start_matches("Ok(");
                let front = call.split("::").next().unwrap_or_default();
                assert!(named.contains(&front), "the picture lacks {front}");
            }
        }
    }
}
