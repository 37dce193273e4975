//! How a device stands that automdev has a record of.

use super::ledger;
use super::machine;
use super::root::Root;
use super::sysfs;
use crate::model::claim::Record;
use crate::model::plan;

/// How a device stands that automdev has a record of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It is there, be it on its way out, and ours; the inode of its folder.
    Here(u64),
    /// It is not there.
    Gone,
    /// What is there under its UUID was made by somebody else.
    Others,
    /// The record is of an earlier boot of the host, which no device outlives. An inode says nothing any more.
    BeforeBoot,
}

/// Looks how the device of a record stands.
#[must_use]
pub fn standing(root: &Root, record: &Record) -> Standing {
    if !machine::is_this_boot(root, &record.boot) {
        return Standing::BeforeBoot;
    }
    let Some(inode) = sysfs::inode_below(root, &record.parent, record.uuid) else {
        return Standing::Gone;
    };
    match record.inode {
        Some(ours) if ours == inode => Standing::Here(inode),
        Some(_) => Standing::Others,
        None if !ledger::was_begun(root, record.uuid) => Standing::Others,
        None => match sysfs::active(root, record.uuid) {
            Ok(Some(active)) if plan::is_ours(record, &active) => Standing::Here(inode),
            _ => Standing::Gone,
        },
    }
}
