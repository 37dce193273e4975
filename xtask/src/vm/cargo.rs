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
}

/// Builds it; the names of what is returned are `automdev` and `vm`.
pub(crate) fn build(wanted: Wanted) -> Result<Vec<Carried>> {
    let mut command = Command::new(env!("CARGO"));
    match wanted {
        Wanted::Program => command.args(["build", "--bin", "automdev"]),
        Wanted::ProgramAndTests => {
            command.args(["test", "--no-run", "--test", "vm", "--features", "vm-tests"])
        }
    };
    let output = command
        .args([
            "--quiet",
            "--package",
            "automdev",
            "--message-format",
            "json-render-diagnostics",
        ])
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
    for name in ["automdev", "vm"] {
        let is_wanted = name == "automdev" || wanted == Wanted::ProgramAndTests;
        if is_wanted && !built.iter().any(|file| file.name == name) {
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
