//! Creations that are on their way: from before the write to `create` until the driver has answered it, whoever
//! still waits for the answer.
//!
//! The process that writes keeps the lock's file open, and flock(2) holds a lock for as long as anybody has the file
//! open that it was taken by. So a creation that goes on after its call has given up, or was killed, can be told from
//! one that will never come.
//!
//! The file is not empty from before the write until the record knows the device's folder. So a record without an inode,
//! and an empty file, are of a call that died before it could make anything: what is there was made by somebody else.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FlockArg, OFlag};

use super::lock::{flock, take};
use super::{Ledger, LockError};
use crate::host::clock::Deadline;
use crate::host::files;
use crate::host::root::Root;
use crate::model::names::MdevUuid;

/// A creation on its way. It ends with this and with whoever else was given its descriptor.
#[derive(Debug)]
pub struct Flight {
    file: File,
}

impl Flight {
    /// Notes that it has come to an end, and is known to: it was refused, or the record says which device it has made.
    pub fn land(self) {
        // Else what is there next counts as ours where nothing else tells, as it would have without.
        drop(self.file.set_len(0));
    }
}

impl AsFd for Flight {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Ledger<'_> {
    /// Notes that a device is about to be made. The caller holds the device's lock.
    ///
    /// # Errors
    /// An earlier creation is still on its way, or its lock's file cannot be used.
    pub fn begin_creation(&self, uuid: MdevUuid, deadline: Deadline) -> Result<Flight, LockError> {
        let what = name_of(uuid);
        let failed = |source| LockError::File {
            what: what.clone(),
            source,
        };
        let how = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW;
        let file = files::open(&self.lock_path(&what), how).map_err(failed)?;
        // Somebody may just be looking whether it is held.
        take(&file, &what, deadline)?;
        match (&file).write_all(b"+") {
            Ok(()) => Ok(Flight { file }),
            Err(error) => Err(failed(error)),
        }
    }

    /// Forgets an earlier creation that never came to an end, before a record is written that is not about it. The caller
    /// holds the device's lock.
    pub fn forget_creation(&self, uuid: MdevUuid) {
        let path = self.lock_path(&name_of(uuid));
        if !has_begun(&path) || self.is_being_made(uuid) {
            return;
        }
        let mut options = OpenOptions::new();
        options
            .write(true)
            .truncate(true)
            .custom_flags(nix::libc::O_NOFOLLOW);
        // Else what is there next counts as ours where nothing else tells, as it would have without.
        drop(options.open(path));
    }

    /// Whether the creation of a device is on its way.
    #[must_use]
    pub fn is_being_made(&self, uuid: MdevUuid) -> bool {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(nix::libc::O_NOFOLLOW);
        let Ok(file) = options.open(self.lock_path(&name_of(uuid))) else {
            return false;
        };
        flock(&file, FlockArg::LockSharedNonblock) == Err(Errno::EAGAIN)
    }
}

/// Whether the device of a record without an inode may have been made by the call that wrote the record.
#[must_use]
pub fn was_begun(root: &Root, uuid: MdevUuid) -> bool {
    has_begun(&root.path(super::FOLDER).join("locks").join(name_of(uuid)))
}

fn has_begun(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.len() > 0)
}

fn name_of(uuid: MdevUuid) -> String {
    format!("creation-{uuid}")
}
