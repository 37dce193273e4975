//! What `docs/reliability.md` names is there: each test, each module, each fuzz target. And how much it names.

use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../docs/reliability.md");

/// The rows of the tables below a heading, by their cells.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let section = PAGE.split("\n## ").find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("there is no {heading}"));
    let rows = section.lines().filter(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        // What stands above a table's rows.
        .skip(2)
        .collect()
}

/// What stands between backticks.
fn names(cell: &'static str) -> impl Iterator<Item = &'static str> {
    cell.split('`').skip(1).step_by(2)
}

/// The files that may be a module's.
fn files_of(module: &str) -> Vec<PathBuf> {
    let path = module.replace("::", "/");
    let folders = ["tests/scenario", "tests/vm", "tests", "src"];
    let files =
        folders.map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{folder}/{path}.rs")));
    files.into_iter().filter(|file| file.is_file()).collect()
}

/// Whether there is such a module, test, fuzz target or file.
fn is_there(name: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !files_of(name).is_empty() || root.join(name).exists() {
        return true;
    }
    if root.join(format!("fuzz/fuzz_targets/{name}.rs")).is_file() {
        return true;
    }
    let Some((module, test)) = name.rsplit_once("::") else {
        return false;
    };
    files_of(module).iter().any(|file| {
        let source = fs::read_to_string(file).expect("a file");
        source.contains(&format!("#[test]\nfn {test}("))
    })
}

#[test]
fn what_holds_a_promise_is_there() {
    let (promises, attacks) = (rows("The promises"), rows("Attacks"));
    for row in promises.iter().chain(&attacks) {
        let last = row.last().expect("a cell");
        assert!(last.contains('`'), "nothing holds this: {row:?}");
        for name in names(last) {
            assert!(is_there(name), "there is no {name}, which is to hold {row:?}");
        }
    }
    println!(
        "{} promises and {} attacks, each with its tests",
        promises.len(),
        attacks.len()
    );
    assert!(promises.len() > 5 && attacks.len() > 15);
}

#[test]
fn what_the_page_names_besides_is_there() {
    for name in names(PAGE).filter(|name| name.contains("::") && !name.contains(' ')) {
        assert!(is_there(name), "there is no {name}");
    }
}
