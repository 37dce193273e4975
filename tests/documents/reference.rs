//! The reference is complete: commands, options, keys of objects, codes, settings and statuses are those of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use automdev::cmd::Status;
use automdev::cmd::cli::Cli;
use automdev::model::far::State;
use automdev::model::settings::Settings;
use clap::CommandFactory as _;

use crate::literals;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn reference() -> String {
    fs::read_to_string(here().join("docs/reference.md")).expect("the reference")
}

/// The text below a heading that begins like this, up to the next one of that rank or of a higher one.
fn section(text: &str, heading: &str) -> String {
    let rank = heading.split(' ').next().unwrap_or_default();
    let mut lines = text
        .lines()
        .skip_while(|line| !line.starts_with(heading))
        .peekable();
    assert!(lines.peek().is_some(), "there is no heading {heading}");
    let first = lines.next().expect("it was just seen").to_owned();
    let rest = lines.take_while(|line| {
        let depth = line.len() - line.trim_start_matches('#').len();
        depth == 0 || depth > rank.len()
    });
    rest.fold(first, |text, line| text + "\n" + line)
}

/// What stands between backticks.
fn spans(text: &str) -> BTreeSet<String> {
    let parts = text.split('`').enumerate();
    parts
        .filter(|(index, _)| index % 2 == 1)
        .map(|(_, part)| part.to_owned())
        .collect()
}

/// The rows of a section's tables whose header begins like this, as cells.
fn rows(section: &str, header: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut is_in = false;
    for line in section.lines() {
        if !line.starts_with('|') {
            is_in = false;
        } else if line.starts_with(header) {
            is_in = true;
        } else if is_in && !line.starts_with("| ---") {
            rows.push(
                line.trim_matches('|')
                    .split(" | ")
                    .map(|cell| cell.trim().to_owned())
                    .collect(),
            );
        }
    }
    rows
}

#[test]
fn every_command_has_its_section_and_every_option_its_mention() {
    let text = reference();
    let headings: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("### `automdev "))
        .collect();
    let mut known = BTreeSet::new();
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let is_of = |line: &&&str| {
            let words = line
                .trim_start_matches("### `automdev ")
                .trim_start_matches("[--root DIR] ");
            words.split([' ', '`']).next() == Some(name)
        };
        let heading = headings
            .iter()
            .find(is_of)
            .unwrap_or_else(|| panic!("no section for {name}"));
        known.insert(name.to_owned());
        let section = section(&text, heading);
        let options: BTreeSet<String> = command
            .get_arguments()
            .filter_map(clap::Arg::get_long)
            .filter(|long| !matches!(*long, "root" | "help"))
            .map(|long| format!("--{long}"))
            .collect();
        for option in &options {
            assert!(
                section.contains(option.as_str())
                    || short(command, option).is_some_and(|short| section.contains(&short)),
                "{name}: {option} is not told"
            );
        }
        let shown = heading
            .split(['[', ' ', ']', '`'])
            .filter(|word| word.starts_with("--") && word.len() > 2);
        for option in shown.filter(|option| !matches!(*option, "--root" | "--domain")) {
            assert!(options.contains(option), "{heading}: there is no {option}");
        }
    }
    assert_eq!(headings.len(), known.len(), "{headings:?}");
}

/// The short form of an option, where that is what is told.
fn short(command: &clap::Command, option: &str) -> Option<String> {
    let mut arguments = command.get_arguments();
    let found = arguments.find(|argument| argument.get_long() == option.strip_prefix("--"))?;
    found.get_short().map(|letter| format!("`-{letter}"))
}

/// The keys of the objects that a source file writes as JSON.
fn keys(file: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(here().join(file)).expect("a source");
    let mut keys = BTreeSet::new();
    for part in text.split("Serialize)]\n").skip(1) {
        let body = part
            .split_once("{\n")
            .and_then(|(_, rest)| rest.split_once("\n}"));
        let mut renamed = None;
        for line in body.expect("a struct").0.lines().map(str::trim) {
            if let Some((_, rest)) = line.split_once("rename = \"") {
                renamed = rest.split('"').next().map(str::to_owned);
            } else if let Some((name, _)) = line.split_once(": ").filter(|_| !line.starts_with(['#', '/'])) {
                let name = name
                    .trim_start_matches("pub ")
                    .trim_start_matches("r#")
                    .to_owned();
                keys.insert(renamed.take().unwrap_or(name));
            }
        }
    }
    keys
}

#[test]
fn every_key_of_an_object_is_told() {
    let text = reference();
    let mut told = 0;
    let files: BTreeMap<&str, &str> = [
        ("plan", "src/cmd/plan/json.rs"),
        ("list", "src/cmd/list/json.rs"),
        ("types", "src/cmd/types.rs"),
        ("show", "src/cmd/show.rs"),
        ("check", "src/cmd/check.rs"),
        ("reconcile", "src/cmd/reconcile.rs"),
        ("pools", "src/cmd/pools/json.rs"),
        ("remove", "src/cmd/hotplug.rs"),
        ("define", "src/cmd/define/hosts/json.rs"),
    ]
    .into();
    for (command, file) in &files {
        let section = section(&text, &format!("### `automdev {command}"));
        let (keys, spans) = (keys(file), spans(&section));
        assert!(keys.contains("schema"), "{file}: {keys:?}");
        for key in &keys {
            let is_told = spans
                .iter()
                .any(|span| span == key || span.starts_with(&format!("\"{key}\":")));
            assert!(is_told, "{command}: the key {key} is not told");
        }
        for row in rows(&section, "| key") {
            for key in spans_of(&row[0]) {
                assert!(keys.contains(&key), "{command}: there is no key {key}");
                told += 1;
            }
        }
    }
    assert!(told > 40, "only {told} rows");
    // Nothing else writes objects.
    let mut writers = Vec::new();
    collect(&here().join("src/cmd"), &mut writers);
    let unknown: Vec<&String> = writers
        .iter()
        .filter(|file| !files.values().any(|known| known == file))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

fn spans_of(cell: &str) -> Vec<String> {
    spans(cell).into_iter().collect()
}

/// The files below a folder that have objects to write.
fn collect(folder: &Path, found: &mut Vec<String>) {
    let paths: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    for path in paths {
        if path.is_dir() {
            collect(&path, found);
        } else if fs::read_to_string(&path)
            .expect("a source")
            .contains("Serialize)]")
        {
            found.push(path.strip_prefix(here()).expect("below").display().to_string());
        }
    }
}

#[test]
fn every_code_is_told() {
    let text = reference();
    let literals = literals::of_program();
    let told: BTreeSet<String> = rows(&section(&text, "## Codes of a refusal"), "| code ")
        .iter()
        .flat_map(|row| spans(&row[0]))
        .collect();
    let refusals: BTreeSet<String> = literals
        .iter()
        .filter(|literal| literal.place.starts_with("src/model/refusal.rs:") && literals::is_code(literal))
        .map(|literal| literal.text.clone())
        .collect();
    assert_eq!(told, refusals);

    // A finding's code, or that of a problem, stands in the section of a command that prints it.
    let of = |command: &str| spans(&section(&text, &format!("### `automdev {command} ")));
    let printed: BTreeSet<String> = ["check", "list", "pools", "reconcile"]
        .into_iter()
        .flat_map(of)
        .collect();
    let good = literals.iter().filter(|literal| {
        literal.place.starts_with("src/host/check")
            && literal.around.last().is_some_and(|by| by == "Finding::good")
            && !literal.text.contains([' ', '{'])
    });
    for literal in literals
        .iter()
        .filter(|literal| literals::is_code(literal))
        .chain(good)
    {
        let code = &literal.text;
        assert!(
            printed.contains(code) || told.contains(code),
            "{}: {code} is not told",
            literal.place
        );
    }
}

/// What may be the matter with another host.
#[test]
fn every_state_of_a_host_is_told() {
    let known = State::ALL.map(|state| state.as_str().to_owned()).to_vec();
    let told: Vec<String> = rows(&section(&reference(), "### `automdev plan "), "| state ")
        .iter()
        .flat_map(|row| spans(&row[0]))
        .collect();
    assert_eq!(told, known);
    let errors = fs::read_to_string(here().join("docs/errors.md")).expect("the index");
    let mentioned: BTreeSet<String> = rows(&section(&errors, "## Other hosts"), "| message | state ")
        .iter()
        .flat_map(|row| spans(&row[1]))
        .collect();
    let expected = known.into_iter().filter(|word| *word != State::Answered.as_str());
    assert_eq!(mentioned, expected.collect());
}

#[test]
fn the_settings_are_those_of_the_program() {
    let section = section(&reference(), "## Settings");
    let (_, rest) = section.split_once("```toml\n").expect("a block");
    let (block, _) = rest.split_once("```").expect("its end");
    assert_eq!(Settings::parse(block), Ok(Settings::default()));
    let (top, timeouts) = block.split_once("[timeouts]").expect("a table");
    for (part, table) in [(top, ""), (timeouts, "[timeouts]\n")] {
        let shown: BTreeSet<&str> = part
            .lines()
            .filter(|line| line.starts_with(char::is_alphabetic))
            .filter_map(|line| line.split(' ').next())
            .collect();
        let error = Settings::parse(&format!("{table}no_such_key = 1"))
            .expect_err("no key")
            .to_string();
        let (_, known) = error
            .split_once("there are ")
            .unwrap_or_else(|| panic!("{error}"));
        let known: BTreeSet<&str> = known.split(", ").filter(|key| *key != "timeouts").collect();
        assert_eq!(shown, known);
    }

    let ranges = rows(&section, "| time ");
    let mut seen = BTreeSet::new();
    for row in ranges {
        let number = |cell: &str| -> f64 {
            let digits = cell.split(':').next().unwrap_or_default();
            digits.parse().unwrap_or_else(|_| panic!("{cell} is no number"))
        };
        let (least, most) = (number(&row[1]), number(&row[2]));
        for key in spans(&row[0]) {
            let takes = |seconds: f64| Settings::parse(&format!("[timeouts]\n{key} = {seconds:?}")).is_ok();
            assert!(takes(least) && takes(most), "{key}");
            assert!(!takes(least - 0.001) && !takes(most + 1.0), "{key}");
            seen.insert(key);
        }
    }
    let all: BTreeSet<String> = timeouts
        .lines()
        .filter(|line| line.starts_with(char::is_alphabetic))
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .collect();
    assert_eq!(seen, all);
}

#[test]
fn the_statuses_are_those_of_the_program() {
    let text = reference();
    let told: Vec<String> = rows(&section(&text, "## Exit statuses"), "| status ")
        .iter()
        .map(|row| row[0].clone())
        .collect();
    let known =
        [Status::Done, Status::Failed, Status::Usage, Status::No].map(|status| status.code().to_string());
    assert_eq!(told, known);

    let told: Vec<String> = rows(&section(&text, "### `automdev run "), "| status ")
        .iter()
        .map(|row| row[0].clone())
        .collect();
    for (arguments, status) in [
        (&["--no-such-option"][..], 125),
        (&["--", "/etc/passwd"], 126),
        (&["--", "/no/such/program"], 127),
        (&["--", "/bin/sh", "-c", "exit 42"], 42),
    ] {
        let ended = Command::new(env!("CARGO_BIN_EXE_automdev"))
            .arg("run")
            .args(arguments)
            .output()
            .expect("the program starts");
        assert_eq!(ended.status.code(), Some(status), "{arguments:?}: {ended:?}");
        assert_eq!(told.contains(&status.to_string()), status != 42, "{status}");
    }
}

/// The files that it reads and writes for itself.
#[test]
fn every_file_is_told() {
    let files = section(&reference(), "## Files");
    let mut seen = 0;
    for literal in literals::of_program() {
        let text = &literal.text;
        let is_ours = [
            "/etc/automdev",
            "/etc/mdevctl.d",
            "/run/automdev",
            "/usr/lib/mdevctl",
        ]
        .iter()
        .any(|folder| text.starts_with(folder));
        if is_ours && !text.contains([' ', '{']) {
            let is_told = files.contains(text.as_str()) || reference().contains(&format!("`{text}"));
            assert!(is_told, "{}: {text} is not told", literal.place);
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen}");
}
