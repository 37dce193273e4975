//! What automdev remembers between two calls, under `/run/automdev` (which a reboot empties):
//!
//! ```text
//! devices/UUID             the record of a device that automdev makes      one writer: who locks the UUID
//! claims/UUID/CLAIMANT     a user of a device, ours or adopted             made by who locks the UUID;
//!                                                                          unlinked by its claimant, no lock
//! claimants/CLAIMANT       the devices that one claimant may claim         one writer: who locks the claimant
//! uses/KEY/UUID            a device that was made for a pool                written before its record
//! swaps/DEVICE             a device that made way for one of ours           one writer: who locks both
//! locks/…                  lock files, never unlinked; where devices, parents and
//!                          domains stay the same, there are no more of them with time
//! ```
//!
//! The states of a record, who moves it, and what a crash leaves:
//!
//! ```text
//!            (1)              (2)             (3)               (4)
//!   nothing ────► creating ──────► ready ──────────► removing ──────► nothing
//!                     │                                 ▲
//!                     └─────────────────────────────────┘ (5)
//! ```
//!
//! All moves are made under the lock of the UUID; the writes into sysfs under that of the parent, too.
//!
//! 1. `prepare`, and under the lock of the host: the reservation, written before the device is made.
//!    A crash after it leaves a record without a device, or with a device half made. The next call for that
//!    UUID removes what is there and makes it anew; it is never adopted.
//! 2. `prepare`, once the device is there, all attributes are written and its node has come. In between, the
//!    record learns the inode of the device's folder. A crash after it leaves a device that is whole: the
//!    next `prepare` of its claimant keeps it, `release` removes it.
//! 3. Whoever drops the last claim, before the write to `remove`. A crash after it leaves a device that is
//!    still whole, on its way out, or gone: the next call for that UUID goes on with the removal.
//! 4. The same, once `PARENT/UUID` is gone. A crash before it leaves a record without a device: the next call
//!    for that UUID drops it.
//! 5. `prepare`, when it fails and undoes what it made.
//!
//! While a creation is on its way, a lock says so that the writing process itself holds (`locks/creation-UUID`): a record
//! without a device is dropped only once that is let go of, as the device may come late, after its call has given up
//! or was killed. The same file tells whether the call that wrote the record had begun to make the device: if it had not,
//! what is there was made by somebody else.
//!
//! A claim is written with the reservation, and before the device is made; the list of what a claimant may
//! claim before its claims. So whatever dies, `release` finds all that there may be.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::files;
use super::kernel::Kernel;
use super::machine;
use super::root::Root;
use crate::model::claim::{Claim, Claimant, Holdings, Record};
use crate::model::names::MdevUuid;

mod entries;
mod flight;
mod guests;
mod lock;
mod spare;
mod swaps;
mod sweep;
mod uses;
mod waiters;

pub use entries::Entries;
pub use flight::{Flight, was_begun};
pub use lock::{Lock, LockError};
pub use spare::Spares;
pub use swaps::Swap;

/// Where the ledger is.
pub const FOLDER: &str = "/run/automdev";

/// What is in it whenever there is anything.
const FOLDERS: [&str; 4] = ["devices", "claims", "claimants", "locks"];

/// Larger than any file of the ledger.
const MOST_BYTES: usize = 1 << 20;

/// Why the ledger cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another than root, or than the owner of the tree, may have written it.
    #[error("{} is not safe: it must be a folder of the user who runs automdev, with mode 0700", path.display())]
    Unsafe {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was tried: "read", say.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} is broken", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It was written by a version that knows more.
    #[error("{} was written by a newer automdev", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
    },
}

/// The boot with which records and claims are written down.
///
/// # Errors
/// It cannot be read.
pub fn boot(root: &Root) -> Result<String, LedgerError> {
    machine::boot_id(root).map_err(|source| LedgerError::File {
        what: "read",
        path: root.path(machine::BOOT_ID),
        source,
    })
}

/// The ledger of a host.
pub struct Ledger<'a> {
    folder: PathBuf,
    kernel: &'a dyn Kernel,
}

impl<'a> Ledger<'a> {
    /// The ledger, whose folders are made where they are missing.
    ///
    /// # Errors
    /// They cannot be made, or somebody else may write there.
    pub fn open(root: &Root, kernel: &'a dyn Kernel) -> Result<Self, LedgerError> {
        let ledger = Ledger {
            folder: root.path(FOLDER),
            kernel,
        };
        make_folder(&ledger.folder)?;
        for name in FOLDERS {
            make_folder(&ledger.folder.join(name))?;
        }
        Ok(ledger)
    }

    /// The ledger, to be read only: nothing is made.
    #[must_use]
    pub fn look(root: &Root, kernel: &'a dyn Kernel) -> Self {
        Ledger {
            folder: root.path(FOLDER),
            kernel,
        }
    }

    /// Whether what it holds can be believed: nobody else may write there.
    ///
    /// # Errors
    /// Somebody else may, or it cannot be told.
    pub fn check(&self) -> Result<(), LedgerError> {
        check_folder(&self.folder)?;
        FOLDERS
            .iter()
            .try_for_each(|name| check_folder(&self.folder.join(name)))
    }

    /// Whether anything was ever written into it.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.folder.join("claimants").exists()
    }

    /// The record of a device of ours.
    ///
    /// # Errors
    /// It is there, and cannot be read.
    pub fn record(&self, uuid: MdevUuid) -> Result<Option<Record>, LedgerError> {
        read(&self.record_path(uuid))
    }

    /// Writes the record of a device of ours.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_record(&self, record: &Record) -> Result<(), LedgerError> {
        self.note_use(record)?;
        self.write(&self.record_path(record.uuid), record)
    }

    /// Drops the record of a device that is gone, or is not ours any more.
    ///
    /// # Errors
    /// It cannot be dropped.
    pub fn drop_record(&self, uuid: MdevUuid) -> Result<(), LedgerError> {
        self.unlink(&self.record_path(uuid))?;
        self.drop_uses(uuid)
    }

    /// Who claims a device.
    ///
    /// # Errors
    /// The claims cannot be read.
    pub fn claimants_of(&self, uuid: MdevUuid) -> Result<Vec<Claimant>, LedgerError> {
        let folder = self.claims_folder(uuid);
        let names = files::names(&folder).map_err(|source| LedgerError::File {
            what: "read",
            path: folder.clone(),
            source,
        })?;
        Ok(names
            .iter()
            .filter_map(|name| Claimant::of_file_name(name))
            .collect())
    }

    /// A claim.
    ///
    /// # Errors
    /// It is there, and cannot be read.
    pub fn claim(&self, uuid: MdevUuid, claimant: Claimant) -> Result<Option<Claim>, LedgerError> {
        read(&self.claims_folder(uuid).join(claimant.to_string()))
    }

    /// Whether there is such a claim.
    #[must_use]
    pub fn is_claimed_by(&self, uuid: MdevUuid, claimant: Claimant) -> bool {
        self.claims_folder(uuid).join(claimant.to_string()).exists()
    }

    /// Writes a claim.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_claim(&self, uuid: MdevUuid, claimant: Claimant, claim: &Claim) -> Result<(), LedgerError> {
        let folder = self.claims_folder(uuid);
        create_folder(&folder)?;
        self.write(&folder.join(claimant.to_string()), claim)
    }

    /// Drops a claim.
    ///
    /// # Errors
    /// It cannot be dropped.
    pub fn drop_claim(&self, uuid: MdevUuid, claimant: Claimant) -> Result<(), LedgerError> {
        let folder = self.claims_folder(uuid);
        self.unlink(&folder.join(claimant.to_string()))?;
        // Only an empty folder goes; that another claim is in it is fine.
        drop(fs::remove_dir(&folder));
        Ok(())
    }

    /// What a claimant may claim.
    ///
    /// # Errors
    /// It is there, and cannot be read.
    pub fn holdings(&self, claimant: Claimant) -> Result<Option<Holdings>, LedgerError> {
        read(&self.holdings_path(claimant))
    }

    /// Whether a claimant may claim anything.
    #[must_use]
    pub fn has_holdings(&self, claimant: Claimant) -> bool {
        self.holdings_path(claimant).exists()
    }

    /// Writes what a claimant may claim.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_holdings(&self, claimant: Claimant, holdings: &Holdings) -> Result<(), LedgerError> {
        self.write(&self.holdings_path(claimant), holdings)
    }

    /// Drops what a claimant may claim, once it claims nothing.
    ///
    /// # Errors
    /// It cannot be dropped.
    pub fn drop_holdings(&self, claimant: Claimant) -> Result<(), LedgerError> {
        self.unlink(&self.holdings_path(claimant))
    }

    /// All claimants.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn claimants(&self) -> Result<Vec<Claimant>, LedgerError> {
        let folder = self.folder.join("claimants");
        let names = files::names(&folder).map_err(|source| LedgerError::File {
            what: "read",
            path: folder,
            source,
        })?;
        Ok(names
            .iter()
            .filter_map(|name| Claimant::of_file_name(name))
            .collect())
    }

    /// The devices that a claimant claims, found by looking through all claims.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn claims_of(&self, claimant: Claimant) -> Result<Vec<MdevUuid>, LedgerError> {
        let folder = self.folder.join("claims");
        let names = files::names(&folder).map_err(|source| LedgerError::File {
            what: "read",
            path: folder,
            source,
        })?;
        let uuids = names.iter().filter_map(|name| name.parse().ok());
        Ok(uuids.filter(|uuid| self.is_claimed_by(*uuid, claimant)).collect())
    }

    /// What takes the writes into sysfs.
    pub(super) fn kernel(&self) -> &'a dyn Kernel {
        self.kernel
    }

    /// Where the file of a lock is.
    #[must_use]
    pub fn lock_path(&self, name: &str) -> PathBuf {
        self.folder.join("locks").join(name)
    }

    fn record_path(&self, uuid: MdevUuid) -> PathBuf {
        self.folder.join("devices").join(uuid.to_string())
    }

    fn claims_folder(&self, uuid: MdevUuid) -> PathBuf {
        self.folder.join("claims").join(uuid.to_string())
    }

    fn holdings_path(&self, claimant: Claimant) -> PathBuf {
        self.folder.join("claimants").join(claimant.to_string())
    }

    fn write<T: Serialize>(&self, path: &Path, value: &T) -> Result<(), LedgerError> {
        let mut content = serde_json::to_vec(value).map_err(|source| LedgerError::Broken {
            path: path.to_owned(),
            source,
        })?;
        content.push(b'\n');
        files::replace(self.kernel, path, &content).map_err(|source| LedgerError::File {
            what: "write",
            path: path.to_owned(),
            source,
        })
    }

    fn unlink(&self, path: &Path) -> Result<(), LedgerError> {
        files::unlink(self.kernel, path).map_err(|source| LedgerError::File {
            what: "take away",
            path: path.to_owned(),
            source,
        })
    }
}

fn make_folder(path: &Path) -> Result<(), LedgerError> {
    // Since the boot's first call it is there.
    match check_folder(path) {
        Err(LedgerError::File { source, .. }) if files::is_absent(&source) => {}
        checked => return checked,
    }
    create_folder(path)
}

/// The same for one that is most often not there yet.
fn create_folder(path: &Path) -> Result<(), LedgerError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_folder(path),
        made => made.map_err(|source| LedgerError::File {
            what: "make",
            path: path.to_owned(),
            source,
        }),
    }
}

fn check_folder(path: &Path) -> Result<(), LedgerError> {
    let metadata = fs::symlink_metadata(path).map_err(|source| LedgerError::File {
        what: "read",
        path: path.to_owned(),
        source,
    })?;
    let is_safe = metadata.is_dir() && metadata.mode().trailing_zeros() >= 6 && metadata.uid() == user();
    if is_safe {
        Ok(())
    } else {
        Err(LedgerError::Unsafe {
            path: path.to_owned(),
        })
    }
}

/// Who this process runs as, all its life.
fn user() -> u32 {
    static USER: OnceLock<u32> = OnceLock::new();
    *USER.get_or_init(|| nix::unistd::geteuid().as_raw())
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LedgerError> {
    let content = files::read_bounded(path, MOST_BYTES).map_err(|source| LedgerError::File {
        what: "read",
        path: path.to_owned(),
        source,
    })?;
    content.map(|content| parse(path, &content)).transpose()
}

/// Reads one of our files; what a newer version wrote is told apart from what is broken.
fn parse<T: DeserializeOwned>(path: &Path, content: &[u8]) -> Result<T, LedgerError> {
    #[derive(serde::Deserialize)]
    struct Version {
        schema: u32,
    }
    serde_json::from_slice(content).map_err(|source| match serde_json::from_slice::<Version>(content) {
        Ok(version) if version.schema > crate::model::claim::SCHEMA => LedgerError::Newer {
            path: path.to_owned(),
        },
        _ => LedgerError::Broken {
            path: path.to_owned(),
            source,
        },
    })
}
