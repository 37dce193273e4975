//! The second disk: what a run needs inside, seen there below `/automdev`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::tools;

/// Room on the disk beside the files themselves, in bytes.
const SPARE: u64 = 8 << 20;

/// A file for the inside.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    /// Its name below `/automdev`.
    pub(crate) name: String,
    /// The file, or folder, outside.
    pub(crate) from: PathBuf,
}

/// Makes the disk in the folder `work`: the files, and, as `/automdev/command`, what is to be run.
pub(crate) fn make(work: &Path, carried: &[Carried], command: &[String]) -> Result<PathBuf> {
    let folder = work.join("payload");
    fs::create_dir(&folder)?;
    for file in carried {
        copy(&file.from, &folder.join(&file.name))
            .with_context(|| format!("cannot carry {} into the host", file.from.display()))?;
    }
    fs::write(folder.join("command"), format!("exec {}\n", quoted(command)))?;
    let disk = work.join("payload.ext4");
    let output = tools::command("mke2fs")
        .args([
            "-q",
            "-t",
            "ext4",
            "-O",
            "^has_journal",
            "-m",
            "0",
            "-E",
            "root_owner=0:0",
            "-d",
        ])
        .args([&folder, &disk])
        .arg(format!("{}k", (size(&folder)? * 11 / 10 + SPARE) / 1024))
        .output()
        .context("cannot run mke2fs")?;
    if !output.status.success() {
        bail!(
            "cannot make the disk: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(disk)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else {
        fs::copy(from, to)?;
    }
    Ok(())
}

fn size(path: &Path) -> Result<u64> {
    let found = fs::metadata(path)?;
    if !found.is_dir() {
        return Ok(found.len());
    }
    fs::read_dir(path)?.try_fold(4096, |sum, entry| Ok(sum + size(&entry?.path())?))
}

/// The words of a command as the shell reads them.
fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|word| format!("'{}'", word.replace('\'', r"'\''")))
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        let words = ["echo", "it's $HOME", ""].map(str::to_owned);
        assert_eq!(quoted(&words), r"'echo' 'it'\''s $HOME' ''");
    }
}
