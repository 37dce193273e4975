//! Locks that the kernel lets go of when their holder dies: flock(2).
//!
//! Always taken in this order: the claimant's, those of the devices, sorted, the host's, that of a parent, never of
//! two at a time. Nothing is waited for under the last two but the kernel's answer.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::fcntl::{FlockArg, OFlag};

use super::Ledger;
use crate::host::clock::Deadline;
use crate::host::files;
use crate::model::claim::Claimant;
use crate::model::names::{MdevUuid, ParentName};

/// A lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Where that fails, the lock goes with the file, as soon as a child that was just forked has closed it, too.
        let _ = flock(&self.file, FlockArg::Unlock);
    }
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Its holder did not let go of it in time.
    #[error(
        "another automdev call has been at work on {what} for too long; try again, or look for it with ps"
    )]
    TimedOut {
        /// What it locks.
        what: String,
    },
    /// Its file cannot be used.
    #[error("cannot lock {what}")]
    File {
        /// What it locks.
        what: String,
        /// Why not.
        source: io::Error,
    },
}

impl LockError {
    /// Whether time alone may help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, LockError::TimedOut { .. })
    }
}

pub(super) fn lock_name(claimant: Claimant) -> String {
    const SHARED: u32 = 4096;
    match claimant {
        Claimant::Domain(_) => claimant.to_string(),
        Claimant::Process(process) => format!("process-{:04}", process.pid % SHARED),
    }
}

impl Ledger<'_> {
    /// Locks a claimant. Processes share some locks, as lock files stay and processes come and go.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn lock_claimant(&self, claimant: Claimant, deadline: Deadline) -> Result<Lock, LockError> {
        self.lock(&lock_name(claimant), deadline)
    }

    /// Locks devices, in the order that all use.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn lock_devices(
        &self,
        devices: impl IntoIterator<Item = MdevUuid>,
        deadline: Deadline,
    ) -> Result<Vec<Lock>, LockError> {
        let mut devices: Vec<MdevUuid> = devices.into_iter().collect();
        devices.sort_unstable();
        devices.dedup();
        devices
            .iter()
            .map(|uuid| self.lock(&format!("device-{uuid}"), deadline))
            .collect()
    }

    /// Locks the host.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn lock_host(&self, deadline: Deadline) -> Result<Lock, LockError> {
        self.lock("host", deadline)
    }

    /// Locks a parent. The caller holds no other: whoever wants that one would wait for this one as well.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn lock_parent(&self, parent: &ParentName, deadline: Deadline) -> Result<Lock, LockError> {
        self.lock(&format!("parent-{parent}"), deadline)
    }

    pub(super) fn lock(&self, what: &str, deadline: Deadline) -> Result<Lock, LockError> {
        let failed = |source| LockError::File {
            what: what.to_owned(),
            source,
        };
        let how = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NOFOLLOW;
        let file = files::open(&self.lock_path(what), how).map_err(failed)?;
        take(&file, what, deadline)?;
        Ok(Lock { file })
    }
}

/// Locks the file of a lock of that name for its caller alone.
pub(super) fn take(file: &File, what: &str, deadline: Deadline) -> Result<(), LockError> {
    let what = what.to_owned();
    let taken = deadline.poll(|| match flock(file, FlockArg::LockExclusiveNonblock) {
        Err(Errno::EAGAIN | Errno::EINTR) => None,
        answer => Some(answer),
    });
    match taken {
        Some(Ok(())) => Ok(()),
        Some(Err(errno)) => Err(LockError::File {
            what,
            source: errno.into(),
        }),
        None => Err(LockError::TimedOut { what }),
    }
}

/// Locks a file, or lets go of it.
#[allow(
    deprecated,
    reason = "nix's Flock panics where it cannot let go, and lets go when it is dropped, whoever else has the file open"
)]
pub(super) fn flock(file: &File, how: FlockArg) -> Result<(), Errno> {
    nix::fcntl::flock(file.as_raw_fd(), how)
}
