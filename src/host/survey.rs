//! Answers a plan's questions about this host, by looking.

use std::cell::RefCell;
use std::io;

use super::definitions;
use super::ledger::{Ledger, LedgerError};
use super::life;
use super::processes;
use super::root::Root;
use super::sysfs;
use crate::model::claim::{Claim, Claimant, Holder, Record};
use crate::model::inventory::{Active, Defined, Inventory, Neighbour, Offer, ParentState};
use crate::model::names::{MdevUuid, ParentName, TypeName};

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// What the ledger holds cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What sysfs says about a device cannot be read.
    #[error("cannot read what sysfs says about {uuid}")]
    Sysfs {
        /// The device.
        uuid: MdevUuid,
        /// Why not.
        source: io::Error,
    },
}

/// A look at this host on behalf of one claimant.
pub struct Survey<'a> {
    root: &'a Root,
    ledger: &'a Ledger<'a>,
    claimant: Option<Claimant>,
    failures: RefCell<Vec<SurveyError>>,
}

impl<'a> Survey<'a> {
    /// A look on behalf of a claimant, whose own claims are nobody else's.
    #[must_use]
    pub fn new(root: &'a Root, ledger: &'a Ledger<'a>, claimant: Option<Claimant>) -> Self {
        Survey {
            root,
            ledger,
            claimant,
            failures: RefCell::new(Vec::new()),
        }
    }

    /// Ends the look.
    ///
    /// # Errors
    /// The first thing that could not be read; the plan made meanwhile is not to be used.
    pub fn finish(self) -> Result<(), SurveyError> {
        self.into_failures().into_iter().next().map_or(Ok(()), Err)
    }

    /// Ends the look, and tells all that could not be read: where the plan is only to be shown, it is as good as
    /// what could be.
    #[must_use]
    pub fn into_failures(self) -> Vec<SurveyError> {
        self.failures.into_inner()
    }

    /// The answer, or none and the failure noted.
    fn note<T: Default, E: Into<SurveyError>>(&self, answer: Result<T, E>) -> T {
        answer.unwrap_or_else(|error| {
            self.failures.borrow_mut().push(error.into());
            T::default()
        })
    }

    fn others(&self, claimants: Vec<Claimant>) -> impl Iterator<Item = Claimant> {
        let own = self.claimant;
        claimants
            .into_iter()
            .filter(move |claimant| Some(*claimant) != own)
    }

    fn holder(&self, claimant: Claimant, claim: Claim) -> Holder {
        let life = life::of_claimant(self.root, claimant, &claim);
        Holder {
            claimant,
            name: claim.name,
            life,
        }
    }

    /// As [`Inventory::holders`], for a device that is only to be named: what cannot be read of it says nothing
    /// about those that are wanted.
    fn readable_holders(&self, uuid: MdevUuid) -> Vec<Holder> {
        let claimants = self.ledger.claimants_of(uuid).unwrap_or_default();
        self.others(claimants)
            .filter_map(|claimant| {
                let claim = self.ledger.claim(uuid, claimant).ok().flatten()?;
                Some(self.holder(claimant, claim))
            })
            .collect()
    }
}

impl Inventory for Survey<'_> {
    fn definitions(&self, uuid: MdevUuid) -> Vec<Defined> {
        definitions::of_device(self.root, uuid)
    }

    fn all_defined(&self) -> Vec<MdevUuid> {
        definitions::all(self.root)
    }

    fn active(&self, uuid: MdevUuid) -> Option<Active> {
        self.note(sysfs::active(self.root, uuid).map_err(|source| SurveyError::Sysfs { uuid, source }))
    }

    fn record(&self, uuid: MdevUuid) -> Option<Record> {
        self.note(self.ledger.record(uuid))
    }

    fn lingers(&self, uuid: MdevUuid, parent: &ParentName) -> bool {
        sysfs::inode_below(self.root, parent, uuid).is_some()
    }

    fn users(&self, uuid: MdevUuid) -> Vec<String> {
        let users = processes::users(self.root, &sysfs::nodes(self.root, uuid));
        users.iter().map(ToString::to_string).collect()
    }

    fn holders(&self, uuid: MdevUuid) -> Vec<Holder> {
        let claimants = self.note(self.ledger.claimants_of(uuid));
        self.others(claimants)
            .filter_map(|claimant| {
                let claim = self.note(self.ledger.claim(uuid, claimant))?;
                Some(self.holder(claimant, claim))
            })
            .collect()
    }

    fn parent(&self, parent: &ParentName) -> ParentState {
        sysfs::parent_state(self.root, parent)
    }

    fn all_parents(&self) -> Vec<ParentName> {
        sysfs::parents(self.root)
    }

    fn offer(&self, parent: &ParentName, mdev_type: &TypeName) -> Option<Offer> {
        sysfs::offer(self.root, parent, mdev_type)
    }

    fn offered(&self, parent: &ParentName) -> Vec<TypeName> {
        sysfs::offered(self.root, parent)
    }

    fn neighbours(&self, parent: &ParentName) -> Vec<Neighbour> {
        let gpu = sysfs::gpu(self.root, parent);
        let mut parents: Vec<ParentName> = sysfs::parents(self.root);
        parents.retain(|other| other == parent || sysfs::gpu(self.root, other) == gpu);
        let devices = parents
            .iter()
            .flat_map(|parent| sysfs::devices_of(self.root, parent));
        devices
            .filter_map(|(uuid, mdev_type)| {
                let holders = self.readable_holders(uuid);
                Some(Neighbour {
                    uuid,
                    mdev_type: mdev_type?,
                    holders,
                })
            })
            .collect()
    }

    fn gpu(&self, parent: &ParentName) -> String {
        sysfs::gpu(self.root, parent)
    }
}
