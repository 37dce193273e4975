//! The persistent definitions on disk: mdevctl's store, `/etc/mdevctl.d/PARENT/UUID`.

use super::files;
use super::root::Root;
use crate::model::definition::{Definition, DefinitionError};
use crate::model::inventory::Defined;
use crate::model::names::{MdevUuid, ParentName};

/// Where the definitions are.
pub const STORE: &str = "/etc/mdevctl.d";

/// Not a parent: mdevctl's scripts.
const SCRIPTS: &str = "scripts.d";

/// Larger than any definition.
const MOST_BYTES: usize = 1 << 20;

/// The parents under which something may be defined, sorted.
#[must_use]
pub fn parents(root: &Root) -> Vec<ParentName> {
    let names = files::names(&root.path(STORE)).unwrap_or_default();
    names
        .iter()
        .filter(|name| *name != SCRIPTS)
        .filter_map(|name| name.parse().ok())
        .collect()
}

/// The definitions of one device, in the order of their parents' names. Reads no other device's.
#[must_use]
pub fn of_device(root: &Root, uuid: MdevUuid) -> Vec<Defined> {
    parents(root)
        .into_iter()
        .filter_map(|parent| read(root, parent, uuid))
        .collect()
}

/// Whether a device has a definition, good or broken.
#[must_use]
pub fn is_defined(root: &Root, uuid: MdevUuid) -> bool {
    let store = root.path(STORE);
    parents(root)
        .iter()
        .any(|parent| store.join(parent.as_str()).join(uuid.to_string()).exists())
}

fn read(root: &Root, parent: ParentName, uuid: MdevUuid) -> Option<Defined> {
    let file = format!("{STORE}/{parent}/{uuid}");
    let definition = match files::read_bounded(&root.path(&file), MOST_BYTES) {
        Ok(Some(text)) => Definition::parse(&text),
        Ok(None) => return None,
        Err(error) => Err(DefinitionError(error.to_string())),
    };
    Some(Defined {
        parent,
        file,
        definition,
    })
}

/// All devices that have a definition. Files whose names are no UUID are not definitions.
#[must_use]
pub fn all(root: &Root) -> Vec<MdevUuid> {
    let store = root.path(STORE);
    let mut uuids: Vec<MdevUuid> = parents(root)
        .iter()
        .flat_map(|parent| files::names(&store.join(parent.as_str())).unwrap_or_default())
        .filter_map(|name| name.parse().ok())
        .collect();
    uuids.sort_unstable();
    uuids.dedup();
    uuids
}
