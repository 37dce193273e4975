//! Builds what goes into a host, linked statically: what is built on a newer Debian runs on an older one too.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::payload::Carried;
use super::place;

/// What to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The program `automdev` alone.
    Program,
    /// The program and its tests for a host, `vm`.
    ProgramAndTests,
    /// This very program, `xtask`: what it does in a host.
    Chores,
}

impl Wanted {
    /// Cargo's words for it, and the names of what comes of it.
    fn words(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Wanted::Program => (
                &["build", "--package", "automdev", "--bin", "automdev"],
                &["automdev"],
            ),
            Wanted::ProgramAndTests => (
                &[
                    "test",
                    "--no-run",
                    "--package",
                    "automdev",
                    "--test",
                    "vm",
                    "--features",
                    "vm-tests",
                ],
                &["automdev", "vm"],
            ),
            Wanted::Chores => (&["build", "--package", "xtask", "--bin", "xtask"], &["xtask"]),
        }
    }
}

/// Builds it; the names of what is returned are `automdev`, `vm` and `xtask`.
pub(crate) fn build(wanted: Wanted) -> Result<Vec<Carried>> {
    let mut command = Command::new(env!("CARGO"));
    let (words, names) = wanted.words();
    let output = command
        .args(words)
        .args(["--quiet", "--message-format", "json-render-diagnostics"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--target-dir"])
        .arg(place::workspace().join("target/static"))
        .current_dir(place::workspace())
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the program or its tests do not build");
    }
    let built = executables(&String::from_utf8(output.stdout)?);
    for name in names {
        if !built.iter().any(|file| file.name == *name) {
            bail!("cargo built no {name}");
        }
    }
    Ok(built)
}

/// The executables that cargo's messages name, one JSON object a line.
fn executables(messages: &str) -> Vec<Carried> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            let from = PathBuf::from(message["executable"].as_str()?);
            Some(Carried { name, from })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_told_from_other_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"anyhow"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"vm"},"executable":"/t/deps/vm-1"}
{"reason":"build-finished","success":true}
"#;
        let found = executables(messages);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].name.as_str(), found[0].from.as_path()),
            ("vm", "/t/deps/vm-1".as_ref())
        );
    }
}
