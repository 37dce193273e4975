//! `cargo xtask dist`: packages for Debian and for distributions with RPM, and an archive for others, all of the same
//! files ([`tree`]).
//!
//! ```text
//! target/dist/usr/                        what is installed below /usr
//! target/dist/{debian,rpm,archive}/       what is made of it for each
//! target/dist/*.deb, *.rpm, *.tar.gz      what is handed out
//! ```

mod archive;
mod check;
mod completions;
mod deb;
mod links;
mod manual;
mod order;
mod program;
mod rpm;
mod tree;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::vm::{self, Carried, Stage, workspace};

pub(crate) use check::check;
pub(crate) use program::{LARGEST, Libc};

/// The version of everything in the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `cargo xtask dist …`
#[derive(Args)]
pub(crate) struct Arguments {
    /// Look them over, too: lintian, rpm, the archive's script, and that all have the same files
    #[arg(long)]
    check: bool,
    /// Links glibc into the program, also where Rust has musl
    #[arg(long)]
    glibc: bool,
    /// Only writes down anew which functions stand side by side in the program
    #[arg(long, conflicts_with_all = ["check", "glibc"])]
    order: bool,
}

/// What makes packages, beside dpkg.
const TOOLS: [&str; 3] = ["gzip", "rpm", "tar"];

/// What is handed out.
pub(crate) struct Packages {
    /// The files that all of them have.
    files: PathBuf,
    /// What the program in them is linked with.
    libc: Libc,
    deb: PathBuf,
    rpm: PathBuf,
    archive: PathBuf,
}

/// Makes the packages, and says where they are.
pub(crate) fn main(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.order {
        order::record()?;
        return Ok(ExitCode::SUCCESS);
    }
    let packages = if arguments.glibc {
        make_with(Libc::Glibc)?
    } else {
        make()?
    };
    if arguments.check {
        check(&packages)?;
    }
    for path in [&packages.deb, &packages.rpm, &packages.archive] {
        println!("{}", path.strip_prefix(workspace()).unwrap_or(path).display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the packages.
pub(crate) fn make() -> Result<Packages> {
    make_with(Libc::best()?)
}

fn make_with(libc: Libc) -> Result<Packages> {
    vm::ensure_packages(&TOOLS)?;
    let stage = Stage::begin("automdev", "building the program for packages");
    let program = program::build(libc)?;
    stage.end();
    let stage = Stage::begin("automdev", "packaging");
    let date = source_date();
    let files = anew(&folder().join("usr"))?;
    tree::lay(&files, &program.path, date)?;
    let packages = Packages {
        deb: deb::make(&files, deb::REVISION, date)?,
        rpm: rpm::make(&files, date)?,
        archive: archive::make(&files, date)?,
        files,
        libc: program.libc,
    };
    stage.end();
    Ok(packages)
}

/// What the tests on real hosts need: the packages, and a Debian package of a later revision to upgrade to. The hosts have
/// no rpm, so that its package comes as what rpm would take out of it.
pub(crate) fn for_hosts(packages: &Packages) -> Result<Vec<Carried>> {
    let later = deb::make(&packages.files, deb::LATER, source_date())?;
    let carried = |name: &str, from: &Path| Carried {
        name: name.to_owned(),
        from: from.to_owned(),
    };
    Ok(vec![
        carried("automdev.deb", &packages.deb),
        carried("automdev-later.deb", &later),
        carried("automdev.tar.gz", &packages.archive),
        carried("rpm", &rpm::taken_apart(&packages.rpm)?),
    ])
}

/// The program in them.
pub(crate) fn program(libc: Libc) -> Result<PathBuf> {
    let stage = Stage::begin("automdev", "building the program as it is handed out");
    let program = program::build(libc)?;
    stage.end();
    Ok(program.path)
}

/// The same program over a kernel that reacts in a folder.
pub(crate) fn program_on_fake(libc: Libc) -> Result<PathBuf> {
    let stage = Stage::begin("automdev", "building the program over a kernel in a folder");
    let program = program::build_example(libc, "automdev-on-fake")?;
    stage.end();
    Ok(program)
}

/// One of the package's examples, built as the program is.
pub(crate) fn example(libc: Libc, name: &str) -> Result<PathBuf> {
    program::build_example(libc, name)
}

/// Where all of it is.
fn folder() -> PathBuf {
    workspace().join("target/dist")
}

/// The folder, without what an earlier call left in it.
fn anew(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(folder.to_owned())
}

/// Seconds since 1970 of the last commit, so that the same source makes the same packages; the environment may say it.
fn source_date() -> u64 {
    let given = env::var("SOURCE_DATE_EPOCH").ok();
    let committed = || {
        let output = Command::new("git")
            .args(["log", "-1", "--format=%ct"])
            .current_dir(workspace())
            .output();
        String::from_utf8(output.ok()?.stdout).ok()
    };
    let found = given.or_else(committed).and_then(|text| text.trim().parse().ok());
    // Without git, the day on which the version was made up.
    found.unwrap_or(1_767_225_600)
}

/// A file's text.
fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Runs a tool, in the workspace's folder unless it says where; what it prints is shown where it fails.
fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    if command.get_current_dir().is_none() {
        command.current_dir(workspace());
    }
    let output = command
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        eprint!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
        bail!("{program} failed ({})", output.status);
    }
    Ok(stdout)
}
