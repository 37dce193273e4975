//! How the fake behaves, and what it was asked to do: files in the tree, so that every process over it agrees.
//!
//! `fake/config.json` is [`Config`]; `fake/count` the number of effects since [`reset`]; `fake/log` a line each.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::super::files;

/// How the fake behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// So long does a write to `create` take.
    pub(crate) create_delay_ms: u64,
    /// So long does a write to `remove` of a device in use block at most, whatever the caller's deadline: a
    /// caller who would have waited in vain gets its answer at once.
    pub(crate) patience_ms: u64,
    /// Which kernel it is like, where they differ.
    pub(crate) release: Release,
    /// Whether the device's node under `/dev/vfio` appears with the device.
    pub(crate) nodes: bool,
    /// Writes that block for good: the last parts of their paths, such as `mtty-2/create`. The caller sees
    /// the deadline pass; [`super::FakeKernel::unblock`] lets them come to pass.
    pub(crate) blocked: Vec<String>,
    /// Writes that fail: the last parts of their paths → errno.
    pub(crate) errors: BTreeMap<String, i32>,
    /// What goes wrong at one of the effects.
    pub(crate) fault: Option<Fault>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            create_delay_ms: 0,
            patience_ms: 0,
            release: Release::V6_12,
            nodes: true,
            blocked: Vec::new(),
            errors: BTreeMap::new(),
            fault: None,
        }
    }
}

/// A release of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Release {
    /// While a removal waits for the device's user, `vfio-dev` stays.
    V6_1,
    /// It goes before the wait (`vfio_unregister_group_dev`, since 6.6).
    V6_12,
}

/// Something that goes wrong at one effect: a write into sysfs, or a change announced by `Kernel::before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// Which effect, counted from 1 since the last reset.
    pub(crate) at: u64,
    /// What goes wrong there.
    pub(crate) kind: FaultKind,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FaultKind {
    /// The effect fails with this errno, and is not made.
    Fail(i32),
    /// SIGKILL right before it.
    KillBefore,
    /// SIGKILL right after it. A change outside sysfs is only announced: for that one, killing before the
    /// next effect is the same, so nothing happens here.
    KillAfter,
    /// As [`FaultKind::KillBefore`] without a process of its own: the kernel takes nothing any more from this
    /// [`super::FakeKernel`].
    FreezeBefore,
    /// As [`FaultKind::KillAfter`] without a process of its own.
    FreezeAfter,
}

/// The fake's own folder in a tree.
#[derive(Debug, Clone)]
pub(crate) struct Store(PathBuf);

/// Held while the fake looks at its tree and changes it.
#[derive(Debug)]
pub(crate) struct Locked(#[expect(dead_code, reason = "held")] Flock<File>);

impl Store {
    pub(crate) fn new(root: &Path) -> Self {
        Store(root.join("fake"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn lock(&self) -> Locked {
        fs::create_dir_all(&self.0).expect("the fake's folder");
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path("lock"))
            .expect("the fake's lock");
        Locked(Flock::lock(file, FlockArg::LockExclusive).expect("the fake's lock is free"))
    }

    pub(crate) fn config(&self) -> Config {
        match fs::read_to_string(self.path("config.json")) {
            Ok(text) => serde_json::from_str(&text).expect("the fake's configuration is right"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Config::default(),
            Err(error) => panic!("the fake's configuration: {error}"),
        }
    }

    pub(crate) fn set_config(&self, config: &Config) {
        let text = serde_json::to_string_pretty(config).expect("it can be written down");
        files::put(&self.path("config.json"), &text, files::BOTH).expect("the fake's configuration");
    }

    /// Counts one effect; its number, and what goes wrong at it.
    pub(crate) fn count(&self) -> (u64, Option<FaultKind>) {
        let _locked = self.lock();
        let number = self.counted() + 1;
        files::put(&self.path("count"), &number.to_string(), files::BOTH).expect("the fake's count");
        let fault = self.config().fault.filter(|fault| fault.at == number);
        (number, fault.map(|fault| fault.kind))
    }

    /// How many effects there were since the last reset.
    pub(crate) fn counted(&self) -> u64 {
        files::text(&self.path("count")).map_or(0, |count| count.parse().expect("a number"))
    }

    pub(crate) fn log(&self, number: u64, effect: &str, result: &str) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path("log"))
            .expect("the fake's log");
        writeln!(file, "{number} {effect}: {result}").expect("the fake's log");
    }

    /// The effects since the last reset, a line each: `NUMBER write|Write|Unlink PATH [VALUE]: RESULT`.
    pub(crate) fn logged(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Forgets the effects so far, and the fault.
    pub(crate) fn reset(&self) {
        let _locked = self.lock();
        files::unlink(&self.path("count")).expect("the fake's count");
        files::unlink(&self.path("log")).expect("the fake's log");
        self.set_config(&Config {
            fault: None,
            ..self.config()
        });
    }
}

/// The name of an errno, such as `ENOSPC`.
pub(crate) fn errno_name(errno: Errno) -> String {
    format!("{errno:?}")
}
