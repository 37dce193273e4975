//! A device of a pool that makes way for a domain's own, and is put back afterwards.
//!
//! ```text
//!   note swaps/D ─► take D away ─► make ours in its place … take ours away ─► make D ─► drop the note
//! ```
//!
//! Whatever dies in between leaves the note, and [`put_back`] goes on from whatever it finds.

use super::super::callouts::Callouts;
use super::super::create::{self, CreateError, Then};
use super::super::definitions;
use super::super::ledger::{self, Ledger, LedgerError, Swap};
use super::super::machine::Machine;
use super::super::remove::{self, RemoveError};
use super::super::sysfs;
use crate::model::callout::{Outcome, Subject};
use crate::model::claim::{Kind, Record, SCHEMA, State};
use crate::model::definition::{Attribute, Start};
use crate::model::names::MdevUuid;
use crate::model::plan::{self, Place};

/// Why a device is not back in its place. The note stays.
#[derive(Debug, thiserror::Error)]
pub enum PutBackError {
    /// It was not made.
    #[error("{device}, which made way for {stand_in}, is not put back ({} on {}): {cause}", place.mdev_type, place.parent)]
    Create {
        /// The device.
        device: MdevUuid,
        /// What was in its place.
        stand_in: MdevUuid,
        /// Where it belongs.
        place: Box<Place>,
        /// Why not.
        cause: Box<CreateError>,
    },
    /// What was left of it cannot be taken away.
    #[error(transparent)]
    Remove(#[from] RemoveError),
    /// The ledger cannot be kept.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl PutBackError {
    /// Whether time alone may help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            PutBackError::Create { cause, .. } => cause.may_pass(),
            PutBackError::Remove(error) => error.may_pass(),
            PutBackError::Ledger(_) => false,
        }
    }
}

/// The note about a device that makes way; `place` is its own.
#[must_use]
pub fn note(device: MdevUuid, stand_in: MdevUuid, place: &Place) -> Swap {
    Swap {
        schema: SCHEMA,
        device,
        stand_in,
        parent: place.parent.clone(),
        mdev_type: place.mdev_type.clone(),
        start: place.start,
        attributes: place.attributes.clone(),
    }
}

/// Takes an idle device away whose swap is noted. One that is gone already is fine. The caller holds its lock.
///
/// # Errors
/// See [`RemoveError`].
pub fn take_away(machine: &Machine<'_>, ledger: &Ledger<'_>, swap: &Swap) -> Result<(), RemoveError> {
    if let Some(record) = ledger.record(swap.device)? {
        // What an interrupted call left.
        return remove::undo(machine, ledger, record);
    }
    let Some(inode) = sysfs::inode_below(&machine.root, &swap.parent, swap.device) else {
        return Ok(());
    };
    let mut record = record_of(machine, swap, State::Removing)?;
    record.inode = Some(inode);
    // It was idle: no driver has to clean up after a guest first.
    remove::undo(machine, ledger, record)
}

/// Keeps the place of a device that comes back soon from being taken by others, where one has to. The caller holds
/// its lock.
///
/// # Errors
/// The ledger cannot be kept.
pub fn reserve(machine: &Machine<'_>, ledger: &Ledger<'_>, stand_in: MdevUuid) -> Result<(), LedgerError> {
    for swap in swaps_for(ledger, stand_in) {
        let is_there = sysfs::inode_below(&machine.root, &swap.parent, swap.device).is_some();
        if !is_there && ledger.record(swap.device)?.is_none() {
            ledger.forget_creation(swap.device);
            ledger.write_record(&record_of(machine, &swap, State::Creating)?)?;
        }
    }
    Ok(())
}

/// Puts back what made way for a device that is gone; where it still is there, or nothing made way for it, nothing is
/// done. The caller holds the locks of both.
///
/// # Errors
/// See [`PutBackError`].
pub fn put_back(machine: &Machine<'_>, ledger: &Ledger<'_>, stand_in: MdevUuid) -> Result<(), PutBackError> {
    for swap in swaps_for(ledger, stand_in) {
        if sysfs::inode_below(&machine.root, &swap.parent, stand_in).is_some() {
            continue;
        }
        put_one_back(machine, ledger, &swap)?;
    }
    Ok(())
}

fn swaps_for(ledger: &Ledger<'_>, stand_in: MdevUuid) -> impl Iterator<Item = Swap> {
    let swaps = ledger.swaps().into_iter();
    swaps.filter(move |swap| swap.stand_in == stand_in)
}

fn put_one_back(machine: &Machine<'_>, ledger: &Ledger<'_>, swap: &Swap) -> Result<(), PutBackError> {
    let device = swap.device;
    let is_below = || sysfs::inode_below(&machine.root, &swap.parent, device).is_some();
    match ledger.record(device)? {
        Some(record) if record.state == State::Ready && is_there(machine, &record) => {
            ledger.drop_record(device)?;
        }
        Some(record) if is_below() => {
            remove::remove(machine, ledger, record)?;
            make(machine, ledger, swap)?;
        }
        // It never went, or somebody else has made it anew.
        None if is_below() => {}
        _ => make(machine, ledger, swap)?,
    }
    Ok(ledger.drop_swap(device)?)
}

fn is_there(machine: &Machine<'_>, record: &Record) -> bool {
    let active = sysfs::active(&machine.root, record.uuid).ok().flatten();
    active.is_some_and(|active| plan::is_ours(record, &active))
}

/// Makes it from its definition, and leaves it as it was: nobody's of ours.
fn make(machine: &Machine<'_>, ledger: &Ledger<'_>, swap: &Swap) -> Result<(), PutBackError> {
    let (start, attributes) = as_defined(machine, swap);
    let mut record = record_of(machine, swap, State::Creating)?;
    record.attributes = attributes;
    ledger.forget_creation(swap.device);
    ledger.write_record(&record)?;
    let made = create(machine, ledger, &mut record, start);
    let Err(cause) = made else {
        ledger.drop_record(swap.device)?;
        log::info!(uuid:% = swap.device; "put {} back ({} on {}), which had made way for {}", swap.device, swap.mdev_type, swap.parent, swap.stand_in);
        return Ok(());
    };
    // Nothing half made stays; one that may still come keeps its record.
    if !matches!(cause, CreateError::Unanswered { .. }) {
        remove::take_back(machine, ledger, record)?;
    }
    Err(PutBackError::Create {
        device: swap.device,
        stand_in: swap.stand_in,
        place: Box::new(Place {
            parent: swap.parent.clone(),
            mdev_type: swap.mdev_type.clone(),
            start: swap.start,
            attributes: swap.attributes.clone(),
            pool: None,
        }),
        cause: Box::new(cause),
    })
}

fn create(
    machine: &Machine<'_>,
    ledger: &Ledger<'_>,
    record: &mut Record,
    start: Start,
) -> Result<(), CreateError> {
    let subject = Subject {
        uuid: record.uuid,
        parent: record.parent.clone(),
        mdev_type: record.mdev_type.clone(),
    };
    let callouts = Callouts::before_start(machine, subject, start, &record.attributes)?;
    let created = ledger
        .lock_parent(&record.parent, machine.deadline)
        .map_err(CreateError::Lock)
        .and_then(|_lock| create::create(machine, ledger, record, Then::Others));
    callouts.end(match created {
        Ok(()) => Outcome::Success,
        Err(_) => Outcome::Failure,
    });
    created?;
    create::finish(machine, ledger, record)
}

/// What its definition says now; what it said when the device made way, where it says something else entirely.
fn as_defined(machine: &Machine<'_>, swap: &Swap) -> (Start, Vec<Attribute>) {
    let defined = definitions::of_device(&machine.root, swap.device).unwrap_or_default();
    let now = defined
        .into_iter()
        .find(|one| one.parent == swap.parent)
        .and_then(|one| one.definition.ok())
        .filter(|definition| definition.mdev_type == swap.mdev_type);
    match now {
        Some(definition) => (definition.start, definition.attributes),
        None => (swap.start, swap.attributes.clone()),
    }
}

fn record_of(machine: &Machine<'_>, swap: &Swap, state: State) -> Result<Record, LedgerError> {
    Ok(Record {
        schema: SCHEMA,
        kind: Kind::Mdev,
        uuid: swap.device,
        parent: swap.parent.clone(),
        mdev_type: swap.mdev_type.clone(),
        attributes: swap.attributes.clone(),
        state,
        inode: None,
        boot: ledger::boot(&machine.root)?,
        pool: None,
    })
}
