//! What fuzzing has found worth keeping, tried again in each run: the files of `fuzz/corpus`, by the same functions that
//! the fuzz targets call.

mod definition;
mod domain;
mod far;
mod ledger;
mod nodedev;
mod pool;
mod qemu_argv;
mod rewrite;
mod settings;
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

type Check = fn(&[u8]);

const TARGETS: [(&str, Check); 10] = [
    ("definition", definition::check),
    ("domain", domain::check),
    ("far", far::check),
    ("ledger", ledger::check),
    ("nodedev", nodedev::check),
    ("pool", pool::check),
    ("qemu_argv", qemu_argv::check),
    ("rewrite", rewrite::check),
    ("settings", settings::check),
    ("words", words::check),
];

/// The names of what is in a folder of the project.
fn names(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect()
}

/// Of each target the corpus has as much as makes a difference to its code: hundreds of files.
#[test]
fn what_was_found_once_holds() {
    for (target, check) in TARGETS {
        let folder = format!("fuzz/corpus/{target}");
        let files = names(&folder);
        assert!(files.len() > 50, "{folder} has {} files", files.len());
        for file in &files {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder).join(file);
            let bytes = fs::read(&path).expect("a file");
            let holds = std::panic::catch_unwind(|| check(&bytes)).is_ok();
            assert!(holds, "{folder}/{file} does not hold: {}", bytes.escape_ascii());
        }
        println!("{target}: {} files of its corpus", files.len());
    }
}

/// No target is left out, and no folder is of none.
#[test]
fn each_target_has_its_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(target, _)| (*target).to_owned()).collect();
    assert_eq!(names("fuzz/corpus"), targets);
    let files: BTreeSet<String> = targets.iter().map(|target| format!("{target}.rs")).collect();
    assert_eq!(names("fuzz/fuzz_targets"), files);
}
