//! What those who were killed while they wrote have left: it is never read, and harms nobody.

use std::fs;
use std::path::PathBuf;

use super::{Ledger, Lock, LockError};
use crate::host::clock::Deadline;
use crate::host::files;
use crate::model::claim::Claimant;
use crate::model::names::MdevUuid;

/// Whose lock is held by who writes a file.
#[derive(Debug, Clone, Copy)]
enum Writer {
    Device(MdevUuid),
    Claimant(Claimant),
}

/// Who writes a file of that name.
fn writer(folder: &str, name: &str) -> Option<Writer> {
    if folder == "claimants" {
        return Claimant::of_file_name(name).map(Writer::Claimant);
    }
    let uuid = folder.strip_prefix("claims/").unwrap_or(name);
    uuid.parse().ok().map(Writer::Device)
}

impl Ledger<'_> {
    /// Takes away the neighbours through which files are replaced, folders for claims that never came, and notes of uses that
    /// no record came after. What somebody is at work on stays, and so does what cannot be taken away.
    pub fn sweep(&self) {
        for (writer, path) in self.neighbours() {
            // Held until the file is gone: in the condition itself, it would be let go of before.
            let lock = self.try_lock(writer);
            if lock.is_ok() {
                drop(self.unlink(&path));
            }
        }
        for uuid in self.unclaimed() {
            let lock = self.try_lock(Writer::Device(uuid));
            if lock.is_ok() {
                // Only an empty one goes.
                drop(fs::remove_dir(self.claims_folder(uuid)));
            }
        }
        for uuid in self.used_without_record() {
            let lock = self.try_lock(Writer::Device(uuid));
            if lock.is_ok() && self.has_no_record(uuid) {
                drop(self.drop_uses(uuid));
            }
        }
    }

    fn try_lock(&self, writer: Writer) -> Result<Vec<Lock>, LockError> {
        let now = Deadline::now();
        match writer {
            Writer::Device(uuid) => self.lock_devices([uuid], now),
            Writer::Claimant(claimant) => Ok(vec![self.lock_claimant(claimant, now)?]),
        }
    }

    fn has_no_record(&self, uuid: MdevUuid) -> bool {
        self.record(uuid).is_ok_and(|record| record.is_none())
    }

    /// All files that are only being written, be it by nobody any more.
    fn neighbours(&self) -> Vec<(Writer, PathBuf)> {
        let folders = |above: &str| {
            let names = self.names_in(above).into_iter();
            names.map(|name| format!("{above}/{name}")).collect::<Vec<_>>()
        };
        let flat = ["devices", "swaps", "claimants"].map(str::to_owned);
        let all = flat.into_iter().chain(folders("claims")).chain(folders("uses"));
        let mut found = Vec::new();
        for folder in all {
            for name in self.names_in(&folder) {
                let of = files::replaced_through(&name).and_then(|of| writer(&folder, of));
                found.extend(of.map(|of| (of, self.folder.join(&folder).join(&name))));
            }
        }
        found
    }

    fn unclaimed(&self) -> Vec<MdevUuid> {
        let names = self.names_in("claims").into_iter();
        let uuids = names.filter_map(|name| name.parse().ok());
        let is_empty =
            |uuid: &MdevUuid| files::names(&self.claims_folder(*uuid)).is_ok_and(|names| names.is_empty());
        uuids.filter(is_empty).collect()
    }

    fn used_without_record(&self) -> Vec<MdevUuid> {
        let keys = self.names_in("uses").into_iter();
        let uuids = keys.flat_map(|key| self.used(&key));
        uuids.filter(|uuid| self.has_no_record(*uuid)).collect()
    }

    fn names_in(&self, folder: &str) -> Vec<String> {
        files::names(&self.folder.join(folder)).unwrap_or_default()
    }
}
