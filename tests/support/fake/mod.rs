//! A kernel for the tests: what automdev reads are plain files and links below a root folder; what it writes
//! goes through [`FakeKernel`], which then changes that tree as the kernel would.
//!
//! Several processes may be at it at a time: everything is in the tree, under one lock. The fake's own part,
//! which nobody else looks at, is the folder `fake`: [`config`], `removing/UUID` (the type of a device whose
//! removal waits for its user), `blocked/` (writes that a driver sits on), `graves/` (folders of removed
//! devices, kept so that their inodes are not used again).
//!
//! A device is in use while one of the tree's processes has its node open: `proc/PID/fd/N` → `/dev/vfio/GROUP`.

pub(crate) mod config;
pub(crate) mod device;
pub(crate) mod driver;
mod place;
mod pool;
mod react;

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use automdev::host::clock::Deadline;
use automdev::host::kernel::{Change, Kernel, ReadError, Target, WriteError};
use automdev::host::processes;
use nix::errno::Errno;
use nix::sys::signal::{Signal, raise};

use config::{Config, FaultKind, Store, errno_name};

/// The kernel of a tree.
#[derive(Debug)]
pub(crate) struct FakeKernel {
    root: PathBuf,
    store: Store,
    frozen: Cell<bool>,
}

impl FakeKernel {
    /// The kernel of the tree below `root`.
    pub(crate) fn new(root: impl AsRef<Path>) -> Self {
        // What is found by following links is to be below it as well.
        let root = fs::canonicalize(root).expect("the tree's root is there");
        FakeKernel {
            store: Store::new(&root),
            root,
            frozen: Cell::new(false),
        }
    }

    /// How it behaves.
    pub(crate) fn config(&self) -> Config {
        self.store.config()
    }

    /// Changes how it behaves, for every process.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut Config)) {
        let _locked = self.store.lock();
        let mut config = self.store.config();
        change(&mut config);
        self.store.set_config(&config);
    }

    /// Counts the effects from 1 again, with something going wrong at one of them.
    pub(crate) fn fault(&self, at: u64, kind: FaultKind) {
        self.store.reset();
        self.configure(|config| config.fault = Some(config::Fault { at, kind }));
    }

    /// Counts the effects from 1 again; nothing goes wrong any more at one of them.
    pub(crate) fn reset(&self) {
        self.store.reset();
    }

    /// How many effects there were since the last reset.
    pub(crate) fn effects(&self) -> u64 {
        self.store.counted()
    }

    /// The effects since the last reset, a line each: `NUMBER KIND PATH [VALUE]: RESULT`.
    pub(crate) fn log(&self) -> Vec<String> {
        self.store.logged()
    }

    /// Makes one effect; `make` is not called where it fails or the process dies before it.
    fn effect<T, E>(
        &self,
        what: &str,
        make: impl FnOnce() -> Result<T, E>,
        told: impl Fn(&Result<T, E>) -> String,
        failure: impl Fn(Errno) -> E,
    ) -> Result<T, E> {
        // What a dead process would still have tried is neither made nor counted.
        if self.frozen.get() {
            return Err(failure(Errno::ESHUTDOWN));
        }
        let (number, fault) = self.store.count();
        match fault {
            Some(FaultKind::Fail(errno)) => {
                let errno = Errno::from_raw(errno);
                self.store.log(number, what, &errno_name(errno));
                return Err(failure(errno));
            }
            Some(kind @ (FaultKind::KillBefore | FaultKind::FreezeBefore)) => {
                self.store.log(number, what, "died before");
                self.die(kind);
                return Err(failure(Errno::ESHUTDOWN));
            }
            _ => {}
        }
        let result = make();
        if let Some(kind @ (FaultKind::KillAfter | FaultKind::FreezeAfter)) = fault {
            self.store
                .log(number, what, &format!("{}, died after", told(&result)));
            self.die(kind);
            return Err(failure(Errno::ESHUTDOWN));
        }
        self.store.log(number, what, &told(&result));
        result
    }

    fn die(&self, kind: FaultKind) {
        match kind {
            FaultKind::KillBefore | FaultKind::KillAfter => {
                raise(Signal::SIGKILL).expect("a process may kill itself");
            }
            _ => self.frozen.set(true),
        }
    }

    /// A path as the log shows it.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}

impl Kernel for FakeKernel {
    fn write(&self, target: Target<'_>, value: &[u8], deadline: Deadline) -> Result<(), WriteError> {
        let path = target.folder.join(target.file);
        let what = format!("write {} {:?}", self.shown(&path), String::from_utf8_lossy(value));
        self.effect(
            &what,
            || self.react(target, value, deadline),
            |result| match result {
                Ok(()) => "done".to_owned(),
                Err(WriteError::Refused(errno)) => errno_name(*errno),
                Err(WriteError::TimedOut) => "timed out".to_owned(),
                Err(WriteError::Replaced) => "replaced".to_owned(),
                Err(error) => error.to_string(),
            },
            // A driver's refusal, or the silence of a kernel that nobody listens to any more.
            |errno| match errno {
                Errno::ESHUTDOWN => WriteError::NoWorker(errno),
                errno => WriteError::Refused(errno),
            },
        )
    }

    fn read(&self, path: &Path, _deadline: Deadline) -> Result<Vec<u8>, ReadError> {
        let blocked = self.store.config().blocked;
        if blocked.iter().any(|end| path.ends_with(end)) {
            return Err(ReadError::TimedOut);
        }
        fs::read(path).map_err(|error| ReadError::Refused(place::errno_of(&error)))
    }

    fn has_argument(&self, path: &Path, text: &str, _deadline: Deadline) -> Result<bool, ReadError> {
        processes::has_argument(path, text).map_err(|error| ReadError::Refused(place::errno_of(&error)))
    }

    fn before(&self, change: Change, path: &Path) -> io::Result<()> {
        let what = format!("{change:?} {}", self.shown(path));
        self.effect(
            &what,
            || Ok(()),
            |_| "done".to_owned(),
            |errno| io::Error::from_raw_os_error(errno as i32),
        )
    }
}
