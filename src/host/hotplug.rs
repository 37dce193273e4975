//! Devices for domains that run already. libvirt calls no hook when a device is plugged in or out, so a person says it.

use super::clock::Deadline;
use super::detached;
use super::ledger::Ledger;
use super::machine::Machine;
use super::prepare::{self, Extent, PrepareError, Request};
use super::processes::{self, User};
use super::reconcile::{self, Mode};
use super::release::{self, ReleaseError};
use super::running::{self, Running};
use super::standing::{Standing, standing};
use super::sysfs;
use crate::model::claim::Claimant;
use crate::model::names::{MdevUuid, ParentName, TypeName};
use crate::model::plan::{Origin, Wanted};

/// How a domain came to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gained {
    /// It was made.
    Created,
    /// It was there, made by somebody else.
    Adopted,
    /// The domain had it already.
    Had,
}

/// What became of a device that a domain gave back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// It was removed.
    Removed,
    /// It is still there: somebody else made it.
    Left,
}

/// A device, where it is if it is there, and what was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done<T> {
    /// The device.
    pub uuid: MdevUuid,
    /// Where it is, or was.
    pub place: Option<(ParentName, TypeName)>,
    /// What was done.
    pub what: T,
}

/// Why a device is not given back.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// The domain does not have it.
    #[error("{name} has no device {uuid} by automdev")]
    NotHeld {
        /// The domain.
        name: String,
        /// The device.
        uuid: MdevUuid,
    },
    /// Its guest still has it.
    #[error("{uuid} is in use by {user}; take it from the domain first (virsh detach-device {name} FILE)")]
    InUse {
        /// The device.
        uuid: MdevUuid,
        /// Who has it open.
        user: User,
        /// The domain.
        name: String,
    },
    /// By what libvirt knows, its guest has it still, or is about to.
    #[error("{uuid} is still in the domain; take it from there first (virsh detach-device {name} FILE)")]
    Attached {
        /// The device.
        uuid: MdevUuid,
        /// The domain.
        name: String,
    },
    /// The domain does not run any more: libvirt says itself what it gives back.
    #[error("{0} has ended meanwhile; its devices are given back with it")]
    Ended(String),
    /// It cannot be given back, or not yet.
    #[error(transparent)]
    Release(#[from] ReleaseError),
}

/// Why a domain does not get a device.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// As at a start.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The domain has ended, and what was made for it is given back.
    #[error("{0} has ended meanwhile; nothing is left of what was made for it")]
    Ended(String),
}

/// Gives a domain that runs some more devices, all or none. What it has already stays as it is.
///
/// # Errors
/// See [`CreateError`].
pub fn create(
    machine: &Machine<'_>,
    running: &Running,
    uuids: &[MdevUuid],
) -> Result<Vec<Done<Gained>>, CreateError> {
    let claimant = Claimant::Domain(running.uuid);
    let ledger = Ledger::look(&machine.root, machine.kernel);
    let had: Vec<MdevUuid> = uuids
        .iter()
        .copied()
        .filter(|uuid| ledger.is_claimed_by(*uuid, claimant) && is_there(machine, *uuid))
        .collect();
    let wanted = uuids
        .iter()
        .filter(|uuid| !had.contains(uuid))
        .map(|uuid| Wanted {
            uuid: *uuid,
            model: None,
            origin: Origin::Definition,
        });
    let request = Request {
        claimant,
        name: running.name.clone(),
        daemon: None,
        asker: Some(running.qemu),
        wanted: wanted.collect(),
        besides: Vec::new(),
        affinity: running.affinity.clone(),
        extent: Extent::More,
    };
    if !request.wanted.is_empty() {
        prepare::prepare(machine, &request).map_err(|error| match error {
            PrepareError::Abandoned => CreateError::Ended(running.name.clone()),
            error => CreateError::Prepare(error),
        })?;
    }
    // Its release may have come before there was something to be released; so may its next start, whose devices stay.
    if !processes::runs(&machine.root, running.qemu) {
        give_back_what_is_nobodys(machine, claimant);
        return Err(CreateError::Ended(running.name.clone()));
    }
    let gained = |uuid: &MdevUuid| {
        let record = ledger.record(*uuid).ok().flatten();
        let is_ours =
            record.is_some_and(|record| matches!(standing(&machine.root, &record), Ok(Standing::Here(_))));
        let what = match is_ours {
            _ if had.contains(uuid) => Gained::Had,
            true => Gained::Created,
            false => Gained::Adopted,
        };
        Done {
            uuid: *uuid,
            place: place(machine, *uuid),
            what,
        }
    };
    Ok(uuids.iter().map(gained).collect())
}

/// Gives back what a domain claims that has ended, and does not start again.
fn give_back_what_is_nobodys(machine: &Machine<'_>, claimant: Claimant) {
    match reconcile::claimant(machine, claimant, Mode::Act) {
        Ok(leftovers) if leftovers.iter().all(|one| one.outcome.hindrance().is_none()) => {}
        Ok(leftovers) => {
            for leftover in leftovers {
                log::warn!("{}", leftover.reason);
            }
            detached::start(machine, claimant);
        }
        Err(error) => log::error!("{}", release::chain(&error)),
    }
}

/// Takes from a domain that runs some of its devices, all where none is named. Nothing is taken while the domain's guest
/// has one of them: it is waited for, for a short time.
///
/// # Errors
/// See [`RemoveError`]; what could be given back before has been.
pub fn remove(
    machine: &Machine<'_>,
    running: &Running,
    uuids: &[MdevUuid],
) -> Result<Vec<Done<Lost>>, RemoveError> {
    let claimant = Claimant::Domain(running.uuid);
    let ledger = Ledger::look(&machine.root, machine.kernel);
    let ledger_error = |error| RemoveError::Release(ReleaseError::Ledger(error));
    let mut held = release::holdings(&ledger, claimant).map_err(ledger_error)?;
    held.retain(|uuid| ledger.is_claimed_by(*uuid, claimant) || is_left(&ledger, *uuid));
    if let Some(uuid) = uuids.iter().find(|uuid| !held.contains(uuid)) {
        return Err(RemoveError::NotHeld {
            name: running.name.clone(),
            uuid: *uuid,
        });
    }
    held.retain(|uuid| uuids.is_empty() || uuids.contains(uuid));
    let until = machine.deadline.or_after(machine.timeouts.idle);
    for uuid in &held {
        wait_until_idle(machine, running, *uuid, until)?;
    }
    let mut done: Vec<Done<Lost>> = held
        .iter()
        .map(|uuid| Done {
            uuid: *uuid,
            place: place(machine, *uuid),
            what: Lost::Removed,
        })
        .collect();
    let mut hindered = None;
    let released = release::release_some(machine, claimant, &held, || {
        hindered = check(machine, running, &held).err();
        hindered.is_none()
    });
    if let Some(error) = hindered {
        return Err(error);
    }
    if let Some(error) = released.err().into_iter().flatten().next() {
        return Err(error.into());
    }
    for one in &mut done {
        if is_there(machine, one.uuid) {
            one.what = Lost::Left;
        }
    }
    Ok(done)
}

/// Whether a device of ours is one that nobody claims any more: a call that was to remove it died after it had dropped the
/// claim.
fn is_left(ledger: &Ledger<'_>, uuid: MdevUuid) -> bool {
    let is_unclaimed = ledger
        .claimants_of(uuid)
        .is_ok_and(|claimants| claimants.is_empty());
    is_unclaimed && matches!(ledger.record(uuid), Ok(Some(_)))
}

/// Whether the same domain still runs, and has none of these devices any more.
fn check(machine: &Machine<'_>, running: &Running, devices: &[MdevUuid]) -> Result<(), RemoveError> {
    let now = running::find(&machine.root, machine.kernel, &running.name).ok();
    let Some(now) = now.filter(|now| now.qemu == running.qemu) else {
        return Err(RemoveError::Ended(running.name.clone()));
    };
    for uuid in devices {
        let name = running.name.clone();
        if let Some(user) = user_of(machine, *uuid) {
            return Err(RemoveError::InUse {
                uuid: *uuid,
                user,
                name,
            });
        }
        if now.devices.contains(uuid) {
            return Err(RemoveError::Attached { uuid: *uuid, name });
        }
    }
    Ok(())
}

fn user_of(machine: &Machine<'_>, uuid: MdevUuid) -> Option<User> {
    let nodes = sysfs::nodes(&machine.root, uuid);
    processes::users(&machine.root, &nodes).into_iter().next()
}

fn wait_until_idle(
    machine: &Machine<'_>,
    running: &Running,
    uuid: MdevUuid,
    until: Deadline,
) -> Result<(), RemoveError> {
    let mut last = None;
    let idle = until.poll(|| {
        last = user_of(machine, uuid);
        last.is_none().then_some(())
    });
    match (idle, last) {
        (None, Some(user)) => Err(RemoveError::InUse {
            uuid,
            user,
            name: running.name.clone(),
        }),
        _ => Ok(()),
    }
}

fn is_there(machine: &Machine<'_>, uuid: MdevUuid) -> bool {
    place(machine, uuid).is_some()
}

fn place(machine: &Machine<'_>, uuid: MdevUuid) -> Option<(ParentName, TypeName)> {
    let active = sysfs::active(&machine.root, uuid).ok().flatten()?;
    Some((active.parent, active.mdev_type))
}
