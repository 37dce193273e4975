//! The program as it is handed out: optimised, without symbols, and linked statically, so that one build runs on every
//! release of every distribution.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::{order, run};
use crate::vm::workspace;

/// The C library that is linked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Libc {
    /// Smaller than glibc's, and made to be linked statically.
    Musl,
    /// Where Rust's library for musl cannot be had, as with a distribution's own Rust.
    Glibc,
}

impl Libc {
    /// The first of these that can be had here.
    pub(crate) fn best() -> Result<Self> {
        if ensure_musl()? {
            return Ok(Self::Musl);
        }
        eprintln!(
            "automdev: no Rust for musl here (rustup target add {}); with glibc the program is larger",
            Self::Musl.target()
        );
        Ok(Self::Glibc)
    }

    /// Its name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Musl => "musl",
            Self::Glibc => "glibc",
        }
    }

    /// The most bytes that the program may have with it.
    pub(super) const fn largest(self) -> u64 {
        match self {
            Self::Musl => LARGEST,
            Self::Glibc => LARGEST + LARGEST_OF_GLIBC,
        }
    }

    pub(super) fn flags(self) -> Result<Vec<OsString>> {
        Ok(match self {
            Self::Musl => {
                let mut script = OsString::from("-Clink-arg=");
                script.push(order::script()?);
                vec![
                    // Where it stands is known beforehand: at each start its tables would have to be written anew, a fifth of
                    // what it costs to be started. Its stack and its memory stand elsewhere each time.
                    "-Crelocation-model=static".into(),
                    "-Clink-arg=-T".into(),
                    script,
                ]
            }
            Self::Glibc => vec!["-Ctarget-feature=+crt-static".into()],
        })
    }

    const fn target(self) -> &'static str {
        match self {
            Self::Musl => "x86_64-unknown-linux-musl",
            Self::Glibc => "x86_64-unknown-linux-gnu",
        }
    }
}

/// The most bytes that the program may have.
pub(crate) const LARGEST: u64 = 3 << 20;

/// What glibc adds at most.
const LARGEST_OF_GLIBC: u64 = 1 << 20;

/// The program.
pub(super) struct Program {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What is linked in.
    pub(super) libc: Libc,
}

/// Builds it.
pub(super) fn build(libc: Libc) -> Result<Program> {
    let folder = cargo_as_handed_out(libc, &["--bin", "automdev"])?;
    let path = folder.join("automdev");
    Ok(Program { path, libc })
}

/// Builds an example of the package's in the same way: the same program over a kernel that reacts in a folder, say.
pub(super) fn build_example(libc: Libc, name: &str) -> Result<PathBuf> {
    let folder = cargo_as_handed_out(libc, &["--example", name])?;
    Ok(folder.join("examples").join(name))
}

/// Builds something as it is handed out; returns the folder that it is in.
fn cargo_as_handed_out(libc: Libc, wanted: &[&str]) -> Result<PathBuf> {
    cargo(libc, &workspace().join("target"), &libc.flags()?, wanted)
}

/// Builds something below `into`; returns the folder that it is in.
pub(super) fn cargo(libc: Libc, into: &Path, flags: &[OsString], wanted: &[&str]) -> Result<PathBuf> {
    let target = libc.target();
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target", target])
        .args(["--package", "automdev", "--target-dir"])
        .arg(into)
        .args(wanted)
        .current_dir(workspace())
        // Whatever this machine's user likes, it is one program that is handed out.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join(OsStr::new("\x1f")))
        .stdin(Stdio::null())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the program does not build");
    }
    Ok(into.join(target).join("release"))
}

/// Sees to it that Rust's own library for musl is there; says whether it is.
fn ensure_musl() -> Result<bool> {
    let mut ask = Command::new("rustc");
    let libraries = run(ask.args(["--print", "target-libdir", "--target", Libc::Musl.target()]))?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(true);
    }
    let added = Command::new("rustup")
        .args(["--quiet", "target", "add", Libc::Musl.target()])
        .status();
    Ok(added.is_ok_and(|status| status.success()))
}
