//! The folders of scripts, and which of what lies there may be executed: root does so.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{self, Path, PathBuf};

use crate::host::files;
use crate::host::root::Root;
use crate::host::trust;

/// What scripts are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// They have a say.
    Callouts,
    /// They are told.
    Notifiers,
}

/// Where mdevctl looks, in this order (its `environment.rs`).
const FOLDERS: [&str; 2] = ["/usr/lib/mdevctl/scripts.d", "/etc/mdevctl.d/scripts.d"];

/// The scripts of a kind, in the order in which they are called.
pub(super) fn scripts(root: &Root, kind: Kind) -> Vec<PathBuf> {
    let name = match kind {
        Kind::Callouts => "callouts",
        Kind::Notifiers => "notifiers",
    };
    let folders = FOLDERS.iter().map(|folder| root.path(folder).join(name));
    folders.flat_map(|folder| of_folder(root, &folder)).collect()
}

fn of_folder(root: &Root, folder: &Path) -> Vec<PathBuf> {
    let names = files::names(folder).unwrap_or_else(|error| {
        log::warn!("cannot read {}: {error}", folder.display());
        Vec::new()
    });
    let files = names.into_iter().map(|name| folder.join(name));
    files.filter(|file| is_executable(root, file)).collect()
}

fn is_executable(root: &Root, file: &Path) -> bool {
    // A folder, a README or a link that leads nowhere is passed over, as mdevctl does.
    let is_program = fs::metadata(file)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
    if !is_program {
        return false;
    }
    match program(root, file) {
        Ok(_) => true,
        Err(error) => {
            log::warn!("{} is not executed: {error}", file.display());
            false
        }
    }
}

/// The program that a script is: the file itself, or what links lead to, be it the script or a folder above it.
///
/// # Errors
/// There is none, or another user than root, or than ourselves, may write it, or something on the way to it.
pub(super) fn program(root: &Root, script: &Path) -> io::Result<PathBuf> {
    let top = fs::canonicalize(root.path("/"))?;
    let program = fs::canonicalize(script)?;
    if !program.starts_with(&top) {
        return Err(not_safe(&program));
    }
    for (path, metadata) in trust::way(PathBuf::new(), &path::absolute(script)?)? {
        if path.starts_with(&top) && !trust::is_safe(&metadata) {
            return Err(not_safe(&path));
        }
    }
    Ok(program)
}

fn not_safe(path: &Path) -> io::Error {
    io::Error::other(format!("others than root may write {}", path.display()))
}
