//! What a preparation waits for, holding no lock.

use std::time::{Duration, Instant};

use super::super::clock::Deadline;
use super::super::life;
use super::super::processes;
use super::super::reconcile;
use super::super::survey::Survey;
use super::super::sysfs;
use super::Preparation;
use crate::model::claim::{Claimant, Life};
use crate::model::inventory::Inventory as _;
use crate::model::names::{MdevUuid, ParentName};
use crate::model::plan::{Action, Place, Plan, Wait};

impl Preparation<'_> {
    /// Waits, holding no lock, until it is worth looking again.
    pub(super) fn wait(&self, uuid: MdevUuid, wait: &Wait, until: Deadline) {
        match wait {
            Wait::Claim(claimant, name) => {
                log::info!(uuid:%; "waiting for {name} to give {uuid} back");
                until.poll(|| (!self.is_pending(uuid, *claimant)).then_some(()));
            }
            Wait::Users => {
                log::info!(uuid:%; "waiting until nobody uses {uuid}");
                let nodes = sysfs::nodes(&self.machine.root, uuid);
                until.poll(|| {
                    processes::users(&self.machine.root, &nodes)
                        .is_empty()
                        .then_some(())
                });
            }
            Wait::Late(places) => {
                let shown: Vec<String> = places
                    .iter()
                    .map(|(parent, mdev_type)| format!("{mdev_type} on {parent}"))
                    .collect();
                let seconds = until.left().as_secs_f64();
                log::info!(uuid:%; "waiting up to {seconds:.0} s for {}, which this host does not offer yet, for {uuid}", shown.join(" or "));
                until.poll(|| {
                    let root = &self.machine.root;
                    let mut places = places.iter();
                    places
                        .any(|(parent, mdev_type)| sysfs::is_registered(root, parent, mdev_type))
                        .then_some(())
                });
            }
            Wait::Creation(parent) => {
                log::info!(uuid:%, parent:%; "waiting for the driver of {parent} to come to an end of making {uuid}");
                until.poll(|| (!self.ledger.is_being_made(uuid)).then_some(()));
            }
            Wait::LateMembers(members) => {
                let shown: Vec<String> = members
                    .iter()
                    .map(|(mdev_type, _)| mdev_type.to_string())
                    .collect();
                let seconds = until.left().as_secs_f64();
                log::info!(uuid:%; "waiting up to {seconds:.0} s for a parent that offers {}, for {uuid}", shown.join(" or "));
                until.poll(|| {
                    let root = &self.machine.root;
                    let is_there = |parent: &ParentName| {
                        members.iter().any(|(mdev_type, globs)| {
                            let is_meant =
                                globs.is_empty() || globs.iter().any(|glob| glob.matches(parent.as_str()));
                            is_meant && sysfs::is_registered(root, parent, mdev_type)
                        })
                    };
                    sysfs::parents(root).iter().any(is_there).then_some(())
                });
            }
            Wait::Others(others) => {
                log::debug!(uuid:%; "waiting for {} other devices that are being made or removed", others.len());
                until.poll(|| {
                    let is_over = |other: &MdevUuid| !self.ledger.is_under_way(*other);
                    others.iter().all(is_over).then_some(())
                });
            }
            Wait::Busy(devices) => {
                log::debug!(uuid:%; "waiting for {} devices that others, or drivers, are at work on", devices.len());
                let survey = Survey::new(&self.machine.root, self.ledger, Some(self.request.claimant))
                    .sparing(self.machine.timeouts.gone);
                until.poll(|| {
                    let is_free = |device: &MdevUuid| !survey.is_busy(*device) && !survey.is_resting(*device);
                    devices.iter().any(is_free).then_some(())
                });
            }
            Wait::Room(Place { parent, .. }) => {
                log::info!(uuid:%, parent:%; "waiting for room on {parent} for {uuid}, where a device is about to go");
                let survey = Survey::new(&self.machine.root, self.ledger, Some(self.request.claimant));
                let begun = Instant::now();
                let left = self.left_on(parent);
                let is_gone = until.poll(|| (!survey.is_leaving(parent)).then_some(()));
                let had_its_time = begun.elapsed() >= self.machine.timeouts.gone;
                if is_gone.is_none() && had_its_time {
                    self.give_back(&left);
                }
            }
            Wait::Removal(parent) => {
                log::info!(uuid:%, parent:%; "waiting for {uuid} to be gone from {parent}");
                until.poll(|| {
                    sysfs::inode_below(&self.machine.root, parent, uuid)
                        .is_none()
                        .then_some(())
                });
            }
        }
    }

    /// The devices of a GPU's that its driver is cleaning up after a guest: nobody claims them, or has them open.
    fn left_on(&self, parent: &ParentName) -> Vec<MdevUuid> {
        let root = &self.machine.root;
        let gpu = sysfs::gpu(root, parent);
        let is_left = |uuid: &MdevUuid| {
            let record = self.ledger.record(*uuid).ok().flatten();
            let is_there = record
                .is_some_and(|record| record.goes_by_itself() && sysfs::gpu(root, &record.parent) == gpu);
            let is_unclaimed = || {
                self.ledger
                    .claimants_of(*uuid)
                    .is_ok_and(|claimants| claimants.is_empty())
            };
            is_there && is_unclaimed() && processes::users(root, &sysfs::nodes(root, *uuid)).is_empty()
        };
        self.ledger.recorded().into_iter().filter(is_left).collect()
    }

    /// Gives back what has been about to go all that time, where nobody is at it: whoever was to do it died.
    fn give_back(&self, left: &[MdevUuid]) {
        let mut machine = self.machine.clone();
        // Their driver has cleaned up meanwhile.
        machine.timeouts.gone = Duration::ZERO;
        for one in reconcile::unclaimed(&machine, |record| left.contains(&record.uuid)) {
            log::info!("{}", one.reason);
        }
    }

    fn is_pending(&self, uuid: MdevUuid, claimant: Claimant) -> bool {
        let Ok(Some(claim)) = self.ledger.claim(uuid, claimant) else {
            return false;
        };
        let life = life::of_claimant(&self.machine.root, self.machine.kernel, claimant, &claim);
        matches!(life, Life::Starting | Life::Pending | Life::Ended)
    }
}

/// All that the plan waits for.
pub(super) fn waits(plan: &Plan) -> Vec<(MdevUuid, Wait)> {
    let waits = plan.devices.iter().filter_map(|(wanted, action)| match action {
        Action::Wait(wait) => Some((wanted.uuid, wait.clone())),
        _ => None,
    });
    waits.collect()
}
