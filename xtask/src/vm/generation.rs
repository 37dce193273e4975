//! The Debian generations that hosts are made of.

use std::fmt;

use clap::ValueEnum;

/// A Debian release, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Generation {
    /// Debian 12: kernel 6.1, libvirt 9.0, QEMU 7.2, mdevctl 1.2.
    Bookworm,
    /// Debian 13: kernel 6.12, libvirt 11.3, QEMU 10.0, mdevctl 1.4.
    Trixie,
}

impl Generation {
    /// All of them, oldest first.
    pub(crate) const ALL: [Self; 2] = [Self::Bookworm, Self::Trixie];

    /// The release's name, as apt's suites have it.
    pub(crate) fn codename(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.codename())
    }
}
