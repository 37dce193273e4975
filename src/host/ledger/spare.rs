//! UUIDs for devices that have none of their own: those that `run` takes from pools. There are so many and no more, as the
//! lock files of a device stay, and would become more with each run that used another one.

use uuid::{Uuid, uuid};

use super::{Ledger, Lock, LockError};
use crate::host::clock::Deadline;
use crate::host::definitions;
use crate::host::kernel::Kernel;
use crate::host::root::Root;
use crate::host::sysfs;
use crate::model::names::MdevUuid;

/// More than any host has devices.
const MOST: u32 = 4096;

/// Runs at the same time seldom begin with the same one.
const FIRSTS: u32 = 256;

/// The v5 UUID of `urn:automdev:spare:1` among URLs; theirs are the v5 UUIDs of their numbers in it.
const NAMESPACE: Uuid = uuid!("cefaeefc-6b9c-5b23-9a91-92f88ef5685d");

/// UUIDs that nobody has. They are kept from others like us until this is dropped; by then whoever wanted them has claimed
/// them.
pub struct Spares<'a> {
    root: &'a Root,
    kernel: &'a dyn Kernel,
    first: u32,
    locks: Vec<Lock>,
}

impl<'a> Spares<'a> {
    /// Those of a process of that number.
    #[must_use]
    pub fn new(root: &'a Root, kernel: &'a dyn Kernel, pid: u32) -> Self {
        Spares {
            root,
            kernel,
            first: pid % FIRSTS,
            locks: Vec::new(),
        }
    }

    /// One more. Where all are taken, or there is no right to keep them, it is any, which nobody else has either.
    pub fn next_uuid(&mut self) -> MdevUuid {
        let found = Ledger::open(self.root, self.kernel)
            .ok()
            .and_then(|ledger| self.find(&ledger));
        found.unwrap_or_else(|| Uuid::new_v4().into())
    }

    fn find(&mut self, ledger: &Ledger<'_>) -> Option<MdevUuid> {
        for number in (0..MOST).map(|step| (self.first + step) % MOST) {
            let lock = match ledger.lock(&format!("spare-{number:04}"), Deadline::now()) {
                Ok(lock) => lock,
                Err(LockError::TimedOut { .. }) => continue,
                Err(LockError::File { .. }) => return None,
            };
            let uuid = Uuid::new_v5(&NAMESPACE, number.to_string().as_bytes()).into();
            if self.is_free(ledger, uuid) {
                self.locks.push(lock);
                return Some(uuid);
            }
        }
        None
    }

    fn is_free(&self, ledger: &Ledger<'_>, uuid: MdevUuid) -> bool {
        ledger.record(uuid).is_ok_and(|record| record.is_none())
            && ledger
                .claimants_of(uuid)
                .is_ok_and(|claimants| claimants.is_empty())
            && !ledger.is_under_way(uuid)
            && !sysfs::device_folder(self.root, uuid).exists()
            && !definitions::is_defined(self.root, uuid)
    }
}
