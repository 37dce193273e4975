//! The RPM package, by rpm's own tool, as `packaging/automdev.spec` describes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{VERSION, folder, run};
use crate::vm::workspace;

/// The scripts that rpm calls, and how it is asked for them.
pub(super) const SCRIPTS: [(&str, &str); 3] = [
    ("post", "%{POSTIN}"),
    ("preun", "%{PREUN}"),
    ("postun", "%{POSTUN}"),
];

/// Makes the package.
pub(super) fn make(files: &Path, date: u64) -> Result<PathBuf> {
    let work = super::anew(&folder().join("rpm"))?;
    let define = |name: &str, value: &str| format!("--define={name} {value}");
    let path = |path: &Path| path.display().to_string();
    let mut build = Command::new("rpmbuild");
    build
        .args(["-bb", "--quiet", "--target=x86_64"])
        .arg(define("version", VERSION))
        .arg(define("tree", &path(files)))
        .arg(define("checkout", &path(workspace())))
        .arg(define("_topdir", &path(&work)))
        .arg(define("_rpmdir", &path(&folder())))
        .arg(define("_rpmfilename", &name()))
        .arg(workspace().join("packaging/automdev.spec"))
        .env("SOURCE_DATE_EPOCH", date.to_string());
    run(&mut build)?;
    Ok(folder().join(name()))
}

/// The package's archive of files, and its scripts, in a folder.
pub(super) fn taken_apart(rpm: &Path) -> Result<PathBuf> {
    let apart = super::anew(&folder().join("rpm-apart"))?;
    fs::create_dir(&apart)?;
    let copy = apart.join("automdev.rpm");
    fs::copy(rpm, &copy)?;
    run(Command::new("rpm2archive").arg(&copy))?;
    fs::remove_file(&copy)?;
    for (script, tag) in SCRIPTS {
        let mut query = Command::new("rpm");
        query
            .args(["--query", "--package", "--queryformat", tag])
            .arg(rpm);
        fs::write(apart.join(script), run(&mut query)?)?;
    }
    Ok(apart)
}

fn name() -> String {
    format!("automdev-{VERSION}-1.x86_64.rpm")
}
