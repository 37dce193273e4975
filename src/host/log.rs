//! Sends what is logged to the system's journal, with its fields, by journald's native protocol
//! (systemd's "Native Journal Protocol"). Where no journal listens, nothing is logged: a hook has nowhere
//! else to write.

use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;

use log::kv::{self, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType};

use super::root::Root;
use crate::model::names::is_unprintable;
use crate::model::settings::LogLevel;

/// Where journald listens.
pub const JOURNAL: &str = "/run/systemd/journal/socket";

struct Journal {
    socket: UnixDatagram,
    context: OnceLock<Context>,
}

struct Context {
    domain: String,
    operation: &'static str,
}

static JOURNAL_LOG: OnceLock<Journal> = OnceLock::new();

/// Starts logging to the journal below `root`, where one listens.
pub fn start(root: &Root, level: LogLevel) {
    let connect = || -> std::io::Result<UnixDatagram> {
        // A journal that does not keep up costs messages, not the start of a domain.
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket::socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        let socket = UnixDatagram::from(socket);
        socket.connect(root.path(JOURNAL))?;
        Ok(socket)
    };
    let Ok(socket) = connect() else { return };
    let journal = JOURNAL_LOG.get_or_init(|| Journal {
        socket,
        context: OnceLock::new(),
    });
    if log::set_logger(journal).is_ok() {
        log::set_max_level(match level {
            LogLevel::Error => LevelFilter::Error,
            LogLevel::Warn => LevelFilter::Warn,
            LogLevel::Info => LevelFilter::Info,
            LogLevel::Debug => LevelFilter::Debug,
        });
    }
}

/// The open way to the journal, for those who close all others.
#[must_use]
pub fn descriptor() -> Option<RawFd> {
    JOURNAL_LOG.get().map(|journal| journal.socket.as_raw_fd())
}

/// Says what all later messages are about.
pub fn set_context(domain: &str, operation: &'static str) {
    if let Some(journal) = JOURNAL_LOG.get() {
        journal.context.get_or_init(|| Context {
            domain: domain.to_owned(),
            operation,
        });
    }
}

impl Log for Journal {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut entry = Entry(Vec::new());
        let context = self.context.get();
        let message = match context {
            Some(context) => format!("{}: {}", context.domain, record.args()),
            None => record.args().to_string(),
        };
        // Names in it may be anybody's, and whoever reads it does so on a terminal.
        entry.push("MESSAGE", &message.replace(is_unprintable, " "));
        entry.push("PRIORITY", priority(record.level()));
        entry.push("SYSLOG_IDENTIFIER", "automdev");
        if let Some(context) = context {
            entry.push("AUTOMDEV_DOMAIN", &context.domain);
            entry.push("AUTOMDEV_OPERATION", context.operation);
        }
        // Visiting fails only where the visitor does.
        drop(record.key_values().visit(&mut entry));
        // A message that the journal does not take is lost.
        drop(self.socket.send(&entry.0));
    }

    fn flush(&self) {}
}

/// syslog(3)'s numbers.
fn priority(level: Level) -> &'static str {
    match level {
        Level::Error => "3",
        Level::Warn => "4",
        Level::Info => "6",
        Level::Debug | Level::Trace => "7",
    }
}

struct Entry(Vec<u8>);

impl Entry {
    /// Adds a field, its length before it, so that a line's end in a value cannot begin another field.
    fn push(&mut self, name: &str, value: &str) {
        self.0.extend(name.as_bytes());
        self.0.push(b'\n');
        self.0.extend((value.len() as u64).to_le_bytes());
        self.0.extend(value.as_bytes());
        self.0.push(b'\n');
    }
}

impl VisitSource<'_> for Entry {
    fn visit_pair(&mut self, key: Key<'_>, value: Value<'_>) -> Result<(), kv::Error> {
        let name = format!("AUTOMDEV_{}", key.as_str().to_ascii_uppercase());
        self.push(&name, &value.to_string());
        Ok(())
    }
}
