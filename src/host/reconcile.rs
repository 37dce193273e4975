//! Gives back what those who died have left: for every claimant, claim and record, is its claimant still there?
//!
//! ```text
//! each claimant   a claim of one that lives               stays
//!                 a claim of one that is gone             dropped; the device of ours with it, once nobody claims it
//!                 a list of what is not claimed any more  dropped
//! each record     that nobody claims                      the device is removed, then it
//! each swap       for a device that is gone               what made way for it is made again
//! each file       half written, of nobody's               taken away, and not told
//! ```
//!
//! A device that somebody uses stays, and so does all that is known of it. It takes the locks that everybody takes, for
//! one claimant or one device at a time, and none for those who live. A file that is broken is told, and harms nobody
//! else. What is decided without the locks is decided again under them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::clock::Deadline;
use super::ledger::{Entries, Ledger, LedgerError, Lock, LockError};
use super::life;
use super::machine::Machine;
use super::processes;
use super::release::{self, chain};
use super::root::Root;
use crate::model::claim::{Claimant, Record};
use crate::model::leftover::{Hindrance, Leftover, Outcome, Party};
use crate::model::names::MdevUuid;

mod device;
mod swaps;

/// Whether anything is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// It is only said what would be done: no lock is taken and nothing is written.
    DryRun,
    /// It is done.
    Act,
}

/// Sees to everything that was left on a host; tells what there was, in the order of the work.
///
/// # Errors
/// The ledger cannot be read at all, or another user may write there.
pub fn host(machine: &Machine<'_>, mode: Mode) -> Result<Vec<Leftover>, LedgerError> {
    let ledger = Ledger::look(&machine.root, machine.kernel);
    if mode == Mode::Act && ledger.exists() {
        ledger.check()?;
    }
    let entries = ledger.entries()?;
    let mut reconciler = Reconciler::new(machine, &ledger, mode);
    for path in &entries.unknown {
        let reason = format!("{} is no file of automdev's; take it away", path.display());
        reconciler.tell(None, None, Outcome::Kept(Hindrance::Broken), reason);
    }
    for (claimant, devices) in by_claimant(&entries) {
        reconciler.claimant(claimant, devices);
    }
    let owed: Vec<MdevUuid> = ledger.swaps().into_iter().map(|swap| swap.device).collect();
    for uuid in entries.records.into_iter().filter(|uuid| !owed.contains(uuid)) {
        reconciler.record(uuid);
    }
    reconciler.swaps();
    if mode == Mode::Act {
        ledger.sweep();
    }
    Ok(reconciler.leftovers)
}

/// Sees to what one claimant has left.
///
/// # Errors
/// The ledger cannot be read, or another user may write there.
pub fn claimant(machine: &Machine<'_>, claimant: Claimant, mode: Mode) -> Result<Vec<Leftover>, LedgerError> {
    let ledger = Ledger::look(&machine.root, machine.kernel);
    ledger.check()?;
    let mut reconciler = Reconciler::new(machine, &ledger, mode);
    if ledger.has_holdings(claimant) {
        reconciler.claimant(claimant, BTreeSet::new());
    }
    reconciler.swaps();
    Ok(reconciler.leftovers)
}

/// Sees to those devices of ours that nobody claims and nobody is at work on, until the machine's deadline; tells what there
/// was.
pub fn unclaimed(machine: &Machine<'_>, is_meant: impl Fn(&Record) -> bool) -> Vec<Leftover> {
    let ledger = Ledger::look(&machine.root, machine.kernel);
    let mut leftovers = Vec::new();
    for uuid in ledger.recorded() {
        if machine.deadline.has_passed() {
            break;
        }
        let record = ledger.record(uuid).ok().flatten();
        if record.is_some_and(|record| is_meant(&record)) && !ledger.is_busy(uuid) {
            let mut machine = machine.clone();
            machine.timeouts.hook = machine.deadline.left();
            let mut reconciler = Reconciler::new(&machine, &ledger, Mode::Act);
            reconciler.record(uuid);
            leftovers.extend(reconciler.leftovers);
        }
    }
    leftovers
}

/// All claimants, and what the claims say that they claim.
fn by_claimant(entries: &Entries) -> BTreeMap<Claimant, BTreeSet<MdevUuid>> {
    let mut claimants: BTreeMap<Claimant, BTreeSet<MdevUuid>> = BTreeMap::new();
    for claimant in &entries.claimants {
        claimants.entry(*claimant).or_default();
    }
    for (uuid, claimant) in &entries.claims {
        claimants.entry(*claimant).or_default().insert(*uuid);
    }
    claimants
}

fn of_lock(error: &LockError) -> Hindrance {
    match error {
        LockError::TimedOut { .. } => Hindrance::Busy,
        LockError::File { .. } => Hindrance::Failed,
    }
}

struct Reconciler<'a> {
    machine: &'a Machine<'a>,
    ledger: &'a Ledger<'a>,
    mode: Mode,
    leftovers: Vec<Leftover>,
    /// Of these it has been told already why they stay.
    told: BTreeSet<MdevUuid>,
}

impl<'a> Reconciler<'a> {
    fn new(machine: &'a Machine<'a>, ledger: &'a Ledger<'a>, mode: Mode) -> Self {
        Reconciler {
            machine,
            ledger,
            mode,
            leftovers: Vec::new(),
            told: BTreeSet::new(),
        }
    }

    fn root(&self) -> &Root {
        &self.machine.root
    }

    /// The machine, with the whole budget of a hook call for one claimant or device.
    fn fresh(&self) -> Machine<'a> {
        Machine {
            deadline: Deadline::after(self.machine.timeouts.hook),
            ..self.machine.clone()
        }
    }

    fn tell(
        &mut self,
        record: Option<(MdevUuid, Option<&Record>)>,
        claimant: Option<Party>,
        outcome: Outcome,
        reason: String,
    ) {
        let uuid = record.map(|(uuid, _)| uuid);
        let place = record.and_then(|(_, record)| {
            let record = record?;
            Some((record.parent.clone(), record.mdev_type.clone()))
        });
        if outcome.hindrance().is_some() {
            self.told.extend(uuid);
        }
        self.leftovers.push(Leftover {
            uuid,
            place,
            claimant,
            outcome,
            reason,
        });
    }

    /// Sees to one claimant, all of whose claims live or not.
    fn claimant(&mut self, claimant: Claimant, claimed: BTreeSet<MdevUuid>) {
        if self.is_in_order(claimant, &claimed) {
            return;
        }
        let machine = self.fresh();
        let mut locks = Vec::new();
        if self.mode == Mode::Act {
            match self.ledger.lock_claimant(claimant, machine.deadline) {
                Ok(lock) => locks.push(lock),
                Err(error) => return self.tell_of(claimant, of_lock(&error), chain(&error)),
            }
        }
        let held = match release::holdings(self.ledger, claimant) {
            Ok(held) => held,
            // The list is only a short cut, but what a newer automdev wrote is none of our business.
            Err(error) => return self.tell_of(claimant, Hindrance::Broken, chain(&error)),
        };
        let mut devices = claimed;
        devices.extend(held);
        if self.mode == Mode::Act {
            match self.lock_with_swapped(&devices, machine.deadline) {
                Ok(more) => locks.extend(more),
                Err(error) => return self.tell_of(claimant, of_lock(&error), chain(&error)),
            }
        }
        let name = self.name_of(claimant, &devices);
        let party = Party { claimant, name };
        let mut is_left = false;
        let begun = Instant::now();
        for uuid in devices {
            let mut machine = self.fresh();
            // Their guest has ended, and their drivers have been cleaning up since then, all of them.
            machine.timeouts.gone = machine.timeouts.gone.saturating_sub(begun.elapsed());
            is_left |= self.device_of(&machine, &party, uuid) == device::After::Left;
        }
        if !is_left && self.ledger.has_holdings(claimant) {
            self.drop_holdings(party);
        }
        drop(locks);
    }

    /// Locks devices, and what made way for them.
    fn lock_with_swapped(
        &self,
        devices: &BTreeSet<MdevUuid>,
        deadline: Deadline,
    ) -> Result<Vec<Lock>, LockError> {
        let mut all: Vec<MdevUuid> = devices.iter().copied().collect();
        all.extend(self.ledger.swapped_for(&all));
        self.ledger.lock_devices(all, deadline)
    }

    fn drop_holdings(&mut self, party: Party) {
        if self.mode == Mode::Act {
            if let Err(error) = self.ledger.drop_holdings(party.claimant) {
                return self.tell(None, Some(party), Outcome::Kept(Hindrance::Failed), chain(&error));
            }
        }
        // Where one of its devices is told of, this goes without saying.
        let is_told = |leftover: &Leftover| leftover.claimant.as_ref() == Some(&party);
        if !self.leftovers.iter().any(is_told) {
            let reason = "it claims nothing any more".to_owned();
            self.tell(None, Some(party), Outcome::Forgotten, reason);
        }
    }

    /// Whether there is nothing to do about a claimant, as far as can be seen without a lock.
    fn is_in_order(&self, claimant: Claimant, claimed: &BTreeSet<MdevUuid>) -> bool {
        let Ok(Some(holdings)) = self.ledger.holdings(claimant) else {
            return false;
        };
        let is_live = |uuid: &MdevUuid| {
            let claim = self.ledger.claim(*uuid, claimant);
            claim.is_ok_and(|claim| {
                claim.is_some_and(|claim| {
                    !life::of_claimant(self.root(), self.ledger.kernel(), claimant, &claim).is_over()
                })
            })
        };
        !holdings.devices.is_empty() && holdings.devices.iter().chain(claimed).all(is_live)
    }

    /// A claimant's name, from wherever it stands.
    fn name_of(&self, claimant: Claimant, devices: &BTreeSet<MdevUuid>) -> String {
        if let Ok(Some(holdings)) = self.ledger.holdings(claimant) {
            return holdings.name;
        }
        let mut claims = devices
            .iter()
            .filter_map(|uuid| self.ledger.claim(*uuid, claimant).ok().flatten());
        claims.next().map(|claim| claim.name).unwrap_or_default()
    }

    fn tell_of(&mut self, claimant: Claimant, hindrance: Hindrance, reason: String) {
        let name = self.name_of(claimant, &BTreeSet::new());
        let party = Party { claimant, name };
        self.tell(None, Some(party), Outcome::Kept(hindrance), reason);
    }

    /// Whether a claim still counts. Of one that is broken its file's name still tells the claimant: a process can be
    /// looked for by it, a domain cannot.
    fn counts(&self, uuid: MdevUuid, claimant: Claimant) -> Result<bool, LedgerError> {
        match (self.ledger.claim(uuid, claimant), claimant) {
            (Ok(None), _) => Ok(false),
            (Ok(Some(claim)), _) => {
                Ok(!life::of_claimant(self.root(), self.ledger.kernel(), claimant, &claim).is_over())
            }
            (Err(LedgerError::Broken { .. }), Claimant::Process(process)) => {
                Ok(processes::runs(self.root(), process))
            }
            (Err(error), _) => Err(error),
        }
    }
}
