//! What the documents show is what is printed: every command over the samples, in README.md and docs, with its
//! output.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mod errors;
mod literals;
mod reference;

/// Commands that anybody can try as they stand.
const TRIED: [&str; 2] = ["automdev --root samples/", "automdev rewrite samples/"];

/// A command in a document, and what stands below it.
#[derive(Debug)]
struct Example {
    place: String,
    command: String,
    output: String,
}

fn documents() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(here.join("docs")).expect("the documents").flatten();
    let mut documents: Vec<PathBuf> = docs
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    documents.sort();
    documents.insert(0, here.join("README.md"));
    documents
}

/// The examples of a document: lines that start with `$ ` in a fenced or indented block, and those up to the next
/// one or to the block's end.
fn examples(document: &Path) -> Vec<Example> {
    let text = fs::read_to_string(document).expect("a document");
    let name = document.file_name().expect("a name").to_string_lossy();
    let mut examples: Vec<Example> = Vec::new();
    let mut fence = None;
    let mut is_open = false;
    for (number, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        if bare.starts_with("```") {
            let indent = line.len() - bare.len();
            fence = if fence.is_some() { None } else { Some(indent) };
            is_open = false;
            continue;
        }
        let inside = match fence {
            Some(indent) => line.get(indent..).unwrap_or_default(),
            None if line.starts_with("    ") => &line[4..],
            None => {
                is_open = false;
                continue;
            }
        };
        if let Some(command) = inside.strip_prefix("$ ") {
            examples.push(Example {
                place: format!("{name}:{}", number + 1),
                command: command.to_owned(),
                output: String::new(),
            });
            is_open = true;
        } else if let (true, Some(example)) = (is_open, examples.last_mut()) {
            example.output.push_str(inside);
            example.output.push('\n');
        }
    }
    examples.retain(|example| TRIED.iter().any(|start| example.command.starts_with(start)));
    examples
}

/// What a command prints, errors after the rest.
fn run(command: &str) -> String {
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("automdev"));
    let output = Command::new(env!("CARGO_BIN_EXE_automdev"))
        .args(words)
        .env("LC_ALL", "C.UTF-8")
        .env("TERM", "xterm")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    text(output.stdout) + &text(output.stderr)
}

#[test]
fn every_example_prints_what_is_shown() {
    let examples: Vec<Example> = documents()
        .iter()
        .flat_map(|document| examples(document))
        .collect();
    for Example {
        place,
        command,
        output,
    } in &examples
    {
        // Examples of one block have an empty line between them.
        assert_eq!(run(command).trim_end(), output.trim_end(), "{place}: {command}");
    }
    for start in [
        "automdev --root samples/hosts/gvtg plan ",
        "automdev --root samples/hosts/mtty plan ",
        "automdev --root samples/hosts/nvidia plan ",
        "automdev --root samples/hosts/s390 plan ",
        "automdev --root samples/hosts/s390 check",
        "automdev rewrite samples/",
        "automdev --root samples/hosts/nvidia pools",
    ] {
        let is_there = examples.iter().any(|example| example.command.starts_with(start));
        assert!(is_there, "no document shows {start}");
    }
    println!("{} examples", examples.len());
}

/// Each host has domains that fit and domains that do not.
#[test]
fn every_sample_host_takes_one_domain_and_refuses_another() {
    for (host, fits, refused) in [
        ("gvtg", "gvtg", "gvtg-refused"),
        ("mtty", "mtty", "mtty-refused"),
        ("nvidia", "nvidia", "nvidia-refused"),
        ("s390", "s390x", "s390x-refused"),
    ] {
        for (domain, status) in [(fits, 0), (refused, 3)] {
            let ended = Command::new(env!("CARGO_BIN_EXE_automdev"))
                .args(["--root", &format!("samples/hosts/{host}"), "plan"])
                .arg(format!("samples/domains/{domain}.xml"))
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .output()
                .expect("the program starts");
            assert_eq!(ended.status.code(), Some(status), "{host} {domain}: {ended:?}");
        }
    }
}

/// The sample pools are pools, and the one with every key is what the README shows.
#[test]
fn every_sample_pool_is_good() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in fs::read_dir(here.join("samples/pools")).expect("the samples") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a sample");
        let name = path.file_stem().expect("a name").to_string_lossy();
        let name = name.parse().expect("a pool's name");
        automdev::model::pool::Pool::parse(name, &text)
            .unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        count += 1;
    }
    assert!(count >= 3, "{count} samples");
    let readme = fs::read_to_string(here.join("README.md")).expect("a document");
    let sample = fs::read_to_string(here.join("samples/pools/vgpu-4g.toml")).expect("a sample");
    let (_, keys) = sample.split_once("\n\n").expect("a comment, then the keys");
    assert!(
        readme.contains(keys),
        "the README shows another file than samples/pools/vgpu-4g.toml"
    );
}
