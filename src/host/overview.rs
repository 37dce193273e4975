//! Looks at all definitions and devices of a host, or at those of one UUID.

use std::fs;
use std::io;

use super::definitions::{self, Skipped};
use super::kernel::Kernel;
use super::ledger::{self, Ledger};
use super::root::Root;
use super::survey::{Failure, Survey};
use super::sysfs;
use crate::model::names::MdevUuid;
use crate::model::overview::{self, LedgerAccess, Place, Row};

/// What there is, and what could not be read of it.
#[derive(Debug)]
pub struct Overview {
    /// The devices, by parent and UUID.
    pub rows: Vec<Row>,
    /// What looks like a definition and is none.
    pub skipped: Vec<Skipped>,
    /// Whether the ledger can be read.
    pub access: LedgerAccess,
    /// What else could not be read.
    pub failures: Vec<Failure>,
}

/// Everything on a host.
#[must_use]
pub fn of_host(root: &Root, kernel: &dyn Kernel) -> Overview {
    let listing = definitions::list(root);
    let devices = sysfs::parents(root)
        .into_iter()
        .flat_map(|parent| {
            let devices = sysfs::devices_of(root, &parent);
            devices
                .into_iter()
                .map(move |(uuid, mdev_type)| (uuid, parent.clone(), mdev_type))
        })
        .collect();
    look(root, kernel, listing.definitions, devices, listing.skipped)
}

/// What there is of one device. No other one's definition is read.
#[must_use]
pub fn of_device(root: &Root, kernel: &dyn Kernel, uuid: MdevUuid) -> Overview {
    let (definitions, skipped) = match definitions::of_device(root, uuid) {
        Ok(defined) => (defined.into_iter().map(|one| (uuid, one)).collect(), Vec::new()),
        Err(error) => {
            let (path, why) = (error.path, error.source.to_string());
            (Vec::new(), vec![Skipped { path, why }])
        }
    };
    let devices = sysfs::parents(root)
        .into_iter()
        .filter(|parent| sysfs::inode_below(root, parent, uuid).is_some())
        .map(|parent| {
            let active = sysfs::active(root, uuid).ok().flatten();
            let active = active.filter(|active| active.parent == parent);
            (uuid, parent, active.map(|active| active.mdev_type))
        })
        .collect();
    look(root, kernel, definitions, devices, skipped)
}

fn look(
    root: &Root,
    kernel: &dyn Kernel,
    definitions: Vec<(MdevUuid, crate::model::inventory::Defined)>,
    devices: Vec<Place>,
    skipped: Vec<Skipped>,
) -> Overview {
    let access = match fs::read_dir(root.path(ledger::FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => LedgerAccess::Closed,
        _ => LedgerAccess::Open,
    };
    let ledger = Ledger::look(root, kernel);
    let survey = Survey::new(root, &ledger, None);
    let rows = overview::rows(definitions, devices, &survey, access);
    Overview {
        rows,
        skipped,
        access,
        failures: survey.into_failures(),
    }
}
