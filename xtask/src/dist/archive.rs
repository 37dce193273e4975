//! The archive for everybody else, with a script that installs what is in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{VERSION, folder, run, tree};
use crate::vm::workspace;

/// Makes the archive, the same bytes of the same files.
pub(super) fn make(files: &Path, date: u64) -> Result<PathBuf> {
    let inside = inside();
    let root = super::anew(&folder().join("archive"))?.join(&inside);
    tree::copy_all(files, &root.join("usr"))?;
    for (name, mode) in [
        ("packaging/install.sh", 0o755),
        ("LICENSE-APACHE", 0o644),
        ("LICENSE-MIT", 0o644),
    ] {
        let from = workspace().join(name);
        tree::copy(&from, &root.join(from.file_name().unwrap_or_default()), mode)?;
    }
    let archive = folder().join(format!("{inside}-x86_64-linux.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .arg(format!("--mtime=@{date}"))
        .args(["--use-compress-program", "gzip -9 --no-name"])
        .arg("--create")
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .args([&folder().join("archive"), Path::new(&inside)]);
    run(&mut tar)?;
    Ok(archive)
}

/// The folder in it.
pub(super) fn inside() -> String {
    format!("automdev-{VERSION}")
}
