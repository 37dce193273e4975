//! Answers a plan's questions about this host, by looking.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use super::clock::Deadline;
use super::definitions::{self, StoreError};
use super::ledger::{Ledger, LedgerError};
use super::life;
use super::machine;
use super::processes;
use super::release;
use super::root::Root;
use super::sysfs;
use crate::model::claim::{Claim, Claimant, Holder, Life, Record};
use crate::model::inventory::{Active, Defined, Inventory, Neighbour, Offer, ParentState};
use crate::model::names::{MdevUuid, ParentName, TypeName};
use crate::model::plan::{Wanted, is_ours};

/// As long as drivers are asked, where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// What the ledger holds cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What sysfs says about a device cannot be read.
    #[error(
        "cannot use {uuid}: what sysfs says about it cannot be read; look at the kernel's log (dmesg), then try again"
    )]
    Sysfs {
        /// The device.
        uuid: MdevUuid,
        /// Why not.
        source: io::Error,
    },
    /// What is defined cannot be told.
    #[error(transparent)]
    Definitions(#[from] StoreError),
}

impl SurveyError {
    /// Whether another user may read it.
    fn is_denied(&self) -> bool {
        let source = match self {
            SurveyError::Ledger(LedgerError::File { source, .. })
            | SurveyError::Sysfs { source, .. }
            | SurveyError::Definitions(StoreError { source, .. }) => source,
            SurveyError::Ledger(_) => return false,
        };
        source.kind() == io::ErrorKind::PermissionDenied
    }
}

/// Something about a wanted device that could not be read.
#[derive(Debug)]
pub struct Failure {
    /// The device.
    pub uuid: MdevUuid,
    /// What, and why not.
    pub error: SurveyError,
}

impl Failure {
    /// Whether it is only the one who looks that may not read it: root may.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.error.is_denied()
    }

    /// Whether a plan says something about the device all the same, if less: without the ledger, it is made for a
    /// host on which automdev has made nothing so far.
    #[must_use]
    pub fn leaves_a_plan(&self) -> bool {
        self.is_denied() && matches!(self.error, SurveyError::Ledger(_))
    }
}

/// A look at this host on behalf of one claimant.
pub struct Survey<'a> {
    root: &'a Root,
    ledger: &'a Ledger<'a>,
    claimant: Option<Claimant>,
    given_back: Vec<Record>,
    failures: RefCell<Vec<Failure>>,
    /// Until then drivers are asked.
    deadline: Deadline,
    /// Parents whose drivers have not answered.
    silent: RefCell<BTreeSet<ParentName>>,
}

impl<'a> Survey<'a> {
    /// A look on behalf of a claimant, whose own claims are nobody else's.
    #[must_use]
    pub fn new(root: &'a Root, ledger: &'a Ledger<'a>, claimant: Option<Claimant>) -> Self {
        Survey {
            root,
            ledger,
            claimant,
            given_back: Vec::new(),
            failures: RefCell::new(Vec::new()),
            deadline: Deadline::after(PATIENCE),
            silent: RefCell::new(BTreeSet::new()),
        }
    }

    /// The same, which waits no longer than that for what drivers say.
    #[must_use]
    pub fn until(mut self, deadline: Deadline) -> Self {
        self.deadline = deadline;
        self
    }

    /// The same for a dry run, before the claimant has given back what it had and does not want any more.
    #[must_use]
    pub fn before_giving_back(mut self, wanted: &[Wanted]) -> Self {
        let held = self
            .claimant
            .and_then(|claimant| release::holdings(self.ledger, claimant).ok());
        self.given_back = held
            .unwrap_or_default()
            .into_iter()
            .filter(|held| wanted.iter().all(|wanted| wanted.uuid != *held))
            .filter_map(|held| self.gives_back(held))
            .collect();
        self
    }

    /// The record of a device that goes when the claimant gives it back. What cannot be read of one that is not
    /// wanted is no hindrance to a start.
    fn gives_back(&self, uuid: MdevUuid) -> Option<Record> {
        let record = self.ledger.record(uuid).ok()??;
        let active = sysfs::active(self.root, uuid).ok()??;
        let mut holders = self.readable_holders(uuid).into_iter();
        let goes = is_ours(&record, &active)
            && holders.all(|holder| holder.life == Life::Gone)
            && self.users(uuid).is_empty();
        goes.then_some(record)
    }

    /// Ends the look.
    ///
    /// # Errors
    /// The first thing that could not be read; the plan made meanwhile is not to be used.
    pub fn finish(self) -> Result<(), SurveyError> {
        let first = self.into_failures().into_iter().next();
        first.map_or(Ok(()), |failure| Err(failure.error))
    }

    /// Ends the look, and tells all that could not be read: where the plan is only to be shown, it is as good as
    /// what could be.
    #[must_use]
    pub fn into_failures(self) -> Vec<Failure> {
        self.failures.into_inner()
    }

    /// The answer, or none and the failure noted.
    fn note<T: Default, E: Into<SurveyError>>(&self, uuid: MdevUuid, answer: Result<T, E>) -> T {
        answer.unwrap_or_else(|error| {
            let error = error.into();
            self.failures.borrow_mut().push(Failure { uuid, error });
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
        self.note(uuid, definitions::of_device(self.root, uuid))
    }

    fn all_defined(&self) -> Vec<MdevUuid> {
        definitions::all(self.root)
    }

    fn active(&self, uuid: MdevUuid) -> Option<Active> {
        let active = sysfs::active(self.root, uuid);
        self.note(uuid, active.map_err(|source| SurveyError::Sysfs { uuid, source }))
    }

    fn record(&self, uuid: MdevUuid) -> Option<Record> {
        let record: Option<Record> = self.note(uuid, self.ledger.record(uuid));
        // No device outlives a boot: whatever has its inode now was made by somebody else.
        record.filter(|record| record.boot == machine::boot_id(self.root))
    }

    fn lingers(&self, uuid: MdevUuid, parent: &ParentName) -> bool {
        sysfs::inode_below(self.root, parent, uuid).is_some()
    }

    fn is_being_made(&self, uuid: MdevUuid) -> bool {
        self.ledger.is_being_made(uuid)
    }

    fn users(&self, uuid: MdevUuid) -> Vec<String> {
        let users = processes::users(self.root, &sysfs::nodes(self.root, uuid));
        users.iter().map(ToString::to_string).collect()
    }

    fn holders(&self, uuid: MdevUuid) -> Vec<Holder> {
        let claimants = self.note(uuid, self.ledger.claimants_of(uuid));
        self.others(claimants)
            .filter_map(|claimant| {
                let claim = self.note(uuid, self.ledger.claim(uuid, claimant))?;
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
        if self.is_silent(parent) {
            return None;
        }
        let offer = sysfs::offer(
            self.root,
            self.ledger.kernel(),
            (parent, mdev_type),
            self.deadline,
        );
        offer.unwrap_or_else(|sysfs::Unanswered| {
            self.silent.borrow_mut().insert(parent.clone());
            None
        })
    }

    fn is_silent(&self, parent: &ParentName) -> bool {
        self.silent.borrow().contains(parent)
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

    fn given_back(&self) -> Vec<Record> {
        self.given_back.clone()
    }
}
