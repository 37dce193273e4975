//! How the program is asked for a plan.

use std::process::Command;

use serde_json::Value;

use crate::hook::domain::Domain;
use crate::hook::host::{Host, spawn};

/// What it answered.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) status: Option<i32>,
}

impl Asked {
    /// Fails the test unless it answered exactly so.
    #[track_caller]
    pub(crate) fn answered(&self, status: i32, stdout: &str, stderr: &str) {
        assert_eq!(self.stderr, stderr, "standard error; {self:?}");
        assert_eq!(self.stdout, stdout, "standard output");
        assert_eq!(self.status, Some(status), "exit status");
    }
}

/// `automdev --root ROOT plan`, in the root; the real program: nothing that is faked is needed for reading.
pub(crate) fn command(host: &Host) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_automdev"));
    command.arg("--root").arg(host.path()).arg("plan");
    command.current_dir(host.path());
    command
}

/// Plans; fails the test if anything of the host changed.
#[track_caller]
pub(crate) fn ask(host: &Host, arguments: &[&str], input: &str) -> Asked {
    let before = host.snapshot();
    let asked = answer(command(host).args(arguments), input);
    before.assert_unchanged(&host.snapshot());
    asked
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn answer(command: &mut Command, input: &str) -> Asked {
    let output = spawn(command, input.as_bytes())
        .wait_with_output()
        .expect("a child can be waited for");
    let text = |bytes| String::from_utf8(bytes).expect("what is printed is UTF-8");
    Asked {
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        status: output.status.code(),
    }
}

/// The one object that is printed for a domain, and the exit status that fits to it.
#[track_caller]
pub(crate) fn ask_json(host: &Host, domain: &Domain) -> Value {
    let asked = ask(host, &["--format", "json", "-"], &domain.xml());
    assert_eq!(asked.stderr, "");
    assert_eq!(asked.stdout.matches('\n').count(), 1, "{asked:?}");
    let value: Value = serde_json::from_str(&asked.stdout).expect("JSON");
    let status = if value["startable"] == "no" { 3 } else { 0 };
    assert_eq!(asked.status, Some(status), "{value}");
    value
}

/// Fails the test unless the domain is refused: for each device its code and the reason, or `create`, `adopt`,
/// `skip` and what it is.
#[track_caller]
pub(crate) fn refused(host: &Host, domain: &Domain, devices: &[(&str, &str)]) {
    let value = ask_json(host, domain);
    assert_eq!(value["startable"], "no", "{value}");
    let found: Vec<(String, String)> = value["devices"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|device| {
            let text = |key: &str| device[key].as_str().unwrap_or("-").to_owned();
            if device["action"] == "refuse" {
                (text("code"), text("reason"))
            } else {
                (text("action"), format!("{} on {}", text("type"), text("parent")))
            }
        })
        .collect();
    let devices: Vec<_> = devices
        .iter()
        .map(|(code, reason)| ((*code).to_owned(), (*reason).to_owned()))
        .collect();
    assert_eq!(found, devices);
    // The text says the same, broken into lines.
    let text = ask(host, &[], &domain.xml());
    assert_eq!(text.status, Some(3));
    let words = text.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for (code, reason) in devices {
        let wanted = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&wanted), "{code}: {}", text.stdout);
    }
}
