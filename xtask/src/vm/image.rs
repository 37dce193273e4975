//! The cached images.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::generation::Generation;
use super::{build, place, recipe, tools};

/// A host that can be booted.
pub(crate) struct Image {
    /// What it is made of.
    pub(crate) generation: Generation,
    folder: PathBuf,
}

impl Image {
    /// The image in `folder`.
    pub(crate) fn at(generation: Generation, folder: PathBuf) -> Self {
        Self { generation, folder }
    }

    /// The file with the root file system. It is never written to.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join(build::ROOT)
    }

    /// The kernel.
    pub(crate) fn kernel(&self) -> PathBuf {
        self.folder.join(build::KERNEL)
    }

    /// The initramfs.
    pub(crate) fn initramfs(&self) -> PathBuf {
        self.folder.join(build::INITRAMFS)
    }
}

/// The image of `generation`: the cached one, or else one built now, which takes minutes. Several processes may ask at
/// once; several generations can be built at once.
pub(crate) fn ensure(generation: Generation) -> Result<Image> {
    let name = recipe::image_name(generation);
    let image = Image {
        generation,
        folder: place::base().join(&name),
    };
    if image.folder.is_dir() {
        return Ok(image);
    }
    let _lock = lock(generation)?;
    if image.folder.is_dir() {
        return Ok(image);
    }
    build::build(generation, &image.folder)?;
    remove_others(generation, &name)?;
    Ok(image)
}

/// Removes whatever is kept, logs too.
pub(crate) fn clean() -> Result<()> {
    let base = place::base();
    match fs::remove_dir_all(&base) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", base.display()))
        }
        _ => Ok(()),
    }
}

fn lock(generation: Generation) -> Result<Flock<File>> {
    tools::ensure()?;
    let path = place::base().join(format!("{generation}.lock"));
    fs::create_dir_all(place::base()).with_context(|| format!("cannot make {}", place::base().display()))?;
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => return Ok(lock),
        Err((file, Errno::EWOULDBLOCK)) => file,
        Err((_, errno)) => return Err(errno).with_context(|| format!("cannot lock {}", path.display())),
    };
    eprintln!("{generation}: another run builds this image; waiting for it …");
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| errno)
        .with_context(|| format!("cannot lock {}", path.display()))
}

/// Older recipes' images are of no use any more.
fn remove_others(generation: Generation, keep: &str) -> Result<()> {
    for entry in fs::read_dir(place::base())?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name != keep && name.starts_with(&format!("{generation}-")) && Path::is_dir(&entry.path()) {
            fs::remove_dir_all(entry.path()).with_context(|| format!("cannot remove {name}"))?;
        }
    }
    Ok(())
}
