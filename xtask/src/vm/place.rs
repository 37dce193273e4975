//! Where things are kept, all below the workspace's `target/vm`.
//!
//! ```text
//! target/vm/trixie-0123456789abcdef/   an image: root.ext4, kernel, initramfs
//! target/vm/trixie.lock                held while an image is built
//! target/vm/emulator-1/                the QEMU that runs hosts
//! target/vm/logs/                      each run's console, and what a failed one left
//! target/vm/tmp/                       what lives as long as one build or run
//! ```

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

/// The folder of all that this command keeps.
pub(crate) fn base() -> PathBuf {
    workspace().join("target/vm")
}

/// The folder of the logs, made where it is absent.
pub(crate) fn logs() -> Result<PathBuf> {
    made(base().join("logs"))
}

/// Has the only right to make what has this name, as long as the value lives.
pub(crate) fn lock(name: &str) -> Result<Flock<File>> {
    let path = made(base())?.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => return Ok(lock),
        Err((file, Errno::EWOULDBLOCK)) => file,
        Err((_, errno)) => return Err(errno).with_context(|| format!("cannot lock {}", path.display())),
    };
    eprintln!("{name}: another run makes this; waiting for it …");
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| errno)
        .with_context(|| format!("cannot lock {}", path.display()))
}

/// A new folder that goes with the value.
pub(crate) struct Temporary(PathBuf);

impl Temporary {
    /// Makes one, whose name begins with `name`.
    pub(crate) fn new(name: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sweep();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        made(base().join(format!("tmp/{name}-{}-{count}", process::id()))).map(Self)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Whatever is left is swept away by `vm clean`.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes the temporary folders of processes that are no more, killed for example.
fn sweep() {
    for entry in fs::read_dir(base().join("tmp")).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.rsplit('-').nth(1));
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn made(path: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}
