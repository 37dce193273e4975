//! The machine that a call works on, and the bounds within which it does.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use super::clock::Deadline;
use super::files;
use super::kernel::Kernel;
use super::root::Root;
use super::trust;
use crate::model::pool::Glob;
use crate::model::settings::{Settings, SettingsError, Timeouts};

/// Where the settings are.
pub const SETTINGS: &str = "/etc/automdev/automdev.toml";

/// The machine that a call works on.
#[derive(Clone)]
pub struct Machine<'a> {
    /// The folder below which everything lies.
    pub root: Root,
    /// What takes the writes into sysfs.
    pub kernel: &'a dyn Kernel,
    /// How long each thing is waited for.
    pub timeouts: Timeouts,
    /// Whether mdevctl's scripts are called.
    pub callouts: bool,
    /// The parents on which nothing new is made.
    pub cordon: Vec<Glob>,
    /// When the whole call has to be over.
    pub deadline: Deadline,
}

impl<'a> Machine<'a> {
    /// As the settings say, for a call that began then.
    pub fn new(root: &Root, kernel: &'a dyn Kernel, settings: Settings, begun: Deadline) -> Self {
        Machine {
            root: root.clone(),
            kernel,
            deadline: begun.later(settings.timeouts.hook),
            timeouts: settings.timeouts,
            callouts: settings.callouts,
            cordon: settings.cordon,
        }
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {SETTINGS}")]
    Unreadable(#[source] std::io::Error),
    /// The file does not say what it should.
    #[error("{SETTINGS}: {0}")]
    Wrong(SettingsError),
}

/// Reads the settings; the defaults where there is no file.
///
/// # Errors
/// There is one, and it cannot be read or understood.
pub fn load_settings(root: &Root) -> Result<Settings, LoadError> {
    const MOST_BYTES: usize = 1 << 20;
    let path = root.path(SETTINGS);
    let content = files::read_bounded(&path, MOST_BYTES).map_err(LoadError::Unreadable)?;
    if content.is_some() {
        trust::check(&path, 1).map_err(LoadError::Unreadable)?;
    }
    let text = String::from_utf8_lossy(&content.unwrap_or_default()).into_owned();
    Settings::parse(&text).map_err(LoadError::Wrong)
}

/// Where the kernel says which boot this is.
pub const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Which boot of the host this is; empty where nothing says so.
///
/// # Errors
/// It cannot be read. What is written down with another one is taken for what a boot has swept away.
pub fn boot_id(root: &Root) -> io::Result<String> {
    let content = match files::read_start(&root.path(BOOT_ID)) {
        Err(error) if files::is_absent(&error) => Vec::new(),
        read => read?,
    };
    Ok(String::from_utf8_lossy(&content).trim_end().to_owned())
}

/// Whether something is of this boot of the host; taken for granted where that cannot be read, as a boot empties the folder
/// that it was written into.
#[must_use]
pub fn is_this_boot(root: &Root, boot: &str) -> bool {
    boot_id(root).map_or(true, |this| this == boot)
}

/// For how long the host has been up, where it tells.
#[must_use]
pub fn uptime(root: &Root) -> Option<Duration> {
    if root.is_machine() {
        // Which that file shows (proc_uptime(5)), unless it is a container's own.
        let since = clock_gettime(ClockId::Boottime);
        let (seconds, nanoseconds) = (since.tv_sec.try_into().ok()?, since.tv_nsec.try_into().ok()?);
        return Some(Duration::new(seconds, nanoseconds));
    }
    let text = files::read_short(&root.path("/proc/uptime"))?;
    let seconds: f64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
