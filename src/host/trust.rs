//! What root may believe: files and folders that nobody else may write.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{getegid, geteuid};

use super::files;

/// Whether only root, or we ourselves, may write it.
#[must_use]
pub fn is_safe(metadata: &Metadata) -> bool {
    const GROUP_WRITES: u32 = 0o020;
    const OTHERS_WRITE: u32 = 0o002;
    let mode = metadata.mode();
    let is_owned = metadata.uid() == 0 || metadata.uid() == geteuid().as_raw();
    // Who may have a link lead elsewhere, the folder that it lies in says.
    if metadata.is_symlink() {
        return is_owned;
    }
    let is_groups = metadata.gid() == 0 || metadata.gid() == getegid().as_raw();
    is_owned && mode & OTHERS_WRITE == 0 && (mode & GROUP_WRITES == 0 || is_groups)
}

/// All that the kernel goes through on its way from a folder to what a path below it leads to: folders, links and what
/// those lead through, and last what is found. No link is on the way to any of these.
///
/// # Errors
/// There is nothing, or it cannot be told.
pub fn way(from: PathBuf, path: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    // As many as the kernel follows (`MAXSYMLINKS`).
    let mut links = 40;
    let owned = |component: Component<'_>| component.as_os_str().to_owned();
    let mut left: Vec<OsString> = path.components().rev().map(owned).collect();
    let mut at = from;
    let mut way = Vec::new();
    while let Some(part) = left.pop() {
        match part.as_encoded_bytes() {
            b"." => continue,
            b".." => {
                at.pop();
                continue;
            }
            _ => {}
        }
        // The whole of it, where that is what a link's target begins with.
        let next = at.join(&part);
        let metadata = fs::symlink_metadata(&next)?;
        if metadata.is_symlink() {
            links = match links {
                0 => return Err(Errno::ELOOP.into()),
                links => links - 1,
            };
            let target = fs::read_link(&next)?;
            left.extend(target.components().rev().map(owned));
        } else {
            at.clone_from(&next);
        }
        way.push((next, metadata));
    }
    Ok(way)
}

/// Checks a file, where there is one, and the `folders` above it. Where there is a link among these, each link on the way and
/// what that leads to, and the folders above these, as well.
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
            check_links(file, folders)?;
        } else {
            check_one(path, &metadata, file)?;
        }
    }
    Ok(())
}

fn check_links(file: &Path, folders: usize) -> io::Result<()> {
    let above = file.ancestors().nth(folders + 1).unwrap_or(Path::new("/"));
    let below = file.strip_prefix(above).map_err(io::Error::other)?;
    let way = way(fs::canonicalize(above)?, below)?;
    let last = way.len().saturating_sub(1);
    let ends = way.iter().enumerate();
    for (_, (end, metadata)) in ends.filter(|(index, (_, metadata))| metadata.is_symlink() || *index == last)
    {
        check_one(end, metadata, file)?;
        for folder in end.ancestors().skip(1).take(folders) {
            check_one(folder, &fs::symlink_metadata(folder)?, file)?;
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
