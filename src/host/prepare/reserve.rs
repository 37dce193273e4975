//! What is written down before anything is made: what the claimant may have, the records, the claims.

use std::time::Duration;

use super::super::clock::Deadline;
use super::super::ledger::{self, LockError};
use super::super::life;
use super::super::pools::swap;
use super::making::Made;
use super::{Preparation, PrepareError, Request, replaced};
use crate::model::claim::{Claimant, Holdings, Kind, Record, SCHEMA, State};
use crate::model::inventory::Active;
use crate::model::names::MdevUuid;
use crate::model::plan::{Action, Adoption, Plan, Wanted};

impl Preparation<'_> {
    /// Notes what the claimant may claim: what it wants, or has instead, and what it still has.
    pub(super) fn note_holdings(&self, plan: &Plan, held: &[MdevUuid]) -> Result<(), PrepareError> {
        let Request { claimant, name, .. } = self.request;
        let wanted = plan.devices.iter();
        let mut devices: Vec<MdevUuid> = wanted.map(|(wanted, action)| device_of(wanted, action)).collect();
        devices.extend(held);
        devices.sort_unstable();
        devices.dedup();
        if devices.is_empty() {
            return Ok(self.ledger.drop_holdings(*claimant)?);
        }
        let holdings = Holdings {
            schema: SCHEMA,
            name: name.clone(),
            devices,
        };
        if self.ledger.holdings(*claimant).ok().flatten().as_ref() == Some(&holdings) {
            return Ok(());
        }
        Ok(self.ledger.write_holdings(*claimant, &holdings)?)
    }

    /// Writes the records of what is to be made, and all claims.
    pub(super) fn reserve(&self, plan: &Plan, made: &mut Made<'_>) -> Result<(), PrepareError> {
        let boot = ledger::boot(&self.machine.root)?;
        for (wanted, action) in &plan.devices {
            let uuid = device_of(wanted, action);
            match action {
                Action::Create(place) => {
                    if let Some(device) = replaced(place) {
                        self.lock_pools_own(device, made)?;
                        let swap = swap::note(device, uuid, place);
                        self.ledger.write_swap(&swap)?;
                        made.swaps.push(swap);
                    }
                    let record = Record {
                        schema: SCHEMA,
                        kind: Kind::Mdev,
                        uuid,
                        parent: place.parent.clone(),
                        mdev_type: place.mdev_type.clone(),
                        attributes: place.attributes.clone(),
                        state: State::Creating,
                        inode: None,
                        boot: boot.clone(),
                        pool: place.pool.clone(),
                    };
                    made.before.extend(self.ledger.record(uuid)?);
                    self.ledger.forget_creation(uuid);
                    self.ledger.write_record(&record)?;
                    made.records.push(record);
                    made.starts.insert(uuid, place.start);
                }
                Action::Adopt(active, adoption) => self.adopt(uuid, active, *adoption)?,
                Action::HandOut(_, active) => {
                    self.lock_pools_own(uuid, made)?;
                    self.adopt(uuid, active, Adoption::AsDefined)?;
                }
                Action::Keep(_) | Action::Remake(..) | Action::Wait(_) | Action::Refuse(..) => {}
            }
            let claim = life::new_claim(
                &self.machine.root,
                boot.clone(),
                &self.request.name,
                self.request.daemon,
            );
            let claimants = self.ledger.claimants_of(uuid)?;
            if !claimants.contains(&self.request.claimant) {
                made.claims.push(uuid);
            }
            self.take_over(uuid, claimants)?;
            self.ledger.write_claim(uuid, self.request.claimant, &claim)?;
        }
        Ok(())
    }

    /// Locks a device of a pool's own. Under the host's lock nothing is waited for: whoever has it now lets go of it
    /// at once, or is at work on it.
    fn lock_pools_own(&self, device: MdevUuid, made: &mut Made<'_>) -> Result<(), PrepareError> {
        const SHORT: Duration = Duration::from_millis(20);
        if self.locked.contains(&device) {
            return Ok(());
        }
        match self.ledger.lock_devices([device], Deadline::after(SHORT)) {
            Ok(locks) => made.locks.extend(locks),
            Err(LockError::TimedOut { .. }) => return Err(PrepareError::Lost { device }),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Drops the claims of those who are gone: what the plan gives here is nobody else's.
    fn take_over(&self, uuid: MdevUuid, claimants: Vec<Claimant>) -> Result<(), PrepareError> {
        for other in claimants {
            if other != self.request.claimant {
                log::warn!(uuid:%; "{other} claimed {uuid} and is gone; it is given to {}", self.request.name);
                self.ledger.drop_claim(uuid, other)?;
            }
        }
        Ok(())
    }

    fn adopt(&self, uuid: MdevUuid, active: &Active, adoption: Adoption) -> Result<(), PrepareError> {
        // A record of ours that is not about this device is about one that is gone.
        self.ledger.drop_record(uuid)?;
        let Active {
            parent, mdev_type, ..
        } = active;
        let name = &self.request.name;
        match adoption {
            Adoption::AsDefined => {
                log::info!(uuid:%, parent:%, mdev_type:%; "{uuid} ({mdev_type} on {parent}) was there before; {name} uses it and leaves it standing");
            }
            Adoption::Undefined => {
                log::warn!(uuid:%, parent:%, mdev_type:%; "{uuid} ({mdev_type} on {parent}) was there before, and this host has no definition of it; {name} uses it and leaves it standing");
            }
        }
        Ok(())
    }
}

/// The device that a wanted one is: itself, or another of its pool's.
pub(super) fn device_of(wanted: &Wanted, action: &Action) -> MdevUuid {
    match action {
        Action::HandOut(device, _) => *device,
        _ => wanted.uuid,
    }
}
