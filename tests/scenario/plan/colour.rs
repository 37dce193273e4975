//! Colours: on a terminal, and nowhere else.

use super::*;

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use nix::pty::openpty;

/// What a terminal gets, its line ends made those of a file.
fn on_a_terminal(host: &Host, environment: &[(&str, &str)]) -> String {
    host.file("vm1.xml", &vm().with(A).with(C).unmarked(B).xml());
    let pty = openpty(None, None).expect("a terminal");
    let mut command = command(host);
    command
        .arg("vm1.xml")
        .env_clear()
        .env("TERM", "xterm")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(pty.slave)
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("the program starts");
    // The command holds a copy of the terminal's other end.
    drop(command);
    let mut text = Vec::new();
    // Once nobody has the other end open, a read fails.
    drop(File::from(pty.master).read_to_end(&mut text));
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
    String::from_utf8(text).expect("UTF-8").replace("\r\n", "\n")
}

fn plain(host: &Host) -> String {
    let asked = ask(host, &["vm1.xml"], "");
    assert!(!asked.stdout.contains('\u{1b}'), "{asked:?}");
    asked.stdout
}

#[test]
fn a_terminal_gets_them_and_nothing_else_differs() {
    let host = defined();
    let coloured = on_a_terminal(&host, &[]);
    for text in [
        "vm1.xml: \u{1b}[1mvm1\u{1b}[0m \u{1b}[1m\u{1b}[31mwould not start\u{1b}[0m\n",
        "\n  \u{1b}[32mcreate\u{1b}[0m  ",
        "\n  \u{1b}[1m\u{1b}[31mrefuse\u{1b}[0m  ",
        "\n  \u{1b}[36mskip  \u{1b}[0m  ",
    ] {
        assert!(coloured.contains(text), "{text:?} is not in {coloured:?}");
    }
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain(&host));
}

#[test]
fn who_wants_none_gets_none() {
    let host = defined();
    for environment in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        assert_eq!(
            on_a_terminal(&host, &[environment]),
            plain(&host),
            "{environment:?}"
        );
    }
}
