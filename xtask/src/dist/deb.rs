//! The Debian package, by dpkg's own tool.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{VERSION, folder, read, run, tree};
use crate::vm::workspace;

/// The package's revision, which is handed out.
pub(super) const REVISION: &str = "1";

/// A later one, for the tests.
pub(super) const LATER: &str = "2";

/// The scripts that dpkg calls.
pub(super) const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Makes the package of that revision.
pub(super) fn make(files: &Path, revision: &str, date: u64) -> Result<PathBuf> {
    let root = super::anew(&folder().join("debian"))?;
    tree::copy_all(files, &root.join("usr"))?;
    let share = root.join("usr/share");
    let zsh = share.join("zsh");
    // Debian's zsh leaves the other folder to the administrator.
    fs::rename(zsh.join("site-functions"), zsh.join("vendor-completions"))?;

    let from = workspace().join("packaging/deb");
    let documents = share.join("doc/automdev");
    let license = read(&workspace().join("LICENSE-MIT"))?;
    let copyright = read(&from.join("copyright"))? + &field(&license);
    tree::write(&documents.join("copyright"), &copyright, 0o644)?;
    let control = read(&from.join("control"))?;
    let changelog = documents.join("changelog.Debian");
    tree::write(&changelog, &changelog_of(&control, revision, date)?, 0o644)?;
    tree::compress(&changelog)?;
    tree::copy(
        &from.join("lintian-overrides"),
        &share.join("lintian/overrides/automdev"),
        0o644,
    )?;

    let meta = root.join("DEBIAN");
    for script in SCRIPTS {
        tree::copy(&from.join(script), &meta.join(script), 0o755)?;
    }
    let mut sums = Command::new("sh");
    sums.args(["-c", "find usr -type f | LC_ALL=C sort | xargs md5sum"])
        .current_dir(&root);
    tree::write(&meta.join("md5sums"), &run(&mut sums)?, 0o644)?;
    let mut used = Command::new("du");
    let used = run(used
        .args(["--apparent-size", "--summarize", "--block-size=1K"])
        .arg(root.join("usr")))?;
    let size = used.split_whitespace().next().context("a size")?;
    let control = control
        .replace("@VERSION@", &format!("{VERSION}-{revision}"))
        .replace("@SIZE@", size);
    tree::write(&meta.join("control"), &control, 0o644)?;

    let deb = folder().join(format!("automdev_{VERSION}-{revision}_amd64.deb"));
    let mut build = Command::new("dpkg-deb");
    build
        .args(["--root-owner-group", "-Zxz", "--build"])
        .args([&root, &deb])
        .env("SOURCE_DATE_EPOCH", date.to_string());
    run(&mut build)?;
    Ok(deb)
}

/// A text as a field of a control file: indented, an empty line as a dot.
fn field(text: &str) -> String {
    // The title is the field's first line already.
    let lines = text.lines().skip(2).map(|line| match line {
        "" => " .\n".to_owned(),
        line => format!(" {line}\n"),
    });
    lines.collect()
}

/// Debian's own form of a changelog, which sends on to the real one.
fn changelog_of(control: &str, revision: &str, date: u64) -> Result<String> {
    let mut command = Command::new("date");
    let date = run(command.args(["--utc", "-R", "-d"]).arg(format!("@{date}")))?;
    let maintainer = control
        .lines()
        .find_map(|line| line.strip_prefix("Maintainer: "))
        .context("a maintainer")?;
    Ok(format!(
        "automdev ({VERSION}-{revision}) unstable; urgency=medium\n\n  * What has changed is in \
         /usr/share/doc/automdev/changelog.gz.\n\n -- {maintainer}  {}\n",
        date.trim()
    ))
}
