//! Writes definitions so that mdevctl, libvirt and automdev, whoever looks meanwhile or after a crash, find the
//! old file or the new one.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{UnlinkatFlags, fsync, linkat, unlinkat};

use super::{SCRIPTS, STORE, file};
use crate::host::root::Root;
use crate::model::definition::Document;
use crate::model::names::{MdevUuid, ParentName};

/// Whether a file that is there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Overwrite {
    /// It is left as it is, and that is an error.
    Refuse,
    /// It is replaced, be it a link.
    Allow,
}

/// Why a definition was not written or taken away.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Somebody was faster.
    #[error("{file} is there by now")]
    Exists {
        /// The file.
        file: String,
    },
    /// A link leads somewhere else.
    #[error("{folder} is a link or no folder; a definition is written nowhere else")]
    NotFolder {
        /// What should be a folder.
        folder: String,
    },
    /// mdevctl keeps something else there.
    #[error("{STORE}/{SCRIPTS} is mdevctl's folder of scripts, no parent's")]
    Scripts,
    /// It cannot be written.
    #[error("cannot {what} {path}")]
    File {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

/// As mdevctl makes them: everybody may read what devices a host has.
const FILE_MODE: Mode = Mode::from_bits_truncate(0o644);
const FOLDER_MODE: Mode = Mode::from_bits_truncate(0o755);

/// Writes a definition, in one step.
///
/// # Errors
/// See [`PutError`]; then everything is as it was.
pub fn write(
    root: &Root,
    parent: &ParentName,
    uuid: MdevUuid,
    document: &Document,
    overwrite: Overwrite,
) -> Result<(), PutError> {
    let path = file(parent, uuid);
    let failed = |what| {
        let path = path.clone();
        move |errno: Errno| PutError::File {
            what,
            path,
            source: errno.into(),
        }
    };
    let folder = make_folder(root, parent)?;
    // Its name is no UUID, so that mdevctl passes it over, too.
    let fresh = format!(".automdev-{}", uuid::Uuid::new_v4().simple());
    write_new(folder.as_fd(), &fresh, document.render().as_bytes()).map_err(|source| {
        let path = path.clone();
        let what = "write";
        PutError::File { what, path, source }
    })?;
    let name = uuid.to_string();
    let placed = match overwrite {
        Overwrite::Allow => renameat(&folder, fresh.as_str(), &folder, name.as_str()),
        Overwrite::Refuse => linkat(&folder, fresh.as_str(), &folder, name.as_str(), AtFlags::empty()),
    };
    if overwrite == Overwrite::Refuse || placed.is_err() {
        let _ = unlinkat(&folder, fresh.as_str(), UnlinkatFlags::NoRemoveDir);
    }
    match placed {
        Ok(()) => {}
        Err(Errno::EEXIST) if overwrite == Overwrite::Refuse => {
            return Err(PutError::Exists { file: path });
        }
        Err(errno) => return Err(failed("write")(errno)),
    }
    fsync(&folder).map_err(failed("write"))
}

fn write_new(folder: impl AsFd, name: &str, content: &[u8]) -> io::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut file = File::from(openat(&folder, name, flags, Mode::from_bits_truncate(0o600))?);
    let written = file.write_all(content);
    let finished = written.and_then(|()| {
        fchmod(&file, FILE_MODE)?;
        file.sync_all()
    });
    if finished.is_err() {
        let _ = unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir);
    }
    finished
}

/// Takes a definition away; whether there was one.
///
/// # Errors
/// There is one, and it cannot be taken away.
pub fn remove(root: &Root, parent: &ParentName, uuid: MdevUuid) -> Result<bool, PutError> {
    let Some(folder) = open_folder(root, parent)? else {
        return Ok(false);
    };
    match unlinkat(&folder, uuid.to_string().as_str(), UnlinkatFlags::NoRemoveDir) {
        Ok(()) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(PutError::File {
            what: "take away",
            path: file(parent, uuid),
            source: errno.into(),
        }),
    }
}

/// The folder of a parent's definitions, made where it is missing.
fn make_folder(root: &Root, parent: &ParentName) -> Result<OwnedFd, PutError> {
    if parent.as_str() == SCRIPTS {
        return Err(PutError::Scripts);
    }
    make(&root.path(STORE), STORE)?;
    let path = format!("{STORE}/{parent}");
    make(&root.path(&path), &path)?;
    open_folder(root, parent)?.ok_or_else(|| PutError::File {
        what: "open",
        path,
        source: Errno::ENOENT.into(),
    })
}

fn make(path: &Path, shown: &str) -> Result<(), PutError> {
    let failed = |errno: Errno| PutError::File {
        what: "make",
        path: shown.to_owned(),
        source: errno.into(),
    };
    match mkdirat(AT_FDCWD, path, FOLDER_MODE) {
        Ok(()) => {
            // Whatever the umask is.
            let folder = open(path, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed)?;
            fchmod(&folder, FOLDER_MODE).map_err(failed)
        }
        Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(failed(errno)),
    }
}

/// The folder of a parent's definitions; none where it is missing.
fn open_folder(root: &Root, parent: &ParentName) -> Result<Option<OwnedFd>, PutError> {
    let folder = format!("{STORE}/{parent}");
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match open(&root.path(&folder), flags, Mode::empty()) {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::ENOENT) => Ok(None),
        Err(Errno::ENOTDIR | Errno::ELOOP) => Err(PutError::NotFolder { folder }),
        Err(errno) => Err(PutError::File {
            what: "open",
            path: folder,
            source: errno.into(),
        }),
    }
}
