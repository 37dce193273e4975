//! Reads all definitions; one that cannot be used harms no other.

use super::{STORE, files, parents, read};
use crate::host::root::Root;
use crate::model::definition::DefinitionError;
use crate::model::inventory::Defined;
use crate::model::names::MdevUuid;

/// All definitions of a host.
#[derive(Debug, Default)]
pub struct Listing {
    /// Good ones and broken ones, by their parents' names, then by their UUIDs.
    pub definitions: Vec<(MdevUuid, Defined)>,
    /// What looks like a definition and is none.
    pub skipped: Vec<Skipped>,
}

/// A file or a folder that is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Which.
    pub path: String,
    /// Why.
    pub why: String,
}

/// Reads all definitions.
#[must_use]
pub fn list(root: &Root) -> Listing {
    let mut listing = Listing::default();
    let parents = parents(root).unwrap_or_else(|error| {
        let (path, why) = (error.path, error.source.to_string());
        listing.skipped.push(Skipped { path, why });
        Vec::new()
    });
    for parent in parents {
        let folder = format!("{STORE}/{parent}");
        let names = match files::names(&root.path(&folder)) {
            Ok(names) => names,
            Err(error) => {
                let why = error.to_string();
                listing.skipped.push(Skipped { path: folder, why });
                continue;
            }
        };
        for name in names {
            // Whatever else lies there is nobody's definition.
            let Ok(uuid) = name.parse::<MdevUuid>() else {
                continue;
            };
            if uuid.to_string() == name {
                let defined = read(root, parent.clone(), uuid).unwrap_or_else(|error| {
                    Some(Defined {
                        parent: parent.clone(),
                        file: error.path,
                        definition: Err(DefinitionError(error.source.to_string())),
                    })
                });
                listing.definitions.extend(defined.map(|defined| (uuid, defined)));
            } else {
                listing.skipped.push(Skipped {
                    path: format!("{folder}/{name}"),
                    why: format!("a definition of {uuid} must be called that, in lower case with dashes"),
                });
            }
        }
    }
    listing
}
