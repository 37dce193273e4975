//! The devices that a start has to see to: which of a domain's, and what says what they are.

use crate::model::domain::{Domain, Hostdev, Mark, Model, Select, Source};
use crate::model::names::{MdevUuid, ParentName, PoolName};
use crate::model::refusal::Refusal;

/// A device that a start has to see to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The device.
    pub uuid: MdevUuid,
    /// The interface that the guest expects, where it says one.
    pub model: Option<Model>,
    /// From where.
    pub origin: Origin,
}

/// What says what a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Its own definition.
    Definition,
    /// Its own definition under this parent, below which alone it is looked for.
    DefinitionUnder(ParentName),
    /// A pool, under this very UUID.
    Pool(PoolName),
    /// A pool, which may hand out a device that is there already, under its own UUID.
    AnyOfPool(PoolName),
}

impl Origin {
    /// The pool.
    #[must_use]
    pub fn pool(&self) -> Option<&PoolName> {
        match self {
            Origin::Pool(pool) | Origin::AnyOfPool(pool) => Some(pool),
            Origin::Definition | Origin::DefinitionUnder(_) => None,
        }
    }

    /// Whether a device of another UUID will do.
    #[must_use]
    pub fn takes_other_uuid(&self) -> bool {
        matches!(self, Origin::AnyOfPool(_))
    }
}

impl Wanted {
    /// Whether it is of no use below this parent.
    pub(super) fn is_elsewhere(&self, parent: &ParentName) -> bool {
        matches!(&self.origin, Origin::DefinitionUnder(asked) if asked != parent)
    }

    /// Why it cannot be had, where these are the parents below which it is, or would be.
    pub(super) fn refuse_elsewhere(&self, parents: Vec<ParentName>) -> Option<Refusal> {
        match &self.origin {
            Origin::DefinitionUnder(asked) if !parents.is_empty() && !parents.contains(asked) => {
                Some(Refusal::Elsewhere {
                    asked: asked.clone(),
                    parents,
                })
            }
            _ => None,
        }
    }
}

/// The devices of a domain that count as marked. `defined` is asked where that decides.
pub fn wanted(domain: &Domain, select: Select, defined: impl Fn(MdevUuid) -> bool) -> Vec<Wanted> {
    let is_marked = |hostdev: &Hostdev| match (hostdev.mark, select) {
        (Mark::Yes, _) => true,
        (Mark::No, _) | (Mark::Absent, Select::Marked) => false,
        (Mark::Absent, Select::Managed) => hostdev.managed,
        (Mark::Absent, Select::Defined) => hostdev.source.uuid().is_some_and(&defined),
    };
    let marked = domain.hostdevs.iter().filter(|hostdev| is_marked(hostdev));
    marked
        .filter_map(|hostdev| {
            let origin = match &hostdev.source {
                Source::Uuid(_) => Origin::Definition,
                Source::Pool(pool) | Source::PoolAs(pool, _) => Origin::Pool(pool.clone()),
            };
            Some(Wanted {
                uuid: hostdev.source.uuid()?,
                model: Some(hostdev.model),
                origin,
            })
        })
        .collect()
}

/// The other mediated devices of a domain.
#[must_use]
pub fn besides(domain: &Domain, wanted: &[Wanted]) -> Vec<MdevUuid> {
    let all = domain.hostdevs.iter().filter_map(|hostdev| hostdev.source.uuid());
    all.filter(|uuid| wanted.iter().all(|wanted| wanted.uuid != *uuid))
        .collect()
}
