//! All that the ledger holds, by the names of its files.

use std::path::PathBuf;

use super::{Ledger, LedgerError};
use crate::host::files;
use crate::model::claim::Claimant;
use crate::model::names::MdevUuid;

/// The files of a ledger.
#[derive(Debug, Default)]
pub struct Entries {
    /// Those who may claim something.
    pub claimants: Vec<Claimant>,
    /// The claims: of which device, by whom.
    pub claims: Vec<(MdevUuid, Claimant)>,
    /// The devices that have a record.
    pub records: Vec<MdevUuid>,
    /// Files whose names are none of ours.
    pub unknown: Vec<PathBuf>,
}

impl Ledger<'_> {
    /// The names of all of its files; what is in them is not looked at.
    ///
    /// # Errors
    /// The folders cannot be read.
    pub fn entries(&self) -> Result<Entries, LedgerError> {
        let mut entries = Entries::default();
        for name in self.names("claimants")? {
            match Claimant::of_file_name(&name) {
                Some(claimant) => entries.claimants.push(claimant),
                None => entries.unknown.push(self.folder.join("claimants").join(name)),
            }
        }
        for name in self.names("devices")? {
            match name.parse() {
                Ok(uuid) => entries.records.push(uuid),
                Err(_) => entries.unknown.push(self.folder.join("devices").join(name)),
            }
        }
        for folder in self.names("claims")? {
            let Ok(uuid) = folder.parse() else {
                entries.unknown.push(self.folder.join("claims").join(folder));
                continue;
            };
            for name in self.names(&format!("claims/{folder}"))? {
                match Claimant::of_file_name(&name) {
                    Some(claimant) => entries.claims.push((uuid, claimant)),
                    None => entries
                        .unknown
                        .push(self.folder.join("claims").join(&folder).join(name)),
                }
            }
        }
        Ok(entries)
    }

    /// The names in one of its folders, without those of files that are only being written.
    fn names(&self, folder: &str) -> Result<Vec<String>, LedgerError> {
        let path = self.folder.join(folder);
        let mut names = files::names(&path).map_err(|source| LedgerError::File {
            what: "read",
            path,
            source,
        })?;
        names.retain(|name| !name.starts_with('.'));
        Ok(names)
    }
}
