//! Programs on PATH.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The program of that name that comes after us on PATH, known by device and inode, or the first one where we
/// are not there.
#[must_use]
pub fn next_on_path(name: &OsStr, path: &OsStr, ourselves: &Path) -> Option<PathBuf> {
    let own = identity(ourselves)?;
    // An empty entry is the working directory (environ(7)).
    let files = env::split_paths(path).map(|folder| Path::new(".").join(folder).join(name));
    let files: Vec<(PathBuf, (u64, u64))> = files
        .filter_map(|file| {
            let identity = identity(&file)?;
            Some((file, identity))
        })
        .collect();
    let after = files.iter().position(|(_, identity)| *identity == own).unwrap_or(0);
    files
        .into_iter()
        .skip(after)
        .find(|(_, identity)| *identity != own)
        .map(|(file, _)| file)
}

/// Device and inode of a file that can be executed.
fn identity(file: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(file).ok()?;
    let is_program = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    is_program.then(|| (metadata.dev(), metadata.ino()))
}
