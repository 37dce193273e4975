//! What a write is aimed at.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use automdev::host::kernel::{Target, WriteError};
use nix::errno::Errno;

use super::device::is_uuid;

/// What is written to.
pub(super) enum Place {
    /// `create` of a type.
    Create { parent: PathBuf, type_name: String },
    /// `remove` of a device.
    Remove { parent: PathBuf, uuid: String },
    /// Any other file: its real path, and the one below the folder that was opened.
    Other { file: PathBuf, attribute: String },
}

impl Place {
    /// Opens the file as the real writer does: links are followed up to the folder, and not below.
    pub(super) fn open(target: Target<'_>) -> Result<Place, WriteError> {
        let folder = fs::canonicalize(target.folder).map_err(|error| refused(errno_of(&error)))?;
        let found = fs::metadata(&folder).map_err(|error| refused(errno_of(&error)))?;
        if !found.is_dir() {
            return Err(refused(Errno::ENOTDIR));
        }
        if target.inode.is_some_and(|inode| inode != found.ino()) {
            return Err(WriteError::Replaced);
        }
        let mut path = folder;
        let mut parts = target.file.split('/').peekable();
        while let Some(part) = parts.next() {
            path.push(part);
            let found = fs::symlink_metadata(&path).map_err(|error| refused(errno_of(&error)))?;
            let errno = match (parts.peek(), found.file_type()) {
                (Some(_), kind) if kind.is_dir() => continue,
                (Some(_), _) => Errno::ENOTDIR,
                (None, kind) if kind.is_symlink() => Errno::ELOOP,
                (None, kind) if kind.is_dir() => Errno::EISDIR,
                // `kernfs_fop_open` refuses root, too.
                (None, _) if found.permissions().mode() & 0o222 == 0 => Errno::EACCES,
                (None, _) => break,
            };
            return Err(refused(errno));
        }
        Ok(place(target.file, path))
    }
}

/// What a file is, by its path below the folder that was opened and its whole real path.
fn place(file: &str, path: PathBuf) -> Place {
    let mut ends = path.iter().rev().map(|part| part.to_str().unwrap_or_default());
    let names = [(); 4].map(|()| ends.next().unwrap_or_default());
    match names {
        ["create", type_name, "mdev_supported_types", _] => Place::Create {
            parent: path.ancestors().nth(3).expect("it has those folders").to_owned(),
            type_name: type_name.to_owned(),
        },
        ["remove", uuid, ..] if is_uuid(uuid) => Place::Remove {
            parent: path.ancestors().nth(2).expect("a device has a parent").to_owned(),
            uuid: uuid.to_owned(),
        },
        _ => Place::Other {
            attribute: file.to_owned(),
            file: path,
        },
    }
}

pub(super) fn refused(errno: Errno) -> WriteError {
    WriteError::Refused(errno)
}

pub(super) fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32))
}
