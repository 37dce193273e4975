//! What a survey answers to whoever plans.

use std::collections::BTreeSet;

use super::{Survey, SurveyError, once};
use crate::host::definitions;
use crate::host::ledger;
use crate::host::life;
use crate::host::machine;
use crate::host::numa;
use crate::host::pools;
use crate::host::processes;
use crate::host::sysfs;
use crate::model::claim::{Holder, Record, State};
use crate::model::definition::Definition;
use crate::model::inventory::{Active, Defined, Inventory, MadeWay, Neighbour, Offer, ParentState, Together};
use crate::model::names::{MdevUuid, ParentName, PoolName, TypeName};
use crate::model::pool::{MemberKind, Pool, PoolError};

impl Inventory for Survey<'_> {
    fn definitions(&self, uuid: MdevUuid) -> Vec<Defined> {
        self.note(uuid, definitions::of_device(self.root, uuid))
    }

    fn all_defined(&self) -> Vec<MdevUuid> {
        definitions::all(self.root)
    }

    fn active(&self, uuid: MdevUuid) -> Option<Active> {
        once(&self.active, uuid, || {
            let active = sysfs::active(self.root, uuid);
            self.note(uuid, active.map_err(|source| SurveyError::Sysfs { uuid, source }))
        })
    }

    fn record(&self, uuid: MdevUuid) -> Option<Record> {
        let record: Option<Record> = once(&self.records, uuid, || self.note(uuid, self.ledger.record(uuid)));
        // No device outlives a boot: whatever has its inode now was made by somebody else.
        let record = record.filter(|record| machine::is_this_boot(self.root, &record.boot))?;
        // Nor was it made by a call that died before.
        (record.inode.is_some() || ledger::was_begun(self.root, uuid)).then_some(record)
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

    fn is_resting(&self, uuid: MdevUuid) -> bool {
        let since = self.ledger.since_last_guest(self.root, uuid);
        since.is_some_and(|since| since < self.gone)
    }

    fn other_users(&self, uuid: MdevUuid) -> Vec<String> {
        let users = processes::users(self.root, &sysfs::nodes(self.root, uuid));
        let others = users.iter().filter(|user| Some(user.pid) != self.own);
        others.map(ToString::to_string).collect()
    }

    fn has_already(&self, uuid: MdevUuid) -> bool {
        // What cannot be read of its own claim is written anew.
        let claim = |claimant| self.ledger.claim(uuid, claimant).ok().flatten();
        let own = self
            .claimant
            .and_then(|claimant| Some((claimant, claim(claimant)?)));
        own.is_some_and(|(claimant, claim)| {
            !life::of_claimant(self.root, self.ledger.kernel(), claimant, &claim).is_over()
        })
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
        self.ask(parent, |deadline| {
            let it = (parent, mdev_type);
            sysfs::offer(self.root, self.ledger.kernel(), it, deadline)
        })
    }

    fn is_silent(&self, parent: &ParentName) -> bool {
        self.unasked.borrow().contains(parent) || self.has_silent_gpu(parent)
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

    fn is_leaving(&self, parent: &ParentName) -> bool {
        let gpu = sysfs::gpu(self.root, parent);
        // Its record goes last, when its room is given back.
        let records = self.ledger.entries().unwrap_or_default().records.into_iter();
        let mut records = records.filter_map(|uuid| self.ledger.record(uuid).ok().flatten());
        records.any(|record| {
            let claimants = self.ledger.claimants_of(record.uuid);
            record.goes_by_itself()
                && sysfs::gpu(self.root, &record.parent) == gpu
                && claimants.is_ok_and(|claimants| claimants.is_empty())
        })
    }

    fn gpu(&self, parent: &ParentName) -> String {
        sysfs::gpu(self.root, parent)
    }

    fn given_back(&self) -> Vec<Record> {
        self.given_back.clone()
    }

    fn is_cordoned(&self, parent: &ParentName) -> bool {
        self.cordon.iter().any(|glob| glob.matches(parent.as_str()))
    }

    fn pool(&self, name: &PoolName) -> Result<Pool, PoolError> {
        pools::load(self.root, name)
    }

    fn all_pools(&self) -> Vec<PoolName> {
        pools::list(self.root).names
    }

    fn available(&self, asked: &[(&ParentName, Vec<&TypeName>)]) -> Vec<Vec<Option<u32>>> {
        let mut told: Vec<Vec<Option<u32>>> =
            asked.iter().map(|(_, types)| vec![None; types.len()]).collect();
        let mut left: Vec<usize> = (0..asked.len()).collect();
        let kernel = self.ledger.kernel();
        loop {
            left.retain(|index| !self.has_silent_gpu(asked[*index].0));
            if left.is_empty() || !self.may_ask() {
                break;
            }
            let one = |index: &usize| (asked[*index].0, &asked[*index].1[..]);
            let those: Vec<(&ParentName, &[&TypeName])> = left.iter().map(one).collect();
            let answers = sysfs::available(self.root, kernel, &those, self.answer, self.deadline);
            let count = answers.len();
            for (index, answer) in left.drain(..count).zip(answers) {
                match answer {
                    Some(counts) => told[index] = counts,
                    None => self.note_silent(asked[index].0),
                }
            }
        }
        let unasked = left.iter().map(|index| asked[*index].0.clone());
        self.unasked.borrow_mut().extend(unasked);
        told
    }

    fn devices_below(&self, parent: &ParentName) -> u32 {
        sysfs::count_devices(self.root, parent)
    }

    fn node(&self, parent: &ParentName) -> Option<u32> {
        numa::of_parent(self.root, parent)
    }

    fn home(&self) -> BTreeSet<u32> {
        numa::of_domain(self.root, &self.affinity)
    }

    fn reserved(&self) -> Vec<Record> {
        // Of many, only those that are not there are looked at.
        let missing = self.ledger.recorded_beside(&self.root.path(sysfs::DEVICES));
        missing
            .into_iter()
            .filter(|uuid| self.is_to_come(*uuid))
            .filter_map(|uuid| self.ledger.record(uuid).ok().flatten())
            .filter(|record| record.state == State::Creating)
            .collect()
    }

    fn under_way(&self) -> Vec<MdevUuid> {
        let recorded = self.ledger.recorded().into_iter();
        recorded.filter(|uuid| self.ledger.is_under_way(*uuid)).collect()
    }

    fn taken_from(&self, pool: &PoolName) -> Vec<Record> {
        self.live_records(self.ledger.used_of_pool(pool)).collect()
    }

    fn taken_at_most(&self, pool: &PoolName) -> u32 {
        u32::try_from(self.ledger.used_of_pool(pool).len()).unwrap_or(u32::MAX)
    }

    fn made_like(&self, definition: MdevUuid) -> Vec<MdevUuid> {
        let like = self.ledger.used_of_definition(definition);
        let member = MemberKind::Definition(definition);
        self.live_records(like)
            .filter(|record| record.pool.as_ref().is_some_and(|from| from.member == member))
            .map(|record| record.uuid)
            .collect()
    }

    fn made_way(&self, device: MdevUuid) -> Option<MadeWay> {
        let swap = self.note(device, self.ledger.swap(device))?;
        Some(MadeWay {
            stand_in: swap.stand_in,
            parent: swap.parent,
            definition: Definition {
                mdev_type: swap.mdev_type,
                start: swap.start,
                attributes: swap.attributes,
            },
        })
    }

    fn is_busy(&self, device: MdevUuid) -> bool {
        self.lost.contains(&device) || !self.locked.contains(&device) && self.ledger.is_busy(device)
    }

    fn besides(&self) -> Vec<MdevUuid> {
        self.besides.clone()
    }

    fn refused(&self) -> Vec<Together> {
        self.refused.clone()
    }
}
