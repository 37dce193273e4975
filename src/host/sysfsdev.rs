//! Where a path leads by which QEMU is to open a device, whether or not the device is there yet.

use std::fs;
use std::path::{Path, PathBuf};

use super::root::Root;
use super::sysfs;
use crate::model::names::{MdevUuid, ParentName};

/// As many links are followed, one after the other, as the kernel would (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// The mediated device that a path leads to, and the parent below which it looks for it, where it does.
#[must_use]
pub fn resolve(root: &Root, path: &Path) -> Option<(MdevUuid, Option<ParentName>)> {
    let mut path = below(root, path);
    for _ in 0..MOST_LINKS {
        let Some(name) = path.file_name() else {
            // It ends in `..`.
            path = fs::canonicalize(&path).ok()?;
            continue;
        };
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
        if let Some(found) = name.to_str().and_then(|name| in_folder(root, &folder, name)) {
            return Some(found);
        }
        let target = fs::read_link(folder.join(name)).ok()?;
        path = if target.is_absolute() {
            below(root, &target)
        } else {
            folder.join(target)
        };
    }
    None
}

/// A path of the machine's lies below the root; a relative one is the caller's.
fn below(root: &Root, path: &Path) -> PathBuf {
    if path.is_absolute() {
        root.path(path)
    } else {
        path.to_owned()
    }
}

/// The device of that name, where the folder is one in which the kernel shows devices.
fn in_folder(root: &Root, folder: &Path, name: &str) -> Option<(MdevUuid, Option<ParentName>)> {
    let uuid: MdevUuid = name
        .parse()
        .ok()
        .filter(|uuid: &MdevUuid| uuid.to_string() == name)?;
    if is_same(&root.path(sysfs::DEVICES), folder) {
        return Some((uuid, None));
    }
    let parent: ParentName = folder.file_name()?.to_str()?.parse().ok()?;
    is_same(&sysfs::parent_folder(root, &parent), folder).then_some((uuid, Some(parent)))
}

fn is_same(path: &Path, folder: &Path) -> bool {
    fs::canonicalize(path).is_ok_and(|path| path == folder)
}
