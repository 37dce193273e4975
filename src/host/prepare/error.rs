//! Why a claimant does not get its devices.

use crate::host::create::CreateError;
use crate::host::ledger::{LedgerError, LockError};
use crate::host::release;
use crate::host::remove::RemoveError;
use crate::host::survey::SurveyError;
use crate::model::names::{MdevUuid, ParentName, TypeName};
use crate::model::plan::Place;
use crate::model::refusal::Refusal;

/// Why a claimant does not get its devices. What this call made is gone again.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The plan refuses a device.
    #[error("cannot {} {}: {refusal}", verb(refusal), shown(*uuid, place.as_deref()))]
    Refused {
        /// The device.
        uuid: MdevUuid,
        /// Where it would have been made.
        place: Option<Box<Place>>,
        /// Why.
        refusal: Box<Refusal>,
    },
    /// A device was not made.
    #[error(transparent)]
    Create(Box<NotCreated>),
    /// What a crash left of a device cannot be taken away.
    #[error("cannot create {}: what an interrupted start left of it cannot be removed: {}", shown(*uuid, None), release::chain(cause))]
    Leftover {
        /// The device.
        uuid: MdevUuid,
        /// Why not.
        cause: RemoveError,
    },
    /// One of a pool's own devices has become somebody else's.
    #[error("another automdev call is at work on {device}; try again")]
    Lost {
        /// The device.
        device: MdevUuid,
    },
    /// Whoever asked for them is not there any more.
    #[error("nothing is made: libvirt's daemon, which asked for it, has ended meanwhile")]
    Abandoned,
    /// The host cannot be looked at.
    #[error(transparent)]
    Survey(#[from] SurveyError),
    /// The ledger cannot be kept.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Somebody else is at it.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// A device that was not made.
#[derive(Debug, thiserror::Error)]
#[error("cannot create {}: {cause}{}", shown(*uuid, Some(place)), left_over(rollback))]
pub struct NotCreated {
    /// The device.
    pub uuid: MdevUuid,
    /// Where it was to be made.
    pub place: Place,
    /// Why not.
    pub cause: CreateError,
    /// What could not be undone.
    pub rollback: Vec<RemoveError>,
    /// What was there by then of what the same call makes.
    pub before: Vec<(ParentName, TypeName)>,
}

fn verb(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Claimed { .. }
        | Refusal::Starting { .. }
        | Refusal::ActiveMismatch { .. }
        | Refusal::Elsewhere { .. }
        | Refusal::Removing { .. }
        | Refusal::InUse { .. }
        | Refusal::Used { .. } => "use",
        _ => "create",
    }
}

fn shown(uuid: MdevUuid, place: Option<&Place>) -> String {
    match place {
        Some(Place {
            parent, mdev_type, ..
        }) => format!("{uuid} ({mdev_type} on {parent})"),
        None => uuid.to_string(),
    }
}

fn left_over(rollback: &[RemoveError]) -> String {
    let texts: Vec<String> = rollback.iter().map(|error| release::chain(error)).collect();
    if texts.is_empty() {
        String::new()
    } else {
        format!("; besides, {}", texts.join("; "))
    }
}

impl NotCreated {
    /// Whether another place is worth a try, and nothing of this one is left.
    pub(super) fn is_about_place(&self) -> bool {
        self.cause.is_about_place() && self.rollback.is_empty()
    }
}
