//! What those who died have left, and what is done about it.

use super::claim::Claimant;
use super::names::{MdevUuid, ParentName, TypeName};

/// One thing that was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The device; none where it is about something else.
    pub uuid: Option<MdevUuid>,
    /// Where it is and what it is, for a device of ours.
    pub place: Option<(ParentName, TypeName)>,
    /// Who left it.
    pub claimant: Option<Party>,
    /// What is done about it.
    pub outcome: Outcome,
    /// Why, for people, on one line.
    pub reason: String,
}

/// A claimant, and its name as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Who it is.
    pub claimant: Claimant,
    /// The domain's name, or the program's; empty where nothing says so.
    pub name: String,
}

/// What is done about something that was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The device is removed, and what was known of it with it.
    Removed,
    /// Only what was known is forgotten: there is no device of ours.
    Forgotten,
    /// A device of a pool that had made way for one that is gone is made again.
    PutBack,
    /// It stays, for another time.
    Kept(Hindrance),
}

/// Why something stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hindrance {
    /// Somebody uses the device.
    InUse,
    /// The kernel is still at its removal.
    Removing,
    /// The driver is still at its creation.
    Creating,
    /// A file cannot be read.
    Broken,
    /// Another call is at work on it.
    Busy,
    /// One of mdevctl's scripts does not want it to be removed.
    Callout,
    /// It could not be done.
    Failed,
}

impl Outcome {
    /// The stable word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Removed => "remove",
            Outcome::Forgotten => "forget",
            Outcome::PutBack => "put-back",
            Outcome::Kept(_) => "keep",
        }
    }

    /// Why it stays, if it does.
    #[must_use]
    pub const fn hindrance(self) -> Option<Hindrance> {
        match self {
            Outcome::Kept(hindrance) => Some(hindrance),
            Outcome::Removed | Outcome::Forgotten | Outcome::PutBack => None,
        }
    }
}

impl Hindrance {
    /// The stable word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Hindrance::InUse => "in-use",
            Hindrance::Removing => "removing",
            Hindrance::Creating => "creating",
            Hindrance::Broken => "broken",
            Hindrance::Busy => "busy",
            Hindrance::Callout => "callout",
            Hindrance::Failed => "failed",
        }
    }
}
