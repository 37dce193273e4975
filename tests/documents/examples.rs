//! What the documents show is what is printed.
//!
//! A block of commands is a `console`. What stands behind `$` in it is run here, in the checkout; what stands behind `#` is run
//! by root on real hosts (`tests/vm/documents.rs`). A block that neither can run says so in a comment above it, which no
//! reader sees: `<!-- needs hardware -->`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::blocks::{self, Block};

/// Why a block is not run, or that another test runs it: `<!-- run by FILE -->`.
const REASONS: [&str; 5] = [
    "needs hardware",
    "needs several hosts",
    "needs the network",
    "needs a guest that runs a system",
    "needs a terminal",
];

/// Words that begin a command. A block with such a line shows commands, whatever it calls itself.
const COMMANDS: [&str; 33] = [
    "$",
    "#",
    "apt",
    "apt-get",
    "automdev",
    "cargo",
    "cat",
    "chzdev",
    "curl",
    "dnf",
    "echo",
    "git",
    "install",
    "journalctl",
    "kill",
    "ln",
    "make",
    "mdevctl",
    "mkdir",
    "modprobe",
    "mv",
    "rm",
    "rpm",
    "sed",
    "setsebool",
    "sh",
    "ssh",
    "sudo",
    "systemctl",
    "tar",
    "virsh",
    "virt-install",
    "yum",
];

/// What these blocks have is no command, however it begins: options of one, XML, TOML, drawings.
const DATA: [&str; 4] = ["text", "toml", "xml", "json"];

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md and all of docs, by name.
pub(crate) fn documents() -> Vec<(String, String)> {
    let docs = fs::read_dir(here().join("docs"))
        .expect("the documents")
        .flatten();
    let mut documents: Vec<PathBuf> = docs
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    documents.sort();
    documents.insert(0, here().join("README.md"));
    let named = documents.into_iter().map(|path| {
        let name = path
            .strip_prefix(here())
            .expect("it is below")
            .display()
            .to_string();
        (name, fs::read_to_string(&path).expect("a document"))
    });
    named.collect()
}

/// Whether something in it is typed.
fn has_commands(block: &Block) -> bool {
    let first = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
    block.language == "console"
        || (!DATA.contains(&block.language.as_str())
            && block
                .lines
                .iter()
                .any(|line| COMMANDS.contains(&first(line).as_str())))
}

/// A developer's chores: `cargo …` and what is explained behind `#`.
fn is_chores(block: &Block) -> bool {
    let mut lines = block.lines.iter().filter(|line| !line.is_empty());
    block.language != "console" && lines.all(|line| line.starts_with("cargo "))
}

/// What a command prints, errors after the rest.
fn run(command: &str) -> String {
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("automdev"), "{command}");
    assert!(
        !command.contains(['|', '>', '\'', '"']),
        "no shell reads this here: {command}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_automdev"))
        .args(words)
        .env("LC_ALL", "C.UTF-8")
        .env("TERM", "xterm")
        .current_dir(here())
        .output()
        .expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    text(output.stdout) + &text(output.stderr)
}

#[test]
fn every_block_of_commands_is_run_or_says_why_not() {
    for (name, text) in documents() {
        for block in blocks::blocks(&text).iter().filter(|block| has_commands(block)) {
            let place = format!("{name}:{}", block.line);
            match &block.mark {
                Some(mark) => {
                    let is_run = mark
                        .strip_prefix("run by ")
                        .is_some_and(|file| here().join(file).is_file());
                    assert!(
                        is_run || REASONS.contains(&mark.as_str()),
                        "{place}: <!-- {mark} -->"
                    );
                }
                None if is_chores(block) => {}
                None => {
                    assert_eq!(
                        block.language, "console",
                        "{place}: nobody runs this, and it does not say why"
                    );
                    let examples = block.examples();
                    let shown: usize = examples
                        .iter()
                        .map(|example| example.command.lines().count() + example.output.lines().count())
                        .sum();
                    assert_eq!(
                        shown,
                        block.lines.len(),
                        "{place}: something stands before the first command"
                    );
                }
            }
        }
    }
}

#[test]
fn every_example_prints_what_is_shown() {
    let mut run_here = BTreeSet::new();
    let mut wrong = Vec::new();
    for (name, text) in documents() {
        for block in blocks::blocks(&text).iter().filter(|block| block.mark.is_none()) {
            for example in block
                .examples()
                .into_iter()
                .filter(|example| example.prompt == '$')
            {
                let printed = run(&example.command);
                if !example.prints(&printed) {
                    let (line, command, output) = (example.line, &example.command, &example.output);
                    wrong.push(format!(
                        "{name}:{line}: $ {command}\nshown:\n{output}\nprinted:\n{printed}"
                    ));
                }
                run_here.insert(example.command);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for start in [
        "automdev --root samples/hosts/gvtg plan ",
        "automdev --root samples/hosts/mtty plan ",
        "automdev --root samples/hosts/nvidia plan ",
        "automdev --root samples/hosts/s390 plan ",
        "automdev --root samples/hosts/s390 check",
        "automdev rewrite samples/",
        "automdev --root samples/hosts/nvidia pools",
    ] {
        let is_there = run_here.iter().any(|command| command.starts_with(start));
        assert!(is_there, "no document shows {start}");
    }
    println!("{} examples", run_here.len());
}

/// What root types is run on real hosts: each document that shows such is one of that test's.
#[test]
fn what_root_types_is_tried_on_real_hosts() {
    let test = fs::read_to_string(here().join("tests/vm/documents.rs")).expect("the test");
    for (name, text) in documents() {
        let blocks = blocks::blocks(&text);
        let mut examples = blocks
            .iter()
            .filter(|block| block.mark.is_none() && block.language == "console")
            .flat_map(Block::examples);
        let is_shown = examples.any(|example| example.prompt == '#');
        let is_tried = test.contains(&format!("include_str!(\"../../{name}\")"));
        assert_eq!(is_shown, is_tried, "{name}");
    }
}

/// The heading's anchor, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|character| character.is_alphanumeric() || " -_".contains(*character));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

/// The places that the links of a text lead to.
fn links(text: &str) -> Vec<&str> {
    let ends = text.split("](").skip(1);
    ends.filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut others = documents();
    for name in ["CONTRIBUTING.md", "hooks/README.md", "SECURITY.md"] {
        let text = fs::read_to_string(here().join(name)).expect("a document");
        others.push((name.to_owned(), text));
    }
    for (name, text) in &others {
        for link in links(text).into_iter().filter(|link| !link.contains("://")) {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let folder = Path::new(name).parent().expect("it has one");
            let path = if file.is_empty() {
                here().join(name)
            } else {
                here().join(folder).join(file)
            };
            assert!(path.exists(), "{name}: {link} leads nowhere");
            if !fragment.is_empty() {
                let text = fs::read_to_string(&path).expect("a document");
                let headings = text.lines().filter(|line| line.starts_with('#'));
                let mut anchors = headings.map(|line| anchor(line.trim_start_matches('#')));
                assert!(
                    anchors.any(|anchor| anchor == fragment),
                    "{name}: {link} is no heading"
                );
            }
        }
    }
}
