//! The settings of `/etc/automdev/automdev.toml`. Every key has a default, so that no file is needed.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::domain::Select;
use super::pool::{Glob, placed};
use super::table::only_table;
use super::words::{Language, plain};

/// What an administrator may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which hostdevs count as marked.
    pub select: Select,
    /// The least important messages that are logged.
    pub log_level: LogLevel,
    /// Whether mdevctl's callouts and notifiers are called.
    pub callouts: bool,
    /// Parents on which nothing new is made, for their maintenance, say.
    pub cordon: Vec<Glob>,
    /// How long each thing is waited for.
    pub timeouts: Timeouts,
}

/// The same as it stands in the file.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    select: Select,
    log_level: LogLevel,
    callouts: bool,
    cordon: Vec<Spanned<Glob>>,
    #[serde(deserialize_with = "only_table")]
    timeouts: Timeouts,
}

impl Default for File {
    fn default() -> Self {
        let Settings {
            select,
            log_level,
            callouts,
            cordon: _,
            timeouts,
        } = Settings::default();
        File {
            select,
            log_level,
            callouts,
            cordon: Vec::new(),
            timeouts,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            select: Select::default(),
            log_level: LogLevel::default(),
            callouts: true,
            cordon: Vec::new(),
            timeouts: Timeouts::default(),
        }
    }
}

/// The least important messages that are logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// A domain did not get its device.
    Error,
    /// Odd, but handled.
    Warn,
    /// A device was created or removed.
    #[default]
    Info,
    /// Every access.
    Debug,
}

/// How long each thing is waited for; in the file in seconds, fractions allowed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// A hook call as a whole.
    #[serde(deserialize_with = "some_time")]
    pub hook: Duration,
    /// One write into sysfs.
    #[serde(deserialize_with = "some_time")]
    pub write: Duration,
    /// A new device's node below /dev/vfio.
    #[serde(deserialize_with = "some_time")]
    pub node: Duration,
    /// A device that is to be removed, until nobody uses it.
    #[serde(deserialize_with = "seconds")]
    pub idle: Duration,
    /// A device of NVIDIA's that nobody uses any more, until it has gone by itself.
    #[serde(deserialize_with = "seconds")]
    pub gone: Duration,
    /// A device that could not be removed, until it is no longer tried in the background.
    #[serde(deserialize_with = "seconds")]
    pub retry: Duration,
    /// A device whose domain has ended, until libvirt says so.
    #[serde(deserialize_with = "seconds")]
    pub claim: Duration,
    /// A parent or a type that a device needs and the host does not have yet.
    #[serde(deserialize_with = "seconds")]
    pub parent: Duration,
    /// The same shortly after the host's boot, on top of [`Timeouts::hook`].
    #[serde(deserialize_with = "seconds")]
    pub parent_at_boot: Duration,
    /// One call of one of mdevctl's scripts.
    #[serde(deserialize_with = "some_time")]
    pub callout: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            hook: Duration::from_secs(30),
            write: Duration::from_secs(10),
            node: Duration::from_secs(5),
            idle: Duration::from_secs(5),
            gone: Duration::from_secs(10),
            retry: Duration::from_secs(600),
            claim: Duration::from_secs(10),
            parent: Duration::from_secs(5),
            parent_at_boot: Duration::from_secs(60),
            callout: Duration::from_secs(10),
        }
    }
}

/// Drivers may still be registering for so long after a boot.
const BOOT: Duration = Duration::from_secs(180);

impl Timeouts {
    /// Whether a host that has been up for so long is still about to come up.
    #[must_use]
    pub fn is_at_boot(&self, uptime: Option<Duration>) -> bool {
        self.parent_at_boot > self.parent && uptime.is_some_and(|uptime| uptime < BOOT)
    }
}

/// The longest that anything can be told to wait: an hour.
const LONGEST: f64 = 3600.0;

/// The shortest time for what takes some: with less nothing could ever be made.
const SHORTEST: f64 = 0.05;

/// A time that may be none at all: who gives none does not wait.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    within(deserializer, 0.0)
}

/// A time without which nothing works.
fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    within(deserializer, SHORTEST)
}

fn within<'de, D: Deserializer<'de>>(deserializer: D, least: f64) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    if (least..=LONGEST).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(de::Error::custom(format_args!(
            "{seconds} is not between {least} and {LONGEST} seconds"
        )))
    }
}

/// Why the settings cannot be used: the place and what is wrong there, on one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl Settings {
    /// Reads the file's TOML.
    ///
    /// # Errors
    /// It is no TOML, a key is not known, or a value is of the wrong kind.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let place = error
                .span()
                .map(|span| super::fault::Place::of_offset(text, span.start));
            let place = place.map_or_else(String::new, |place| format!("{place}: "));
            SettingsError(format!("{place}{}", plain(error.message(), Language::Toml)))
        })?;
        Ok(Settings {
            select: file.select,
            log_level: file.log_level,
            callouts: file.callouts,
            cordon: placed(text, file.cordon),
            timeouts: file.timeouts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_the_defaults() {
        assert_eq!(Settings::parse(""), Ok(Settings::default()));
    }

    #[test]
    fn every_key_is_read() {
        let text = "select = 'managed'\nlog_level = 'debug'\ncallouts = false\n\
             cordon = ['0000:42:*']\n\
            [timeouts]\nhook = 1\nwrite = 2.5\nnode = 3\nidle = 4\ngone = 9\nretry = 10\nclaim = 0\nparent = 7\nparent_at_boot = 8\ncallout = 6\n";
        let settings = Settings {
            select: Select::Managed,
            log_level: LogLevel::Debug,
            callouts: false,
            cordon: vec!["0000:42:*".parse().expect("a pattern")],
            timeouts: Timeouts {
                hook: Duration::from_secs(1),
                write: Duration::from_millis(2500),
                node: Duration::from_secs(3),
                idle: Duration::from_secs(4),
                gone: Duration::from_secs(9),
                retry: Duration::from_secs(10),
                claim: Duration::ZERO,
                parent: Duration::from_secs(7),
                parent_at_boot: Duration::from_secs(8),
                callout: Duration::from_secs(6),
            },
        };
        assert_eq!(Settings::parse(text), Ok(settings));
    }

    #[test]
    fn a_host_comes_up_for_a_while() {
        let timeouts = Timeouts::default();
        for (uptime, is_at_boot) in [
            (Some(0), true),
            (Some(179), true),
            (Some(180), false),
            (None, false),
        ] {
            assert_eq!(
                timeouts.is_at_boot(uptime.map(Duration::from_secs)),
                is_at_boot,
                "{uptime:?}"
            );
        }
        let never = Timeouts {
            parent_at_boot: Duration::ZERO,
            ..timeouts
        };
        assert!(!never.is_at_boot(Some(Duration::ZERO)));
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (text, message) in [
            (
                "selct = 'marked'",
                "line 1, column 1: there is no key selct (did you mean select?); there are select, log_level",
            ),
            (
                "\nselect = 'all'",
                "line 2, column 10: \"all\" is none of marked, managed, defined",
            ),
            (
                "[timeouts]\nhook = -1",
                "line 2, column 8: -1 is not between 0.05 and 3600 seconds",
            ),
            ("[timeouts]\nhook = nan", "line 2, column 8: NaN is not between"),
            (
                "[timeouts]\nhook = '30'",
                "line 2, column 8: this is the string \"30\", where a number is needed",
            ),
            (
                "[timeouts]\nhook = 0",
                "line 2, column 8: 0 is not between 0.05 and 3600",
            ),
            (
                "[timeouts]\nwrite = 0",
                "line 2, column 9: 0 is not between 0.05 and 3600",
            ),
            (
                "[timeouts]\nnode = 0",
                "line 2, column 8: 0 is not between 0.05 and 3600",
            ),
            (
                "[timeouts]\ncallout = 0",
                "line 2, column 11: 0 is not between 0.05 and 3600",
            ),
            (
                "[timeouts]\ngone = 3601",
                "line 2, column 8: 3601 is not between 0 and 3600",
            ),
            (
                "timeouts = [30]",
                "line 1, column 12: this is an array, where a table is needed",
            ),
            (
                "callouts = 'no'",
                "line 1, column 12: this is the string \"no\", where true or false is needed",
            ),
            ("select = true", "line 1, column 10: a string is needed here"),
            ("[timeouts", "line 1, column 10: unclosed table; here belongs ]"),
            (
                "[timeouts]\nhook 30",
                "line 2, column 6: key with no value; here belongs =",
            ),
            (
                "callouts = true\ncallouts = true",
                "line 2, column 1: this key is here twice",
            ),
            (
                "log_level = info",
                "line 1, column 13: this is no value: a string has to be in quotes",
            ),
            ("select = ", "line 1, column 10:"),
            ("cordon = ['[']", "line 1, column 10: \"[\" is not a pattern"),
        ] {
            let error = Settings::parse(text).expect_err(text).to_string();
            assert!(error.starts_with(message), "{text}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
            for word in [
                "`",
                "sequence",
                "f64",
                "struct",
                "map",
                "field",
                "variant",
                "invalid type",
            ] {
                assert!(!error.contains(word), "{word}: {error}");
            }
        }
    }
}
