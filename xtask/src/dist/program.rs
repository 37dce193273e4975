//! The program as it is handed out: optimised, without symbols, and linked statically, so that one build runs on every
//! release of every distribution.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::run;
use crate::vm::workspace;

/// For what it is built. musl's library is smaller than glibc's, and made to be linked statically.
const MUSL: &str = "x86_64-unknown-linux-musl";

/// For what it is built where Rust's library for musl cannot be had, as with a distribution's own Rust.
const GLIBC: &str = "x86_64-unknown-linux-gnu";

/// The most bytes that the program may have.
const LARGEST: u64 = 3 << 20;

/// What glibc adds at most.
const LARGEST_OF_GLIBC: u64 = 1 << 20;

/// The program.
pub(super) struct Program {
    /// Where it is.
    pub(super) path: PathBuf,
    /// The most bytes that it may have.
    pub(super) largest: u64,
}

/// Builds it.
pub(super) fn build() -> Result<Program> {
    let (target, flags, largest) = if ensure_musl()? {
        (MUSL, "", LARGEST)
    } else {
        eprintln!(
            "automdev: no Rust for musl here (rustup target add {MUSL}); with glibc the program is larger"
        );
        (GLIBC, "-C target-feature=+crt-static", LARGEST + LARGEST_OF_GLIBC)
    };
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target", target])
        .args(["--package", "automdev", "--bin", "automdev", "--target-dir"])
        .arg(workspace().join("target"))
        .current_dir(workspace())
        // Whatever this machine's user likes, it is one program that is handed out.
        .env("RUSTFLAGS", flags)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the program does not build");
    }
    let path = workspace().join("target").join(target).join("release/automdev");
    Ok(Program { path, largest })
}

/// Sees to it that Rust's own library for musl is there; says whether it is.
fn ensure_musl() -> Result<bool> {
    let mut ask = Command::new("rustc");
    let libraries = run(ask.args(["--print", "target-libdir", "--target", MUSL]))?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(true);
    }
    let added = Command::new("rustup")
        .args(["--quiet", "target", "add", MUSL])
        .status();
    Ok(added.is_ok_and(|status| status.success()))
}
