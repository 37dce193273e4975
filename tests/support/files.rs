//! Files as sysfs has them: values that change in one step, links that are relative, modes that mean something.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Read by everybody, written by nobody.
pub(crate) const READ: u32 = 0o444;
/// Written by root only; reading it fails.
pub(crate) const WRITE: u32 = 0o200;
/// Read by everybody, written by root.
pub(crate) const BOTH: u32 = 0o644;

/// Puts a file in place, replacing what was there in one step, as a value of sysfs changes.
pub(crate) fn put(path: &Path, content: &str, mode: u32) -> io::Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let folder = path.parent().expect("a file has a folder");
    fs::create_dir_all(folder)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let new = folder.join(format!(".new-{}-{number}", std::process::id()));
    fs::write(&new, content)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
    fs::rename(&new, path)
}

/// The text of a file without the white space around it.
pub(crate) fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Makes a relative link at `from` to `to`, both below one root.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    let folder = from.parent().expect("a link has a folder");
    fs::create_dir_all(folder)?;
    symlink(relative(folder, to), from)
}

/// The way from a folder to another path.
fn relative(folder: &Path, to: &Path) -> PathBuf {
    let shared = folder
        .components()
        .zip(to.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

/// The names in a folder, sorted; none where there is no such folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with(".new-"))
        .collect();
    names.sort();
    names
}

/// The last part of where a link points.
pub(crate) fn link_name(path: &Path) -> Option<String> {
    let target = fs::read_link(path).ok()?;
    target.file_name()?.to_str().map(str::to_owned)
}

/// Takes a file or link away; one that is gone already is fine.
pub(crate) fn unlink(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
