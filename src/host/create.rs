//! Makes one device at its place, as its record says.

use std::os::fd::AsFd;
use std::path::PathBuf;

use nix::errno::Errno;

use super::callouts::CalloutError;
use super::kernel::{Target, WriteError};
use super::ledger::{Ledger, LedgerError, LockError};
use super::machine::Machine;
use super::release::chain;
use super::remove::RemoveError;
use super::sysfs;
use crate::model::claim::{Record, State};
use crate::model::names::{AttributePath, MdevUuid, ParentName, Shown, TypeName};

/// Why a device was not made. Displays the reason and what to do next, without the device.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The kernel refused to make it.
    #[error("{}", refused(*errno, parent, mdev_type))]
    Refused {
        /// The kernel's answer.
        errno: Errno,
        /// Where.
        parent: ParentName,
        /// As what.
        mdev_type: TypeName,
    },
    /// The write could not be brought to an end.
    #[error("the driver of {parent}: {source}; look at the kernel's log (dmesg)")]
    Unanswered {
        /// Where.
        parent: ParentName,
        /// What happened.
        source: WriteError,
    },
    /// The kernel made it, and somebody took it away at once.
    #[error("somebody removed it as soon as it was made; find out who manages devices here besides automdev")]
    Vanished,
    /// A value of its definition was not taken.
    #[error("its attribute {path} does not take {}: {}; correct the definition", Shown(value), attribute_refused(*source))]
    Attribute {
        /// The file.
        path: AttributePath,
        /// The value.
        value: String,
        /// Why not.
        source: WriteError,
    },
    /// Its node did not come.
    #[error("it was made, but {} did not appear; is the module vfio_mdev or vfio loaded, and does udev run?", node.display())]
    NoNode {
        /// The node.
        node: PathBuf,
    },
    /// One of mdevctl's scripts does not want it to be made.
    #[error(transparent)]
    Callout(#[from] CalloutError),
    /// Its parent is locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The device that was to make way for it did not.
    #[error("{device}, which is to make way for it, cannot be removed: {}", chain(cause))]
    NoWay {
        /// The device.
        device: MdevUuid,
        /// Why not.
        cause: Box<RemoveError>,
    },
    /// Its record cannot be kept up.
    #[error("cannot keep its record: {0}")]
    Ledger(#[from] LedgerError),
}

impl CreateError {
    /// Whether another place is worth a try.
    #[must_use]
    pub fn is_about_place(&self) -> bool {
        match self {
            // The UUID is taken; nobody but root may; whichever place it is.
            CreateError::Refused { errno, .. } => {
                !matches!(errno, Errno::EEXIST | Errno::EACCES | Errno::EROFS)
            }
            _ => false,
        }
    }

    /// Whether time alone may help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            CreateError::Unanswered { source, .. } | CreateError::Attribute { source, .. } => {
                matches!(source, WriteError::TimedOut | WriteError::NotTried)
            }
            CreateError::Callout(error) => error.may_pass(),
            CreateError::Lock(error) => error.may_pass(),
            CreateError::NoWay { cause, .. } => cause.may_pass(),
            CreateError::Refused { .. }
            | CreateError::Vanished
            | CreateError::NoNode { .. }
            | CreateError::Ledger(_) => false,
        }
    }
}

/// What the kernel means by refusing a creation: `drivers/vfio/mdev` and its drivers.
fn refused(errno: Errno, parent: &ParentName, mdev_type: &TypeName) -> String {
    match errno {
        Errno::EEXIST => "a device of this UUID is there already, or still on its way out; try again, or look with mdevctl list".to_owned(),
        Errno::ENOSPC | Errno::ENOMEM | Errno::EUSERS | Errno::EPERM => format!(
            "{parent} has no room left for {mdev_type} ({}); stop a domain that has a device there, or move this definition to another parent",
            errno.desc()
        ),
        Errno::EINVAL => format!(
            "the driver of {parent} refuses it (EINVAL): the GPU may hold another type now, or take no more of this one; look at the kernel's log (dmesg)"
        ),
        Errno::ENODEV => format!("{parent} is going away; is its driver being unloaded?"),
        Errno::ENOENT => format!("{parent} or its {mdev_type} went away meanwhile; is its driver being unloaded?"),
        Errno::EACCES | Errno::EROFS => format!("no right to create devices on {parent} ({}); run automdev as root", errno.desc()),
        errno => format!("the driver of {parent} answers {} ({errno:?}); look at the kernel's log (dmesg)", errno.desc()),
    }
}

fn attribute_refused(error: WriteError) -> String {
    match error {
        WriteError::Refused(Errno::ENOENT | Errno::ELOOP | Errno::ENOTDIR) => {
            "the device has no such attribute".to_owned()
        }
        WriteError::Refused(Errno::EACCES) => "the attribute cannot be written".to_owned(),
        WriteError::Refused(errno) => format!("the driver answers {} ({errno:?})", errno.desc()),
        other => other.to_string(),
    }
}

/// What is still to come once a device is there, before it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Then {
    /// Nothing but what it needs itself: attributes, its node.
    Nothing,
    /// Scripts, or other devices without which it is of no use.
    Others,
}

/// Makes the device of a record that is `creating` and writes its attributes; where nothing is still to come, it is
/// `ready` at once. The caller holds the locks of the device and of its parent.
///
/// # Errors
/// See [`CreateError`]. The record says how far it came.
pub fn create(
    machine: &Machine<'_>,
    ledger: &Ledger<'_>,
    record: &mut Record,
    then: Then,
) -> Result<(), CreateError> {
    let flight = ledger.begin_creation(record.uuid, machine.deadline)?;
    let folder = sysfs::type_folder(&machine.root, &record.parent, &record.mdev_type);
    let target = Target {
        folder: &folder,
        file: "create",
        inode: None,
        keep: Some(flight.as_fd()),
    };
    let deadline = machine.deadline.or_after(machine.timeouts.write);
    let uuid = record.uuid.to_string();
    match machine.kernel.write(target, uuid.as_bytes(), deadline) {
        Ok(()) => {}
        Err(WriteError::Refused(errno)) => {
            flight.land();
            return Err(CreateError::Refused {
                errno,
                parent: record.parent.clone(),
                mdev_type: record.mdev_type.clone(),
            });
        }
        Err(source) => {
            return Err(CreateError::Unanswered {
                parent: record.parent.clone(),
                source,
            });
        }
    }
    let inode = sysfs::inode_below(&machine.root, &record.parent, record.uuid);
    record.inode = Some(inode.ok_or(CreateError::Vanished)?);
    if then == Then::Nothing
        && record.attributes.is_empty()
        && missing_node(machine, &sysfs::nodes(&machine.root, record.uuid)).is_none()
    {
        record.state = State::Ready;
    }
    // From here on the device is known by its folder, whoever makes another one.
    ledger.write_record(record)?;
    flight.land();
    let folder = sysfs::parent_folder(&machine.root, &record.parent).join(&uuid);
    for attribute in &record.attributes {
        let target = Target {
            folder: &folder,
            file: attribute.path.as_str(),
            inode: record.inode,
            keep: None,
        };
        let deadline = machine.deadline.or_after(machine.timeouts.write);
        machine
            .kernel
            .write(target, attribute.value.as_bytes(), deadline)
            .map_err(|source| CreateError::Attribute {
                path: attribute.path.clone(),
                value: attribute.value.clone(),
                source,
            })?;
    }
    Ok(())
}

/// Waits for the nodes of a device that was made, and calls it ready where it is not yet. The caller holds the device's lock.
///
/// # Errors
/// See [`CreateError`].
pub fn finish(machine: &Machine<'_>, ledger: &Ledger<'_>, record: &mut Record) -> Result<(), CreateError> {
    if record.state != State::Ready {
        let nodes = sysfs::nodes(&machine.root, record.uuid);
        let mut missing = None;
        machine.deadline.or_after(machine.timeouts.node).poll(|| {
            missing = missing_node(machine, &nodes);
            missing.is_none().then_some(())
        });
        if let Some(node) = missing {
            return Err(CreateError::NoNode { node: node.clone() });
        }
        record.state = State::Ready;
        ledger.write_record(record)?;
    }
    let Record {
        uuid,
        parent,
        mdev_type,
        ..
    } = record;
    log::info!(uuid:%, parent:%, mdev_type:%; "created {uuid} ({mdev_type} on {parent})");
    Ok(())
}

fn missing_node<'n>(machine: &Machine<'_>, nodes: &'n [PathBuf]) -> Option<&'n PathBuf> {
    nodes.iter().find(|node| !machine.root.path(node).exists())
}
