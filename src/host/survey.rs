//! Answers a plan's questions about this host, by looking.

mod answers;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use super::clock::Deadline;
use super::definitions::StoreError;
use super::ledger::{Ledger, LedgerError};
use super::life;
use super::release;
use super::root::Root;
use super::sysfs::{self, Unanswered};
use crate::model::affinity::Affinity;
use crate::model::claim::{Claim, Claimant, Holder, ProcessId, Record};
use crate::model::inventory::{Active, Inventory, Together};
use crate::model::names::{MdevUuid, ParentName};
use crate::model::plan::{Wanted, is_ours};
use crate::model::pool::Glob;

/// As long as one driver is waited for, which usually answers at once: the host is locked meanwhile.
const ANSWER: Duration = Duration::from_secs(2);

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

/// What a look has found about devices.
type Answered<T> = RefCell<BTreeMap<MdevUuid, Option<T>>>;

/// The answer to a question that is asked once.
fn once<T: Clone>(answered: &Answered<T>, uuid: MdevUuid, ask: impl FnOnce() -> Option<T>) -> Option<T> {
    if let Some(answer) = answered.borrow().get(&uuid) {
        return answer.clone();
    }
    let answer = ask();
    answered.borrow_mut().insert(uuid, answer.clone());
    answer
}

/// A look at this host on behalf of one claimant.
pub struct Survey<'a> {
    root: &'a Root,
    ledger: &'a Ledger<'a>,
    claimant: Option<Claimant>,
    given_back: Vec<Record>,
    cordon: &'a [Glob],
    affinity: Affinity,
    refused: Vec<Together>,
    locked: Vec<MdevUuid>,
    lost: Vec<MdevUuid>,
    besides: Vec<MdevUuid>,
    failures: RefCell<Vec<Failure>>,
    /// What has been asked for already, and is not looked at again.
    active: Answered<Active>,
    records: Answered<Record>,
    /// Until then drivers are asked.
    deadline: Deadline,
    /// So long each of them has.
    answer: Duration,
    /// GPUs whose drivers have not answered.
    silent: RefCell<BTreeSet<String>>,
    /// So many of them were known before.
    known: usize,
    /// Parents for whose drivers no time was left.
    unasked: RefCell<BTreeSet<ParentName>>,
    /// Nobody is asked any more once one has not answered.
    is_hasty: bool,
    /// The process of a domain that runs, and that this is for.
    own: Option<u32>,
    /// For so long a driver may be cleaning up after a guest.
    gone: Duration,
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
            cordon: &[],
            affinity: Affinity::default(),
            refused: Vec::new(),
            locked: Vec::new(),
            lost: Vec::new(),
            besides: Vec::new(),
            failures: RefCell::new(Vec::new()),
            active: Answered::default(),
            records: Answered::default(),
            deadline: Deadline::after(PATIENCE),
            answer: ANSWER,
            silent: RefCell::new(BTreeSet::new()),
            known: 0,
            unasked: RefCell::new(BTreeSet::new()),
            is_hasty: false,
            own: None,
            gone: Duration::ZERO,
        }
    }

    /// The same, which asks drivers until then, and for no longer than that.
    #[must_use]
    pub fn until(mut self, deadline: Deadline, time: Duration) -> Self {
        self.deadline = deadline.or_after(time);
        self.answer = ANSWER.min(time);
        self
    }

    /// The same, which does not ask the drivers of these GPUs: they have not answered before.
    #[must_use]
    pub fn passing_over(mut self, silent: &BTreeSet<String>) -> Self {
        self.known = silent.len();
        self.silent = RefCell::new(silent.clone());
        self
    }

    /// The same, for a caller that keeps others from their work meanwhile: it waits for one silent driver at most, and what
    /// comes of it then is of no use ([`Survey::met_silence`]).
    #[must_use]
    pub fn hastily(mut self) -> Self {
        self.is_hasty = true;
        self
    }

    /// Whether a driver has not answered of which that was not known.
    #[must_use]
    pub fn met_silence(&self) -> bool {
        self.silent.borrow().len() > self.known
    }

    /// The GPUs whose drivers have not answered.
    #[must_use]
    pub fn into_silent(self) -> BTreeSet<String> {
        self.silent.into_inner()
    }

    /// Whether a driver has not answered for another part of the same GPU.
    fn has_silent_gpu(&self, parent: &ParentName) -> bool {
        let silent = self.silent.borrow();
        !silent.is_empty() && silent.contains(&sysfs::gpu(self.root, parent))
    }

    fn note_silent(&self, parent: &ParentName) {
        self.silent.borrow_mut().insert(sysfs::gpu(self.root, parent));
    }

    /// Whether drivers are asked: not any more where there is no time, or that is of no use.
    fn may_ask(&self) -> bool {
        !(self.is_hasty && self.met_silence() || self.deadline.has_passed())
    }

    /// The same for a domain that runs there, on a host where nothing new is to be made on these parents.
    #[must_use]
    pub fn placing(mut self, cordon: &'a [Glob], affinity: Affinity) -> Self {
        self.cordon = cordon;
        self.affinity = affinity;
        self
    }

    /// The same for a call that has locked these itself.
    #[must_use]
    pub fn holding(mut self, locked: &[MdevUuid]) -> Self {
        self.locked = locked.to_vec();
        self
    }

    /// The same for a call that has found these locked, after it had chosen them.
    #[must_use]
    pub fn without(mut self, lost: &[MdevUuid]) -> Self {
        self.lost = lost.to_vec();
        self
    }

    /// The same for a domain that has these, too.
    #[must_use]
    pub fn beside(mut self, besides: &[MdevUuid]) -> Self {
        self.besides = besides.to_vec();
        self
    }

    /// The same for a domain that runs, as this process: what it has open, nobody else has.
    #[must_use]
    pub fn running_as(mut self, own: Option<ProcessId>) -> Self {
        self.own = own.map(|own| own.pid);
        self
    }

    /// The same for a start, which leaves a device alone for so long after its last guest, where its driver cleans up.
    #[must_use]
    pub fn sparing(mut self, gone: Duration) -> Self {
        self.gone = gone;
        self
    }

    /// The same after the kernel has refused these.
    #[must_use]
    pub fn after(mut self, refused: &[Together]) -> Self {
        self.refused = refused.to_vec();
        self
    }

    /// What a parent's driver answers; nothing any more once it has failed to, for whichever part of its GPU.
    fn ask<T>(
        &self,
        parent: &ParentName,
        question: impl FnOnce(Deadline) -> Result<Option<T>, sysfs::Unanswered>,
    ) -> Option<T> {
        if self.has_silent_gpu(parent) {
            return None;
        }
        // Whoever is asked has its whole time: one that was given less would be taken for silent for no fault of its own.
        let deadline = if self.may_ask() {
            Deadline::after(self.answer)
        } else {
            Deadline::now()
        };
        question(deadline).unwrap_or_else(|unanswered| {
            match unanswered {
                Unanswered::Silent => self.note_silent(parent),
                Unanswered::NotAsked => drop(self.unasked.borrow_mut().insert(parent.clone())),
            }
            None
        })
    }

    /// Whether a record is about a device that is there or to come, and not left by a call that died.
    fn is_live(&self, record: &Record) -> bool {
        sysfs::inode_below(self.root, &record.parent, record.uuid).is_some() || self.is_to_come(record.uuid)
    }

    /// Whether somebody is at work on a device, be it only its driver.
    fn is_to_come(&self, uuid: MdevUuid) -> bool {
        self.ledger.is_busy(uuid) || self.ledger.is_being_made(uuid)
    }

    /// The records among these that are about something; what cannot be read says nothing.
    fn live_records(&self, uuids: Vec<MdevUuid>) -> impl Iterator<Item = Record> {
        let records = uuids
            .into_iter()
            .filter_map(|uuid| self.ledger.record(uuid).ok().flatten());
        records.filter(|record| self.is_live(record))
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
            && holders.all(|holder| holder.life.is_over())
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
        let life = life::of_claimant(self.root, self.ledger.kernel(), claimant, &claim);
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
