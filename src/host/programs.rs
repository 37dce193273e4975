//! Programs on PATH.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The program of that name that comes after us on PATH, or the first one where we are not there. We are known
/// by device and inode, and our place by the path by which we were started: of several links and copies of us,
/// each then goes on behind itself.
#[must_use]
pub fn next_on_path(started: &Path, path: &OsStr, ourselves: &Path) -> Option<PathBuf> {
    let name = started.file_name()?;
    let own = identity(ourselves)?;
    // An empty entry is the working directory (environ(7)).
    let files = env::split_paths(path).map(|folder| Path::new(".").join(folder).join(name));
    let files: Vec<(PathBuf, (u64, u64))> = files
        .filter_map(|file| {
            let identity = identity(&file)?;
            Some((file, identity))
        })
        .collect();
    let place = files.iter().position(|(file, _)| file == started);
    let after = place.or_else(|| files.iter().position(|(_, identity)| *identity == own));
    files
        .into_iter()
        .skip(after.unwrap_or(0))
        .find(|(_, identity)| *identity != own)
        .map(|(file, _)| file)
}

/// Device and inode of a file that can be executed.
fn identity(file: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(file).ok()?;
    let is_program = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    is_program.then(|| (metadata.dev(), metadata.ino()))
}
