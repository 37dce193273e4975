//! The cached images.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

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
    tools::ensure()?;
    let _lock = place::lock(generation.codename())?;
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
