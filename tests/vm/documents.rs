//! What the documents show with a root's prompt is run as it stands, on a host that has the program and nothing else of
//! automdev's, and prints what is shown.

use std::fs::{self, File};
use std::process::Command;

use crate::support::{Host, virsh};

#[path = "../documents/blocks.rs"]
mod blocks;

/// Runs a command line as root would in a folder of their own; what it prints on either output.
fn run(line: &str) -> String {
    // Not through a pipe: what it leaves in the background may hold it open.
    let path = "/tmp/printed";
    let output = File::create(path).expect("a file");
    let status = Command::new("sh")
        .args(["-c", line])
        .current_dir("/tmp/tried")
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/root")
        .stdin(File::open("/dev/null").expect("nothing"))
        .stdout(output.try_clone().expect("a copy"))
        .stderr(output)
        .status()
        .expect("a shell");
    let text = fs::read_to_string(path).expect("UTF-8");
    println!("# {line}\n{text}({status})");
    text
}

/// Runs all of a document, and then says what was not as it is shown.
fn try_out(document: &str, text: &str) {
    let host = Host::without_hook();
    // It has run for a while: one that is just starting does not look for hooks when it is told to.
    virsh(&["list", "--all"]);
    drop(fs::remove_dir_all("/tmp/tried"));
    fs::create_dir("/tmp/tried").expect("a folder");
    let examples: Vec<blocks::Example> = blocks::blocks(text)
        .iter()
        .filter(|block| block.mark.is_none() && block.language == "console")
        .flat_map(blocks::Block::examples)
        .filter(|example| example.prompt == '#')
        .collect();
    assert!(!examples.is_empty(), "{document} shows nothing");
    let mut wrong = Vec::new();
    for example in examples {
        let printed = run(&example.command);
        if !example.prints(&printed) {
            let (line, command, output) = (example.line, example.command, example.output);
            wrong.push(format!(
                "{document}:{line}: # {command}\nshown:\n{output}\nprinted:\n{printed}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    host.assert_clean();
}

#[test]
fn the_readme() {
    try_out("README.md", include_str!("../../README.md"));
}

#[test]
fn the_tutorial() {
    try_out("docs/tutorial.md", include_str!("../../docs/tutorial.md"));
}

#[test]
fn the_answers_to_how_do_i() {
    try_out("docs/how-to.md", include_str!("../../docs/how-to.md"));
}
