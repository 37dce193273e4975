//! Names that come from files and command lines, checked once, before anything becomes a path.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Why a text is not the name that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not {what}: {why}", text = Shown(text))]
pub struct NameError {
    what: &'static str,
    text: String,
    why: &'static str,
}

/// Longer than any name that a file system takes (`NAME_MAX` of the kernel's `limits.h`).
const LONGEST: usize = 255;

/// Displays a text that somebody else wrote: quoted, control characters escaped, cut where it is long.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 80;
        write!(f, "\"")?;
        for character in self.0.chars().take(MOST) {
            if is_unprintable(character) {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        if self.0.chars().nth(MOST).is_some() {
            write!(f, "…")?;
        }
        write!(f, "\"")
    }
}

/// A text that somebody else wrote as it is, or quoted where it would do something to a terminal.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(is_unprintable) {
        Shown(text).to_string().into()
    } else {
        text.into()
    }
}

/// Control characters, and those that change the direction or the lines of what is printed after them.
#[must_use]
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Reads a UUID as libvirt's `virUUIDParse` does: white space around it, either case, dashes between bytes
/// or none.
fn parse_uuid(what: &'static str, text: &str) -> Result<Uuid, NameError> {
    let error = |why| NameError {
        what,
        text: text.to_owned(),
        why,
    };
    let mut bytes = [0; 16];
    let mut rest = text.trim_matches([' ', '\t', '\n', '\r']).as_bytes();
    for byte in &mut bytes {
        while let [b'-', tail @ ..] = rest {
            rest = tail;
        }
        let [high, low, tail @ ..] = rest else {
            return Err(error("it is too short"));
        };
        let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low)) else {
            return Err(error("it must be 32 hexadecimal digits"));
        };
        *byte = high << 4 | low;
        rest = tail;
    }
    if !rest.is_empty() {
        return Err(error("it is too long"));
    }
    Ok(Uuid::from_bytes(bytes))
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// A name that is the last part of one path: neither empty nor `.` nor `..`, no slash, nothing unprintable.
fn check_file_name(what: &'static str, text: &str) -> Result<(), NameError> {
    let why = match text {
        "" => "it is empty",
        "." | ".." => "it would be another folder",
        _ if text.contains('/') => "a slash may not be in it",
        _ if text.chars().any(is_unprintable) => "a control character may not be in it",
        _ if text.len() > LONGEST => "it is too long",
        _ => return Ok(()),
    };
    Err(NameError {
        what,
        text: text.to_owned(),
        why,
    })
}

/// A host as `ssh` takes it. What may be in one is what OpenSSH's `valid_hostname` and `valid_ruser` let through, since a name
/// may get into a command of the configuration (`ProxyCommand`).
fn check_host(text: &str) -> Result<(), NameError> {
    const SPECIAL: &str = "'\"`$\\;&<>|(){},=";
    let why = match text {
        "" => "it is empty",
        _ if text.starts_with('-') || text.contains("@-") || text.contains("://-") => {
            "ssh would take it for an option"
        }
        _ if text.chars().any(is_unprintable) => "a control character may not be in it",
        _ if text.contains(|one: char| one.is_whitespace() || SPECIAL.contains(one)) => {
            "spaces, commas, equals signs and what means something to a shell may not be in it"
        }
        _ if text.len() > LONGEST => "it is too long",
        _ => return Ok(()),
    };
    Err(NameError {
        what: "a host's name",
        text: text.to_owned(),
        why,
    })
}

macro_rules! uuid_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The UUID itself.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                $name(uuid)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                parse_uuid($what, text).map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        text_serde!($name);
    };
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        ///
        /// A clone costs next to nothing: a plan has one for each place.
        #[derive(Debug, Clone, Eq, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl PartialEq for $name {
            #[inline]
            fn eq(&self, other: &Self) -> bool {
                // Most that are alike are clones of one, and most of the others differ in length or at the end.
                let (one, two) = (self.0.as_bytes(), other.0.as_bytes());
                Arc::ptr_eq(&self.0, &other.0)
                    || one.len() == two.len() && one.last() == two.last() && one == two
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.hash(state);
            }
        }

        impl $name {
            /// The name as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok($name(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        text_serde!($name);
    };
}

macro_rules! text_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(de::Error::custom)
            }
        }
    };
}

uuid_name!(
    /// The UUID of a mediated device. Displays in lower case with dashes, as the kernel names it.
    MdevUuid,
    "a UUID"
);

uuid_name!(
    /// The UUID of a libvirt domain. Displays in lower case with dashes, as libvirt prints it.
    DomainUuid,
    "a domain's UUID"
);

text_name!(
    /// The kernel's name of a parent: the last part of `/sys/class/mdev_bus/PARENT`.
    ParentName,
    |text| check_file_name("a parent's name", text)
);

text_name!(
    /// The name of a type: the last part of `PARENT/mdev_supported_types/TYPE`.
    TypeName,
    |text| check_file_name("a type's name", text)
);

text_name!(
    /// The path of an attribute's file below the device's folder, such as `nvidia/vgpu_params`.
    AttributePath,
    check_attribute_path
);

text_name!(
    /// The name of a pool: `[A-Za-z0-9][A-Za-z0-9._-]*`.
    PoolName,
    check_pool_name
);

text_name!(
    /// A host as `ssh` takes it: a name, an address, an alias of its configuration, with `USER@` or as `ssh://…`.
    HostName,
    check_host
);

fn check_attribute_path(text: &str) -> Result<(), NameError> {
    const WHAT: &str = "an attribute's path";
    if text.starts_with('/') {
        return Err(NameError {
            what: WHAT,
            text: text.to_owned(),
            why: "it must be below the device's folder",
        });
    }
    for part in text.split('/') {
        check_file_name(WHAT, part).map_err(|error| NameError {
            text: text.to_owned(),
            ..error
        })?;
    }
    Ok(())
}

fn check_pool_name(text: &str) -> Result<(), NameError> {
    const WHAT: &str = "a pool's name";
    check_file_name(WHAT, text)?;
    let good = |character: char| character.is_ascii_alphanumeric() || ".-_".contains(character);
    let why = if !text.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        "it must start with a letter or a digit"
    } else if !text.chars().all(good) {
        "only letters, digits, dots, dashes and underscores may be in it"
    } else {
        return Ok(());
    };
    Err(NameError {
        what: WHAT,
        text: text.to_owned(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_read_as_libvirt_reads_it_and_printed_as_the_kernel_does() {
        const PRINTED: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
        for text in [
            PRINTED,
            "C2177883-F1BB-47F0-914D-32A22E3A8804",
            "c2177883f1bb47f0914d32a22e3a8804",
            " \n c2177883-f1bb-47f0-914d-32a22e3a8804\t",
            "c217-7883-f1bb-47f0-914d-32a22e3a8804",
        ] {
            assert_eq!(
                text.parse::<MdevUuid>().map(|uuid| uuid.to_string()),
                Ok(PRINTED.to_owned()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_text_that_is_no_uuid_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "too short"),
            ("c2177883-f1bb-47f0-914d-32a22e3a880", "too short"),
            ("c2177883-f1bb-47f0-914d-32a22e3a88044", "too long"),
            ("c2177883-f1bb-47f0-914d-32a22e3a880g", "hexadecimal"),
            ("c217788-3f1bb-47f0-914d-32a22e3a8804", "hexadecimal"),
            ("{c2177883-f1bb-47f0-914d-32a22e3a8804}", "hexadecimal"),
            ("../../etc/passwd", "hexadecimal"),
        ] {
            let error = text.parse::<MdevUuid>().expect_err(text).to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_parent_is_one_part_of_a_path() {
        for good in ["0000:41:00.0", "matrix", "0.0.0052", "mtty", "...", "a b"] {
            assert!(good.parse::<ParentName>().is_ok(), "{good:?}");
        }
        let long = "x".repeat(256);
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "/",
            "a\n",
            "a\0b",
            "\u{1b}[31m",
            "\u{202e}x",
            &long,
        ] {
            assert!(bad.parse::<ParentName>().is_err(), "{bad:?}");
            assert!(bad.parse::<TypeName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_attribute_stays_below_the_folder_of_its_device() {
        for good in ["assign_adapter", "nvidia/vgpu_params", "power/control", "a/b/c"] {
            assert!(good.parse::<AttributePath>().is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "../remove",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a\n",
        ] {
            assert!(bad.parse::<AttributePath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_pool_has_a_plain_name() {
        for good in ["vgpu-4g", "A", "0.1_b"] {
            assert!(good.parse::<PoolName>().is_ok(), "{good:?}");
        }
        for bad in ["", "-a", ".a", "a/b", "a b", "ä", "a\n"] {
            assert!(bad.parse::<PoolName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_others_wrote_is_shown_on_one_line() {
        for (text, printed) in [
            ("win 11", "win 11"),
            ("a\nb", "\"a\\nb\""),
            ("\u{1b}[31m", "\"\\u{1b}[31m\""),
        ] {
            assert_eq!(printable(text), printed);
        }
        assert_eq!(Shown("a\nb\u{1b}").to_string(), "\"a\\nb\\u{1b}\"");
        assert_eq!(
            Shown(&"x".repeat(100)).to_string(),
            format!("\"{}…\"", "x".repeat(80))
        );
    }
    #[test]
    fn a_host_is_nothing_that_ssh_or_a_shell_would_obey() {
        for text in [
            "a",
            "gpu-7.example.org",
            "root@gpu7",
            "ssh://root@gpu7:2222",
            "::1",
            "[fe80::1%eth0]",
        ] {
            assert!(text.parse::<HostName>().is_ok(), "{text}");
        }
        for (text, why) in [
            ("", "empty"),
            ("-oProxyCommand=reboot", "option"),
            ("--", "option"),
            ("root@-oProxyCommand", "option"),
            ("a\u{1b}[2J", "control character"),
            ("a\u{202e}b", "control character"),
            ("a b", "spaces"),
            ("a;reboot", "shell"),
            ("$(reboot)", "shell"),
            ("`reboot`", "shell"),
            ("a,b", "commas"),
            ("a=b", "equals signs"),
        ] {
            let error = text.parse::<HostName>().expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
