//! What root may believe: files and folders that nobody else may write.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{getegid, geteuid};

use super::files;

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

/// Checks a file, where there is one, and the `folders` above it. Of a link, what it leads to, and what that lies in, as
/// well.
///
/// # Errors
/// Others may write one of them, or it cannot be told.
pub fn check(file: &Path, folders: usize) -> io::Result<()> {
    for path in file.ancestors().take(folders + 1) {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            // Whoever may write the folder has taken it away.
            Err(error) if files::is_absent(&error) => continue,
            Err(error) => return Err(error),
        };
        if metadata.is_symlink() {
            let target = fs::canonicalize(path)?;
            for above in target.ancestors().take(folders + 1) {
                check_one(above, &fs::symlink_metadata(above)?, file)?;
            }
        } else {
            check_one(path, &metadata, file)?;
        }
    }
    Ok(())
}

fn check_one(path: &Path, metadata: &Metadata, file: &Path) -> io::Result<()> {
    if is_safe(metadata) {
        return Ok(());
    }
    let what = if path == file {
        "it".to_owned()
    } else {
        path.display().to_string()
    };
    Err(io::Error::other(format!(
        "others than root may write {what}, so that it is not believed; chmod go-w, and chown root"
    )))
}
