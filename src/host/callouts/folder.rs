//! The folders of scripts, and which of what lies there may be executed: root does so.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

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
    match find_unsafe(root, file) {
        Ok(None) => true,
        Ok(Some(path)) => {
            log::warn!(
                "{} is not executed: others than root may write {}",
                file.display(),
                path.display()
            );
            false
        }
        Err(error) => {
            log::warn!("{} is not executed: {error}", file.display());
            false
        }
    }
}

/// What, of a file and all that it lies in, another user than root, or than ourselves, may write.
fn find_unsafe(root: &Root, file: &Path) -> io::Result<Option<PathBuf>> {
    let file = fs::canonicalize(file)?;
    let top = fs::canonicalize(root.path("/"))?;
    if !file.starts_with(&top) {
        return Ok(Some(file));
    }
    for path in file.ancestors().take_while(|path| path.starts_with(&top)) {
        if !trust::is_safe(&fs::symlink_metadata(path)?) {
            return Ok(Some(path.to_owned()));
        }
    }
    Ok(None)
}
