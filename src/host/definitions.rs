//! The persistent definitions on disk: mdevctl's store, `/etc/mdevctl.d/PARENT/UUID`.

use std::fs;
use std::io;
use std::path::Path;

use super::files;
use super::root::Root;
use super::trust;
use crate::model::definition::{Definition, DefinitionError, Document};
use crate::model::inventory::Defined;
use crate::model::names::{MdevUuid, ParentName};

mod listing;
mod store;

pub use listing::{Listing, Skipped, list};
pub use store::{Overwrite, PutError, remove, write};

/// Where the definitions are.
pub const STORE: &str = "/etc/mdevctl.d";

/// Not a parent: mdevctl's scripts.
const SCRIPTS: &str = "scripts.d";

/// Larger than any definition.
const MOST_BYTES: usize = 1 << 20;

/// Why it cannot be told what is defined.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}")]
pub struct StoreError {
    /// The folder or file of the store.
    pub path: String,
    /// Why not.
    pub source: io::Error,
}

/// The parents under which something may be defined, sorted.
///
/// # Errors
/// The store is there, and cannot be read.
pub fn parents(root: &Root) -> Result<Vec<ParentName>, StoreError> {
    let names = files::names(&root.path(STORE)).map_err(|source| StoreError {
        path: STORE.to_owned(),
        source,
    })?;
    Ok(names
        .iter()
        .filter(|name| *name != SCRIPTS)
        .filter_map(|name| name.parse().ok())
        .collect())
}

/// The definitions of one device, in the order of their parents' names. Reads no other device's.
///
/// # Errors
/// The store cannot be read, or the caller may not read what it may have of the device.
pub fn of_device(root: &Root, uuid: MdevUuid) -> Result<Vec<Defined>, StoreError> {
    let mut defined = Vec::new();
    for parent in parents(root)? {
        defined.extend(read(root, parent, uuid)?);
    }
    Ok(defined)
}

/// Whether a device has a definition, good or broken.
#[must_use]
pub fn is_defined(root: &Root, uuid: MdevUuid) -> bool {
    let store = root.path(STORE);
    parents(root).unwrap_or_default().iter().any(|parent| {
        let file = store.join(parent.as_str()).join(uuid.to_string());
        fs::symlink_metadata(file).is_ok()
    })
}

/// The path of a definition's file, below no root.
#[must_use]
pub fn file(parent: &ParentName, uuid: MdevUuid) -> String {
    format!("{STORE}/{parent}/{uuid}")
}

/// The definition of a device under one parent, with all that stands beside it in its file.
///
/// # Errors
/// There is one, and it cannot be used.
pub fn document(
    root: &Root,
    parent: &ParentName,
    uuid: MdevUuid,
) -> Result<Option<Document>, DefinitionError> {
    let text = read_text(&root.path(file(parent, uuid)));
    let text = text.map_err(|error| DefinitionError(error.to_string()))?;
    text.map(|text| Document::parse(&text)).transpose()
}

fn read(root: &Root, parent: ParentName, uuid: MdevUuid) -> Result<Option<Defined>, StoreError> {
    let file = file(&parent, uuid);
    let definition = match read_text(&root.path(&file)) {
        Ok(Some(text)) => Definition::parse(&text),
        Ok(None) => return Ok(None),
        // Whether it is there at all is not known.
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            return Err(StoreError { path: file, source });
        }
        Err(error) => Err(DefinitionError(error.to_string())),
    };
    Ok(Some(Defined {
        parent,
        file,
        definition,
    }))
}

/// The file's content; none where there is no file.
fn read_text(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match files::read_bounded(path, MOST_BYTES) {
        Ok(None) if fs::symlink_metadata(path).is_ok() => {
            Err(io::Error::other("it is a link that leads nowhere"))
        }
        // The file, its parent's folder, the store.
        Ok(Some(text)) => trust::check(path, 2).map(|()| Some(text)),
        read => read,
    }
}

/// All devices that have a definition. Files whose names are no UUID are not definitions.
#[must_use]
pub fn all(root: &Root) -> Vec<MdevUuid> {
    let store = root.path(STORE);
    let mut uuids: Vec<MdevUuid> = parents(root)
        .unwrap_or_default()
        .iter()
        .flat_map(|parent| files::names(&store.join(parent.as_str())).unwrap_or_default())
        .filter_map(|name| name.parse().ok())
        .collect();
    uuids.sort_unstable();
    uuids.dedup();
    uuids
}
