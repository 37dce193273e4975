//! Takes a device of ours away, within bounds, and touches no other.

use std::io;

use nix::errno::Errno;

use super::callouts::{CalloutError, Callouts};
use super::clock::Deadline;
use super::kernel::{Target, WriteError};
use super::ledger::{Ledger, LedgerError, LockError};
use super::machine::Machine;
use super::processes::{self, User};
use super::release::chain;
use super::standing::{Standing, standing};
use super::sysfs;
use crate::model::callout::{Outcome, Subject};
use crate::model::claim::{Record, State};
use crate::model::names::{MdevUuid, ParentName};

/// Why a device of ours is still there. Its record is, too.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// Somebody uses it.
    #[error(
        "{uuid} on {parent} is in use by {}; it is removed when that has ended",
        shown(users)
    )]
    InUse {
        /// The device.
        uuid: MdevUuid,
        /// Where it is.
        parent: ParentName,
        /// Who uses it.
        users: Vec<User>,
    },
    /// One of mdevctl's scripts does not want it to be removed.
    #[error("{uuid} on {parent} is not removed: {cause}")]
    Callout {
        /// The device.
        uuid: MdevUuid,
        /// Where it is.
        parent: ParentName,
        /// Which, and why not.
        cause: CalloutError,
    },
    /// The kernel did not remove it.
    #[error("cannot remove {uuid} on {parent}")]
    Kernel {
        /// The device.
        uuid: MdevUuid,
        /// Where it is.
        parent: ParentName,
        /// Why not.
        source: WriteError,
    },
    /// Whether it is there cannot be told.
    #[error("cannot tell whether {uuid} on {parent} is there")]
    Unknown {
        /// The device.
        uuid: MdevUuid,
        /// Where it may be.
        parent: ParentName,
        /// Why not.
        source: io::Error,
    },
    /// Its creation has not come to an end, though nobody waits for it any more.
    #[error(
        "{uuid} on {parent} is still being made by its driver, for a start that was given up; it is removed once it is there"
    )]
    Creating {
        /// The device.
        uuid: MdevUuid,
        /// Where it is made.
        parent: ParentName,
    },
    /// The kernel has begun to remove it and does not come to an end.
    #[error("{uuid} on {parent} is still on its way out: something holds it open")]
    Lingering {
        /// The device.
        uuid: MdevUuid,
        /// Where it is.
        parent: ParentName,
    },
    /// Its record cannot be kept up.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Its parent is locked.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl RemoveError {
    /// Whether time alone may help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::InUse { .. } | Self::Lingering { .. } | Self::Unknown { .. } | Self::Creating { .. } => {
                true
            }
            Self::Kernel { source, .. } => matches!(source, WriteError::TimedOut | WriteError::NotTried),
            Self::Lock(error) => error.may_pass(),
            Self::Callout { cause, .. } => cause.may_pass(),
            Self::Ledger(_) => false,
        }
    }
}

fn shown(users: &[User]) -> String {
    let users: Vec<String> = users.iter().map(ToString::to_string).collect();
    users.join(", ")
}

/// Whether a guest may have used a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Past {
    /// It has just been made.
    Unused,
    /// Its driver may have to clean up after one.
    Used,
}

/// Takes away the device of a record, then the record, with mdevctl's scripts around it. The caller holds the
/// device's lock and no parent's. A device that is gone, or that somebody else has made anew, costs only the record.
///
/// # Errors
/// See [`RemoveError`].
pub fn remove(machine: &Machine<'_>, ledger: &Ledger<'_>, record: Record) -> Result<(), RemoveError> {
    remove_of(machine, ledger, record, Past::Used)
}

/// The same for a device that no guest has used: one that this call has made, for a start that comes to nothing, or an
/// idle one of a pool.
///
/// # Errors
/// See [`RemoveError`].
pub fn undo(machine: &Machine<'_>, ledger: &Ledger<'_>, record: Record) -> Result<(), RemoveError> {
    remove_of(machine, ledger, record, Past::Unused)
}

fn remove_of(
    machine: &Machine<'_>,
    ledger: &Ledger<'_>,
    record: Record,
    past: Past,
) -> Result<(), RemoveError> {
    wait_until_made(machine, ledger, &record)?;
    let Some(inode) = our_inode(machine, &record)? else {
        return Ok(ledger.drop_record(record.uuid)?);
    };
    check_idle(&record, wait_until_idle(machine, record.uuid))?;
    if past == Past::Used && record.goes_by_itself() {
        if goes_by_itself(machine, &record, inode) {
            return Ok(ledger.drop_record(record.uuid)?);
        }
        check_idle(&record, users(machine, record.uuid))?;
    }
    let Record {
        uuid,
        ref parent,
        ref mdev_type,
        ..
    } = record;
    let subject = Subject {
        uuid,
        parent: parent.clone(),
        mdev_type: mdev_type.clone(),
    };
    let callouts = Callouts::before_stop(machine, subject).map_err(|cause| RemoveError::Callout {
        uuid,
        parent: parent.clone(),
        cause,
    })?;
    // They may have taken their time.
    let is_idle = if callouts.ran() {
        check_idle(&record, users(machine, uuid))
    } else {
        Ok(())
    };
    let removed = is_idle.and_then(|()| remove_idle(machine, ledger, record, inode));
    callouts.end(match removed {
        Ok(()) => Outcome::Success,
        Err(_) => Outcome::Failure,
    });
    removed
}

/// Gives the driver some time to clean up; whether the device has gone with that.
fn goes_by_itself(machine: &Machine<'_>, record: &Record, inode: u64) -> bool {
    let Record { uuid, parent, .. } = record;
    let is_gone = || is_gone(machine, parent, *uuid, inode).then_some(());
    let deadline = machine.deadline.or_after(machine.timeouts.gone);
    let is_gone = deadline.poll(is_gone).is_some();
    if is_gone {
        log::info!(uuid:%, parent:%; "{uuid} on {parent} has gone by itself");
    }
    is_gone
}

/// The same for a device whose creation has failed half-way: as far as mdevctl's scripts know, it never was.
///
/// # Errors
/// See [`RemoveError`].
pub fn take_back(machine: &Machine<'_>, ledger: &Ledger<'_>, record: Record) -> Result<(), RemoveError> {
    wait_until_made(machine, ledger, &record)?;
    let Some(inode) = our_inode(machine, &record)? else {
        return Ok(ledger.drop_record(record.uuid)?);
    };
    check_idle(&record, wait_until_idle(machine, record.uuid))?;
    remove_idle(machine, ledger, record, inode)
}

fn remove_idle(
    machine: &Machine<'_>,
    ledger: &Ledger<'_>,
    mut record: Record,
    inode: u64,
) -> Result<(), RemoveError> {
    let Record { uuid, ref parent, .. } = record;
    let parent = parent.clone();
    record.state = State::Removing;
    record.inode = Some(inode);
    // The record before finds the device just as well: a full file system must not keep it.
    if let Err(error) = ledger.write_record(&record) {
        log::warn!(uuid:%; "{}", chain(&error));
    }
    write_remove(machine, ledger, &record, inode)?;
    let is_gone = || is_gone(machine, &parent, uuid, inode).then_some(());
    if machine
        .deadline
        .or_after(machine.timeouts.idle)
        .poll(is_gone)
        .is_none()
    {
        return Err(RemoveError::Lingering { uuid, parent });
    }
    ledger.drop_record(uuid)?;
    log::info!(uuid:%, parent:%, mdev_type:% = record.mdev_type; "removed {uuid} ({} on {parent})", record.mdev_type);
    Ok(())
}

fn check_idle(record: &Record, users: Vec<User>) -> Result<(), RemoveError> {
    if users.is_empty() {
        return Ok(());
    }
    Err(RemoveError::InUse {
        uuid: record.uuid,
        parent: record.parent.clone(),
        users,
    })
}

fn users(machine: &Machine<'_>, uuid: MdevUuid) -> Vec<User> {
    processes::users(&machine.root, &sysfs::nodes(&machine.root, uuid))
}

/// The inode of the device's folder, where the device is there and ours.
fn our_inode(machine: &Machine<'_>, record: &Record) -> Result<Option<u64>, RemoveError> {
    let standing = standing(&machine.root, record).map_err(|source| RemoveError::Unknown {
        uuid: record.uuid,
        parent: record.parent.clone(),
        source,
    })?;
    Ok(match standing {
        Standing::Here(inode) => Some(inode),
        Standing::Others => {
            log::warn!(uuid:% = record.uuid; "{} was removed and made again by somebody else; it is left alone", record.uuid);
            None
        }
        Standing::Gone | Standing::BeforeBoot => None,
    })
}

/// Whether the device of that folder is gone; not where it cannot be told.
fn is_gone(machine: &Machine<'_>, parent: &ParentName, uuid: MdevUuid, inode: u64) -> bool {
    sysfs::look_below(&machine.root, parent, uuid).is_ok_and(|found| found != Some(inode))
}

/// Gives a creation that nobody waits for any more some time to come to its end: a record that is dropped before would
/// leave a device without one.
fn wait_until_made(machine: &Machine<'_>, ledger: &Ledger<'_>, record: &Record) -> Result<(), RemoveError> {
    let Record {
        uuid,
        ref parent,
        state,
        ..
    } = *record;
    let is_made = || (state != State::Creating || !ledger.is_being_made(uuid)).then_some(());
    let deadline = machine.deadline.or_after(machine.timeouts.idle);
    deadline.poll(is_made).ok_or_else(|| RemoveError::Creating {
        uuid,
        parent: parent.clone(),
    })
}

/// Gives the users of a device some time to end; who is left is told.
fn wait_until_idle(machine: &Machine<'_>, uuid: MdevUuid) -> Vec<User> {
    let nodes = sysfs::nodes(&machine.root, uuid);
    let mut users = Vec::new();
    machine.deadline.or_after(machine.timeouts.idle).poll(|| {
        users = processes::users(&machine.root, &nodes);
        users.is_empty().then_some(())
    });
    users
}

fn write_remove(
    machine: &Machine<'_>,
    ledger: &Ledger<'_>,
    record: &Record,
    inode: u64,
) -> Result<(), RemoveError> {
    let Record { uuid, parent, .. } = record;
    let folder = sysfs::parent_folder(&machine.root, parent).join(uuid.to_string());
    let target = Target {
        folder: &folder,
        file: "remove",
        inode: Some(inode),
        keep: None,
    };
    let _lock = match ledger.lock_parent(parent, Deadline::now()) {
        Err(LockError::TimedOut { .. }) => {
            let lock = ledger.lock_parent(parent, machine.deadline)?;
            // Somebody may have begun to use it meanwhile.
            check_idle(record, users(machine, *uuid))?;
            lock
        }
        locked => locked?,
    };
    let deadline = machine.deadline.or_after(machine.timeouts.write);
    match machine.kernel.write(target, b"1", deadline) {
        // Gone already, or another removal is under way.
        Ok(())
        | Err(WriteError::Replaced | WriteError::Refused(Errno::ENOENT | Errno::ENODEV | Errno::EAGAIN)) => {
            Ok(())
        }
        Err(source) => Err(RemoveError::Kernel {
            uuid: *uuid,
            parent: parent.clone(),
            source,
        }),
    }
}
