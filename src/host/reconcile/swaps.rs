//! The devices of pools that made way for devices that are gone.

use super::device::hindrance;
use super::{Mode, Reconciler, of_lock};
use crate::host::ledger::Swap;
use crate::host::pools::swap::{self, PutBackError};
use crate::host::release::chain;
use crate::host::sysfs;
use crate::model::leftover::{Hindrance, Outcome};

impl Reconciler<'_> {
    /// Puts back what is owed, once all else is done. What somebody is at work on is left to him.
    pub(super) fn swaps(&mut self) {
        for swap in self.ledger.swaps() {
            let Swap { device, stand_in, .. } = swap;
            let is_there = sysfs::inode_below(self.root(), &swap.parent, stand_in).is_some();
            let is_in_the_way = is_there && !self.is_given_back(stand_in);
            if is_in_the_way || self.ledger.is_busy(device) || self.ledger.is_busy(stand_in) {
                continue;
            }
            let outcome = match self.put_back(&swap) {
                Ok(()) => Outcome::PutBack,
                Err((hindrance, error)) => {
                    self.tell(Some((device, None)), None, Outcome::Kept(hindrance), error);
                    continue;
                }
            };
            let reason = format!("it had made way for {stand_in}, which is gone");
            self.tell(Some((device, None)), None, outcome, reason);
        }
    }

    fn put_back(&self, swap: &Swap) -> Result<(), (Hindrance, String)> {
        if self.mode == Mode::DryRun {
            return Ok(());
        }
        let machine = self.fresh();
        let both = [swap.device, swap.stand_in];
        let locked = self.ledger.lock_devices(both, machine.deadline);
        let _locks = locked.map_err(|error| (of_lock(&error), chain(&error)))?;
        swap::put_back(&machine, self.ledger, swap.stand_in).map_err(|error| {
            let hindrance = match &error {
                PutBackError::Remove(error) => hindrance(error),
                // There may have been no time left, and the next try has all of it.
                PutBackError::Create { .. } => Hindrance::Busy,
                PutBackError::Ledger(_) => Hindrance::Failed,
            };
            (hindrance, chain(&error))
        })
    }
}
