//! Who sees in the background to what could not be given back at once: one process for each of the claimants' locks.
//!
//! Whoever wants it seen to says so first (`locks/asked-LOCK`, a claimant a line) and then tries to become that process.
//! Who is it already looks for such lines until, after it has let go of the lock, there are none. So nothing that was
//! asked for is forgotten, however the two meet.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use super::lock::lock_name;
use super::{Ledger, Lock, LockError};
use crate::host::clock::Deadline;
use crate::model::claim::Claimant;

/// More than can have been asked for meanwhile.
const MOST_BYTES: u64 = 1 << 20;

/// Nobody takes longer to write or to read a line.
const SHORT: Duration = Duration::from_secs(2);

impl Ledger<'_> {
    /// Asks for a claimant to be seen to.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn ask_waiter(&self, claimant: Claimant) -> Result<(), LockError> {
        self.with_asked(claimant, |mut file| {
            file.write_all(format!("{claimant}\n").as_bytes())
        })
    }

    /// Who has been asked for, among those that share the claimant's lock. They are not asked for any more then.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn take_asked(&self, claimant: Claimant) -> Result<Vec<Claimant>, LockError> {
        self.with_asked(claimant, |file| {
            let mut bytes = Vec::new();
            (&file).take(MOST_BYTES).read_to_end(&mut bytes)?;
            if !bytes.is_empty() {
                file.set_len(0)?;
            }
            let text = String::from_utf8_lossy(&bytes);
            Ok(text.lines().filter_map(Claimant::of_file_name).collect())
        })
    }

    /// Whether somebody has been asked for.
    #[must_use]
    pub fn is_asked(&self, claimant: Claimant) -> bool {
        let file = self.asked_file(claimant).and_then(|file| file.metadata());
        file.is_ok_and(|file| file.len() > 0)
    }

    /// Locks what sees to those who share the claimant's lock, at once or not at all.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn lock_waiter(&self, claimant: Claimant) -> Result<Lock, LockError> {
        let what = format!("waiter-{}", lock_name(claimant));
        self.lock(&what, Deadline::now())
    }

    /// Does something with the file, which is its own lock.
    fn with_asked<T>(
        &self,
        claimant: Claimant,
        action: impl FnOnce(File) -> io::Result<T>,
    ) -> Result<T, LockError> {
        let what = asked_name(claimant);
        let _lock = self.lock(&what, Deadline::after(SHORT))?;
        let done = self.asked_file(claimant).and_then(action);
        done.map_err(|source| LockError::File { what, source })
    }

    fn asked_file(&self, claimant: Claimant) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .append(true)
            .custom_flags(nix::libc::O_NOFOLLOW);
        options.open(self.lock_path(&asked_name(claimant)))
    }
}

fn asked_name(claimant: Claimant) -> String {
    format!("asked-{}", lock_name(claimant))
}
