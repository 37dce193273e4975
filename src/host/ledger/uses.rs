//! Who has what from the pools, found without reading all records: `uses/KEY/UUID`, an empty file for each device.
//!
//! It is made before the device's record and taken away after it. What a crash leaves names a device that has no
//! record, or another one: whoever asks looks at the record, too.

use std::path::{Path, PathBuf};

use nix::fcntl::FlockArg;

use super::lock::flock;
use super::{Ledger, LedgerError, make_folder};
use crate::host::files;
use crate::model::claim::{Record, State};
use crate::model::names::{MdevUuid, PoolName};
use crate::model::pool::{FromPool, MemberKind};

const FOLDER: &str = "uses";

/// Under what a device of a pool is found.
fn key(from: &FromPool) -> Option<String> {
    match from.member {
        MemberKind::Type => Some(key_of_pool(&from.name)),
        MemberKind::Definition(uuid) => Some(key_of_definition(uuid)),
        // The swap tells.
        MemberKind::Device(_) => None,
    }
}

fn key_of_pool(pool: &PoolName) -> String {
    format!("pool-{pool}")
}

fn key_of_definition(uuid: MdevUuid) -> String {
    format!("definition-{uuid}")
}

impl Ledger<'_> {
    pub(super) fn note_use(&self, record: &Record) -> Result<(), LedgerError> {
        let Some(key) = record.pool.as_ref().and_then(key) else {
            return Ok(());
        };
        let all = self.folder.join(FOLDER);
        let path = all.join(key).join(record.uuid.to_string());
        if path.exists() {
            return Ok(());
        }
        make_folder(&all)?;
        make_folder(path.parent().unwrap_or(&all))?;
        files::replace(self.kernel, &path, b"").map_err(|source| LedgerError::File {
            what: "write",
            path,
            source,
        })
    }

    pub(super) fn drop_uses(&self, uuid: MdevUuid) -> Result<(), LedgerError> {
        let all = self.folder.join(FOLDER);
        for key in files::names(&all).unwrap_or_default() {
            let path = all.join(key).join(uuid.to_string());
            if path.exists() {
                self.unlink(&path)?;
            }
        }
        Ok(())
    }

    pub(super) fn used(&self, key: &str) -> Vec<MdevUuid> {
        let names = files::names(&self.folder.join(FOLDER).join(key)).unwrap_or_default();
        names.iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// The devices that may have been made as one of the types of a pool.
    #[must_use]
    pub fn used_of_pool(&self, pool: &PoolName) -> Vec<MdevUuid> {
        self.used(&key_of_pool(pool))
    }

    /// The devices that may have been made as this definition says.
    #[must_use]
    pub fn used_of_definition(&self, uuid: MdevUuid) -> Vec<MdevUuid> {
        self.used(&key_of_definition(uuid))
    }

    /// The devices that have a record.
    #[must_use]
    pub fn recorded(&self) -> Vec<MdevUuid> {
        let names = files::names(&self.folder.join("devices")).unwrap_or_default();
        names.iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// The devices that have a record and are not in this folder; of many, few.
    #[must_use]
    pub fn recorded_beside(&self, folder: &Path) -> Vec<MdevUuid> {
        const FEW: usize = 64;
        let mut recorded: Vec<MdevUuid> = Vec::new();
        files::each_name(&self.folder.join("devices"), |name| {
            recorded.extend(name.parse::<MdevUuid>());
        });
        if recorded.len() <= FEW {
            recorded.retain(|uuid| !folder.join(uuid.to_string()).exists());
        } else {
            recorded.sort_unstable();
            let mut is_there = vec![false; recorded.len()];
            files::each_name(folder, |name| {
                let at = name.parse().map(|uuid| recorded.binary_search(&uuid));
                if let Ok(Ok(at)) = at {
                    is_there[at] = true;
                }
            });
            let mut is_there = is_there.into_iter();
            recorded.retain(|_| is_there.next() == Some(false));
        }
        recorded
    }

    /// Whether somebody holds the lock of a device; asked without getting in the way of whoever wants it.
    #[must_use]
    pub fn is_busy(&self, uuid: MdevUuid) -> bool {
        let path: PathBuf = self.lock_path(&format!("device-{uuid}"));
        let Ok(file) = std::fs::File::open(path) else {
            return false;
        };
        flock(&file, FlockArg::LockSharedNonblock).is_err()
    }

    /// Whether somebody is just making or removing a device.
    #[must_use]
    pub fn is_under_way(&self, uuid: MdevUuid) -> bool {
        self.is_busy(uuid)
            && self
                .record(uuid)
                .is_ok_and(|record| record.is_some_and(|record| record.state != State::Ready))
    }
}
