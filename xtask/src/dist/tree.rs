//! The files that are installed, as they lie below a host's `/usr`: packages and archive all take them from here.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{VERSION, manual, run};
use crate::vm::workspace;

/// Folders of the source, the endings of the files that are installed of them, and where those go.
const FOLDERS: [(&str, &str, &str); 5] = [
    ("hooks", ".service", "lib/systemd/system"),
    ("hooks", ".timer", "lib/systemd/system"),
    ("docs", ".md", "share/doc/automdev/docs"),
    ("samples/domains", ".xml", "share/doc/automdev/samples/domains"),
    ("samples/pools", ".toml", "share/doc/automdev/samples/pools"),
];

/// The documents, in the places that they have in the source, so that their links lead somewhere.
const DOCUMENTS: [&str; 3] = ["README.md", "hooks/README.md", "samples/automdev.toml"];

/// Lays all of it into `tree`, which is not there yet.
pub(super) fn lay(tree: &Path, program: &Path, date: u64) -> Result<()> {
    copy(program, &tree.join("bin/automdev"), 0o755)?;
    for (from, ending, to) in FOLDERS {
        for path in files(&workspace().join(from))? {
            let name = path.file_name().unwrap_or_default();
            if name.to_string_lossy().ends_with(ending) {
                copy(&path, &tree.join(to).join(name), 0o644)?;
            }
        }
    }
    let documents = tree.join("share/doc/automdev");
    for name in DOCUMENTS {
        copy(&workspace().join(name), &documents.join(name), 0o644)?;
    }
    copy(
        &workspace().join("CHANGELOG.md"),
        &documents.join("changelog"),
        0o644,
    )?;
    compress(&documents.join("changelog"))?;
    manual::write_completions(&tree.join("share"))?;
    write_pages(&tree.join("share/man"), date)
}

/// The manual's pages, compressed as they are installed.
fn write_pages(to: &Path, date: u64) -> Result<()> {
    let mut command = Command::new("date");
    let day = run(command.args(["--utc", "+%F", "-d"]).arg(format!("@{date}")))?;
    for (name, text) in manual::pages()? {
        let (_, section) = name.rsplit_once('.').context("a section")?;
        let path = to.join(format!("man{section}")).join(&name);
        let text = text.replace("@VERSION@", VERSION).replace("@DATE@", day.trim());
        write(&path, &text, 0o644)?;
        compress(&path)?;
    }
    Ok(())
}

/// The file gets `.gz`; the same bytes always become the same.
pub(super) fn compress(file: &Path) -> Result<()> {
    run(Command::new("gzip").args(["-9", "--no-name"]).arg(file)).map(drop)
}

/// The files of a folder, by their names.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}

/// Copies a file, whose mode is what it is to be, and not what a checkout made of it.
pub(super) fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    make_parents(to)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    fs::set_permissions(to, Permissions::from_mode(mode))?;
    Ok(())
}

/// Copies a folder with all that is in it; modes stay.
pub(super) fn copy_all(from: &Path, to: &Path) -> Result<()> {
    make_parents(to)?;
    run(Command::new("cp").arg("--archive").args([from, to])).map(drop)
}

/// Writes a file.
pub(super) fn write(to: &Path, text: &str, mode: u32) -> Result<()> {
    make_parents(to)?;
    fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))?;
    fs::set_permissions(to, Permissions::from_mode(mode))?;
    Ok(())
}

/// Makes the folders above a file, which everybody may read whatever this process's umask is.
fn make_parents(file: &Path) -> Result<()> {
    let folder = file.parent().context("a folder")?;
    if folder.is_dir() {
        return Ok(());
    }
    make_parents(folder)?;
    fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    Ok(())
}
