//! A libvirt domain as far as it is about mediated devices: which it has, and which of them are *marked*,
//! that is, to be made by automdev.
//!
//! The marks come in two forms. People write `autocreate='yes'` on the hostdev; libvirt drops an attribute
//! that it does not know, so what it keeps is a list under `<metadata>`, in the namespace [`NAMESPACE`]:
//!
//! ```xml
//! <automdev:devices xmlns:automdev="urn:automdev:domain:1">
//!   <automdev:mdev uuid="c2177883-f1bb-47f0-914d-32a22e3a8804"/>
//! </automdev:devices>
//! ```
//!
//! An explicit attribute wins over the list. The elements are those of libvirt's formatdomain, "Host device
//! assignment".

mod glance;
mod list;
mod read;
pub(crate) mod xml;

use std::fmt;

use serde::Deserialize;

pub use self::glance::{Plain, glance, may_list};
pub(crate) use self::list::{List, ListElement, ListEntry};
pub(crate) use self::read::{Reading, read};
pub use self::xml::{child, decode, of_status, parse_document};

use super::affinity::Affinity;
use super::fault::Fault;
use super::names::{DomainUuid, MdevUuid, PoolName};

/// The namespace of our element under `<metadata>`.
pub const NAMESPACE: &str = "urn:automdev:domain:1";

/// The most that a domain's XML may be, in bytes.
pub const MOST_BYTES: usize = 8 << 20;

/// A domain, as far as it is about mediated devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its name; empty where the XML has none.
    pub name: String,
    /// Its UUID; libvirt makes one up at definition where the XML has none.
    pub uuid: Option<DomainUuid>,
    /// Its mediated devices, in the document's order.
    pub hostdevs: Vec<Hostdev>,
    /// Entries of the list that are no hostdev of this domain (one that was unplugged, say).
    pub stray: Vec<MdevUuid>,
    /// Where its memory is, or its processors are.
    pub affinity: Affinity,
    /// What is no mistake to libvirt, and yet hardly what its writer meant.
    pub odd: Vec<Fault>,
}

/// A `<hostdev type='mdev'>` of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hostdev {
    /// Which device.
    pub source: Source,
    /// The device's interface to the guest.
    pub model: Model,
    /// Whether the domain asks automdev to make it.
    pub mark: Mark,
    /// Whether it says `managed='yes'`, which libvirt keeps and ignores on mediated devices.
    pub managed: bool,
    /// The byte at which the element starts.
    pub offset: usize,
}

/// Which device a hostdev is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The one of this UUID.
    Uuid(MdevUuid),
    /// One of this pool, not yet given a UUID (only before `automdev rewrite`).
    Pool(PoolName),
    /// One of this pool, under this UUID.
    PoolAs(PoolName, MdevUuid),
}

impl Source {
    /// The device's UUID, where it has one yet.
    #[must_use]
    pub fn uuid(&self) -> Option<MdevUuid> {
        match self {
            Source::Uuid(uuid) | Source::PoolAs(_, uuid) => Some(*uuid),
            Source::Pool(_) => None,
        }
    }

    /// The pool that the device is taken from.
    #[must_use]
    pub fn pool(&self) -> Option<&PoolName> {
        match self {
            Source::Pool(pool) | Source::PoolAs(pool, _) => Some(pool),
            Source::Uuid(_) => None,
        }
    }
}

/// Whether the domain asks automdev to make a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// `autocreate='no'`.
    No,
    /// Neither the attribute nor the list says anything.
    Absent,
    /// `autocreate='yes'`, or the list under `<metadata>` has it.
    Yes,
}

/// Which hostdevs count as marked: the setting `select`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Select {
    /// Those that the domain marks.
    #[default]
    Marked,
    /// Also those with `managed='yes'`.
    Managed,
    /// All whose UUID has a definition.
    Defined,
}

/// A device's interface to the guest: the hostdev's `model`, the type's `device_api`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Model {
    /// A PCI function.
    VfioPci,
    /// An s390 channel device.
    VfioCcw,
    /// An s390 crypto adapter.
    VfioAp,
}

impl Model {
    /// All models.
    pub const ALL: [Model; 3] = [Model::VfioPci, Model::VfioCcw, Model::VfioAp];

    /// As libvirt's XML and the kernel's `device_api` say it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Model::VfioPci => "vfio-pci",
            Model::VfioCcw => "vfio-ccw",
            Model::VfioAp => "vfio-ap",
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Domain {
    /// Reads a domain's XML.
    ///
    /// # Errors
    /// All that is wrong with it, in the document's order; never empty.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let document = xml::parse_document(text)?;
        Ok(read(&document)?.domain)
    }
}

#[cfg(test)]
mod tests;
