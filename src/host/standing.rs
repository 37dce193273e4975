//! How a device stands that automdev has a record of.

use std::io;

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
///
/// # Errors
/// It cannot be told: the record is still needed.
pub fn standing(root: &Root, record: &Record) -> io::Result<Standing> {
    if !machine::is_this_boot(root, &record.boot) {
        return Ok(Standing::BeforeBoot);
    }
    let Some(inode) = sysfs::look_below(root, &record.parent, record.uuid)? else {
        return Ok(Standing::Gone);
    };
    let is_ours = match record.inode {
        Some(ours) => ours == inode,
        None if !ledger::was_begun(root, record.uuid) => false,
        None => match sysfs::active(root, record.uuid)? {
            Some(active) => plan::is_ours(record, &active),
            // On its way out, or not yet all there.
            None => true,
        },
    };
    Ok(if is_ours {
        Standing::Here(inode)
    } else {
        Standing::Others
    })
}
