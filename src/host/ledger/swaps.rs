//! The devices that were taken away in favour of another, and have to be put back: `swaps/DEVICE`. The note is
//! written before the device goes, and dropped once it is back.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Ledger, LedgerError, make_folder, read};
use crate::host::files;
use crate::model::definition::{Attribute, Start};
use crate::model::names::{MdevUuid, ParentName, TypeName};

const FOLDER: &str = "swaps";

/// A device that has to be put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// [`crate::model::claim::SCHEMA`].
    pub schema: u32,
    /// The device.
    pub device: MdevUuid,
    /// The one that is made in its place.
    pub stand_in: MdevUuid,
    /// Where it was.
    pub parent: ParentName,
    /// What it was.
    pub mdev_type: TypeName,
    /// When mdevctl would make it; its scripts are told.
    pub start: Start,
    /// What its definition wrote into it.
    pub attributes: Vec<Attribute>,
}

impl Ledger<'_> {
    fn swap_path(&self, device: MdevUuid) -> PathBuf {
        self.folder.join(FOLDER).join(device.to_string())
    }

    /// What is noted of a device that was taken away.
    ///
    /// # Errors
    /// It is there, and cannot be read.
    pub fn swap(&self, device: MdevUuid) -> Result<Option<Swap>, LedgerError> {
        read(&self.swap_path(device))
    }

    /// All devices that have to be put back, sorted. What cannot be read is passed over.
    #[must_use]
    pub fn swaps(&self) -> Vec<Swap> {
        let names = files::names(&self.folder.join(FOLDER)).unwrap_or_default();
        let devices = names.iter().filter_map(|name| name.parse().ok());
        devices
            .filter_map(|device| self.swap(device).ok().flatten())
            .collect()
    }

    /// The devices that have to be put back once these are gone.
    #[must_use]
    pub fn swapped_for(&self, stand_ins: &[MdevUuid]) -> Vec<MdevUuid> {
        let swaps = self.swaps().into_iter();
        swaps
            .filter(|swap| stand_ins.contains(&swap.stand_in))
            .map(|swap| swap.device)
            .collect()
    }

    /// Notes that a device is taken away.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_swap(&self, swap: &Swap) -> Result<(), LedgerError> {
        make_folder(&self.folder.join(FOLDER))?;
        self.write(&self.swap_path(swap.device), swap)
    }

    /// Drops the note.
    ///
    /// # Errors
    /// It cannot be dropped.
    pub fn drop_swap(&self, device: MdevUuid) -> Result<(), LedgerError> {
        self.unlink(&self.swap_path(device))
    }
}
