//! The files that are installed, as they lie below a host's `/usr`: packages and archive all take them from here.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{VERSION, completions, links, manual, run};
use crate::vm::workspace;

/// Where systemd looks for units, and the endings of theirs.
const UNITS: &str = "lib/systemd/system";
const UNIT_ENDINGS: [&str; 2] = [".service", ".timer"];

/// Where the documents go.
pub(super) const DOCUMENTS: &str = "share/doc/automdev";

/// Folders of the source, and the endings of the files that are documents of them. All documents keep their places, so
/// that their links lead somewhere.
const FOLDERS: [(&str, &str); 5] = [
    ("docs", ".md"),
    ("samples/ansible", ".yml"),
    ("samples/ansible", ".j2"),
    ("samples/domains", ".xml"),
    ("samples/pools", ".toml"),
];

/// Documents of other folders.
const SINGLE: [&str; 4] = [
    "README.md",
    "SECURITY.md",
    "hooks/README.md",
    "samples/automdev.toml",
];

/// The sample hosts, on which the documents try things out.
pub(super) const HOSTS: &str = "samples/hosts";

/// Lays all of it into `tree`, which is not there yet.
pub(super) fn lay(tree: &Path, program: &Path, date: u64) -> Result<()> {
    copy(program, &tree.join("bin/automdev"), 0o755)?;
    for ending in UNIT_ENDINGS {
        copy_files(&workspace().join("hooks"), ending, &tree.join(UNITS))?;
    }
    lay_documents(&tree.join(DOCUMENTS))?;
    completions::write(&tree.join("share"), &mut manual::command())?;
    write_pages(&tree.join("share/man"), date)
}

/// Lays the documents, and what they show, into a folder.
pub(super) fn lay_documents(documents: &Path) -> Result<()> {
    for (folder, ending) in FOLDERS {
        copy_files(&workspace().join(folder), ending, &documents.join(folder))?;
    }
    for name in SINGLE {
        copy(&workspace().join(name), &documents.join(name), 0o644)?;
    }
    copy_folder(&workspace().join(HOSTS), &documents.join(HOSTS))?;
    let changelog = documents.join("changelog");
    copy(&workspace().join("CHANGELOG.md"), &changelog, 0o644)?;
    compress(&changelog)?;
    links::adapt(documents)
}

/// Copies those of a folder's files that have this ending.
fn copy_files(from: &Path, ending: &str, to: &Path) -> Result<()> {
    for path in files(from)? {
        let name = path.file_name().unwrap_or_default();
        if name.to_string_lossy().ends_with(ending) {
            copy(&path, &to.join(name), 0o644)?;
        }
    }
    Ok(())
}

/// Copies a folder's files, whose content is all that counts, and its links as they are.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (kind, path, to) = (entry.file_type()?, entry.path(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy_folder(&path, &to)?;
        } else if kind.is_symlink() {
            make_parents(&to)?;
            symlink(fs::read_link(&path)?, &to).with_context(|| format!("cannot make {}", to.display()))?;
        } else {
            copy(&path, &to, 0o644)?;
        }
    }
    Ok(())
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
