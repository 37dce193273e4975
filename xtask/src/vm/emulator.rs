//! The QEMU that runs hosts: that of the newest generation, unpacked below `target/vm` and run from there. Under it, an
//! emulated host takes two thirds of the time that it takes under Debian 12's, and all machines run the same one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::build::Bootstrap;
use super::generation::Generation;
use super::place::{self, Temporary};
use super::stage::Stage;
use super::tools::{self, Signal};

/// Its release.
const GENERATION: Generation = Generation::Trixie;

/// What is unpacked, with what it depends on.
const PACKAGES: [&str; 1] = ["qemu-system-x86"];

/// Its name among what is kept. To be raised when what is in the folder changes.
const FOLDER: &str = "emulator-1";

/// A QEMU for this machine's architecture that ends with this thread; without its options.
pub(crate) fn command() -> Result<Command> {
    let root = ensure()?;
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    // It is not installed: the loader, the libraries and the firmware that belong to it have to be named.
    let mut command = tools::bound_command(
        &root.join("usr/lib64/ld-linux-x86-64.so.2").display().to_string(),
        Signal::Kill,
    );
    command
        .args(["--argv0", "qemu-system-x86_64", "--library-path"])
        .arg(format!("{0}:{0}/pulseaudio", libraries.display()))
        .arg(root.join("usr/bin/qemu-system-x86_64"))
        .arg("-L")
        .arg(root.join("usr/share/qemu"))
        .arg("-L")
        .arg(root.join("usr/share/seabios"))
        .env("QEMU_MODULE_DIR", libraries.join("qemu"));
    Ok(command)
}

/// The folder with all that belongs to it, unpacked now where it is not there yet.
fn ensure() -> Result<PathBuf> {
    let folder = place::base().join(FOLDER);
    if folder.is_dir() {
        return Ok(folder);
    }
    tools::ensure()?;
    let _lock = place::lock("emulator")?;
    if !folder.is_dir() {
        unpack(&folder)?;
    }
    Ok(folder)
}

fn unpack(folder: &Path) -> Result<()> {
    let stage = Stage::begin("emulator", "unpacking QEMU");
    let work = Temporary::new("emulator")?;
    let root = work.path().join("root");
    let bootstrap = Bootstrap::new(GENERATION, work.path(), "emulator")?;
    let mut command = bootstrap.command("extract", &PACKAGES);
    command
        .args(["--format=directory", GENERATION.codename()])
        .arg(&root);
    bootstrap.run("mmdebstrap", command)?;
    fs::rename(&root, folder).with_context(|| format!("cannot make {}", folder.display()))?;
    stage.end();
    Ok(())
}
