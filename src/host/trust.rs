//! What root may believe: files and folders that nobody else may write.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{getegid, geteuid};

/// Whether only root, or we ourselves, may write it.
#[must_use]
pub fn is_safe(metadata: &Metadata) -> bool {
    const GROUP_WRITES: u32 = 0o020;
    const OTHERS_WRITE: u32 = 0o002;
    let mode = metadata.mode();
    let is_owned = metadata.uid() == 0 || metadata.uid() == geteuid().as_raw();
    let is_groups = metadata.gid() == 0 || metadata.gid() == getegid().as_raw();
    is_owned && mode & OTHERS_WRITE == 0 && (mode & GROUP_WRITES == 0 || is_groups)
}

/// Checks a file, where there is one, and the `folders` above it.
///
/// # Errors
/// Others may write one of them.
pub fn check(file: &Path, folders: usize) -> io::Result<()> {
    for path in file.ancestors().take(folders + 1) {
        if fs::metadata(path).is_ok_and(|metadata| !is_safe(&metadata)) {
            let what = if path == file {
                "it".to_owned()
            } else {
                path.display().to_string()
            };
            return Err(io::Error::other(format!(
                "others than root may write {what}, so that it is not believed; chmod go-w, and chown root"
            )));
        }
    }
    Ok(())
}
