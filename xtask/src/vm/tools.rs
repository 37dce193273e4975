//! The programs that making and running a host takes, and where they come from.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};

use super::stage::Stage;

/// A thing that must be on the machine, and the package that has it.
struct Tool {
    file: &'static str,
    package: &'static str,
    who: Who,
}

/// Who needs a tool.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    All,
    /// Who is not root makes an image in a user namespace.
    NotRoot,
}

/// The keys of the newest generation are one of them: an older debian-archive-keyring has them not yet.
const TOOLS: [Tool; 5] = [
    Tool {
        file: "mmdebstrap",
        package: "mmdebstrap",
        who: Who::All,
    },
    Tool {
        file: "mke2fs",
        package: "e2fsprogs",
        who: Who::All,
    },
    Tool {
        file: "/usr/share/keyrings/debian-archive-trixie-stable",
        package: "debian-archive-keyring",
        who: Who::All,
    },
    Tool {
        file: "ssh-keygen",
        package: "openssh-client",
        who: Who::All,
    },
    Tool {
        file: "newuidmap",
        package: "uidmap",
        who: Who::NotRoot,
    },
];

/// Images are made at the same time, and apt's lock lets nobody wait for it.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Sees to it that all tools are there, installing them where this is root's run.
pub(crate) fn ensure() -> Result<()> {
    // It guards nothing that a panic could have left half done.
    let _alone = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let missing: Vec<&str> = TOOLS
        .iter()
        .filter(|tool| tool.who == Who::All || !is_root())
        .filter(|tool| !is_there(tool.file))
        .map(|tool| tool.package)
        .collect();
    install(&missing)
}

/// The same for programs that have the name of their package.
pub(crate) fn ensure_packages(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !is_there(name)).collect();
    install(&missing)
}

fn install(missing: &[&str]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if !is_root() {
        bail!(
            "this machine lacks {packages}; install with: sudo apt-get install --no-install-recommends {packages}"
        );
    }
    let stage = Stage::begin("this machine", format_args!("installing {packages}"));
    apt_get(&["update", "-qq"])?;
    let options = ["install", "-qq", "--yes", "--no-install-recommends"];
    apt_get(&[&options[..], missing].concat())?;
    stage.end();
    Ok(())
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// What ends a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It may tidy up first.
    Term,
    /// At once.
    Kill,
}

/// A tool that gets `signal` when this thread ends, so that nothing is left behind when somebody kills this process.
pub(crate) fn bound_command(program: &str, signal: Signal) -> Command {
    let signal = match signal {
        Signal::Term => "TERM",
        Signal::Kill => "KILL",
    };
    let mut command = command("setpriv");
    command.args(["--pdeathsig", signal, "--", program]);
    command
}

/// A tool by its name, also where the user's PATH leaves the administrator's folders out.
pub(crate) fn command(program: &str) -> Command {
    let path = env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command
        .env("PATH", format!("{path}:/usr/sbin:/sbin:/usr/bin:/bin"))
        .stdin(Stdio::null());
    command
}

fn is_there(file: &str) -> bool {
    if file.starts_with('/') {
        // The keyrings' format, and so the ending of their names, depends on the release.
        return ["gpg", "pgp", "asc"]
            .iter()
            .any(|ending| Path::new(file).with_extension(ending).exists());
    }
    let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    env::split_paths(&path).any(|folder| fs::metadata(folder.join(file)).is_ok_and(|found| found.is_file()))
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let status = command("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null())
        .status()
        .context("cannot run apt-get")?;
    if !status.success() {
        bail!("apt-get {} failed ({status})", arguments.join(" "));
    }
    Ok(())
}
