//! The devices of pools that made way for devices that are gone.

use super::device::hindrance;
use super::{Mode, Reconciler, of_lock};
use crate::host::ledger::Swap;
use crate::host::machine::Machine;
use crate::host::pools::swap::{self, PutBackError};
use crate::host::release::chain;
use crate::host::sysfs;
use crate::model::leftover::{Hindrance, Outcome};
use crate::model::names::MdevUuid;

impl Reconciler<'_> {
    /// Puts back what is owed, once all else is done. What somebody is at work on is left to him.
    pub(super) fn swaps(&mut self) {
        for swap in self.ledger.swaps() {
            let Swap { device, stand_in, .. } = swap;
            let is_there = sysfs::inode_below(self.root(), &swap.parent, stand_in).is_some();
            let is_in_the_way = is_there && !self.is_given_back(stand_in);
            let is_told = self.told.contains(&device);
            if is_in_the_way || is_told || self.ledger.is_busy(device) || self.ledger.is_busy(stand_in) {
                continue;
            }
            let machine = self.fresh();
            let locks = match self.mode {
                Mode::DryRun => Ok(Vec::new()),
                Mode::Act => self.ledger.lock_devices([device, stand_in], machine.deadline),
            };
            match locks {
                Ok(_locks) if self.ledger.swaps().contains(&swap) => self.swap(&machine, &swap),
                // Somebody has seen to it meanwhile.
                Ok(_) => {}
                Err(error) => self.keep((device, None), None, of_lock(&error), &chain(&error)),
            }
        }
    }

    /// Puts back what had made way for a device that has just been taken away. The caller holds the locks of both.
    pub(super) fn swaps_for(&mut self, machine: &Machine<'_>, stand_in: MdevUuid) {
        for swap in self.ledger.swaps() {
            if swap.stand_in == stand_in {
                self.swap(machine, &swap);
            }
        }
    }

    fn swap(&mut self, machine: &Machine<'_>, swap: &Swap) {
        let Swap { device, stand_in, .. } = *swap;
        let put_back = match self.mode {
            Mode::DryRun => Ok(()),
            Mode::Act => swap::put_back(machine, self.ledger, stand_in),
        };
        match put_back {
            // It is wanted again.
            Ok(()) if self.mode == Mode::Act && self.ledger.swaps().contains(swap) => {}
            Ok(()) => {
                let reason = format!("it had made way for {stand_in}, which is gone");
                self.tell(Some((device, None)), None, Outcome::PutBack, reason);
            }
            Err(error) => {
                let hindrance = match &error {
                    PutBackError::Remove(error) => hindrance(error),
                    // There may have been no time left, and the next try has all of it.
                    PutBackError::Create { .. } => Hindrance::Busy,
                    PutBackError::Ledger(_) => Hindrance::Failed,
                };
                self.keep((device, None), None, hindrance, &chain(&error));
            }
        }
    }
}
