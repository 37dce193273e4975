//! A pool: a name under which a domain asks for any of several devices, each host saying for itself which
//! (`/etc/automdev/pools.d/NAME.toml`).

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::definition::Attribute;
use super::fault::Fault;
use super::names::{MdevUuid, ParentName, PoolName, TypeName};

mod glob;
mod read;

pub use glob::{Glob, GlobError};
pub(crate) use read::placed;

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name: that of its file, without `.toml`.
    pub name: PoolName,
    /// Which of several places is taken.
    pub placement: Placement,
    /// What the distance between a place and the domain's memory counts.
    pub numa: Numa,
    /// What it hands out, in the file's order; never empty.
    pub members: Vec<Member>,
}

/// Which of several places is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// The first, as the file lists them.
    #[default]
    Order,
    /// One on the GPU with the fewest places left.
    Pack,
    /// One on the GPU with the most places left.
    Spread,
}

impl Placement {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Placement::Order => "order",
            Placement::Pack => "pack",
            Placement::Spread => "spread",
        }
    }
}

/// What the distance between a place and the domain's memory counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Numa {
    /// Nothing.
    #[default]
    Ignore,
    /// Places near the memory come first.
    Prefer,
    /// No other place is taken.
    Require,
}

impl Numa {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Numa::Ignore => "ignore",
            Numa::Prefer => "prefer",
            Numa::Require => "require",
        }
    }
}

/// Something that a pool hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// Devices of a type, made where there is room for them.
    Type(TypeMember),
    /// One device, made as the persistent definition of this one says.
    Definition(MdevUuid),
    /// A device that was made beforehand, and has a persistent definition.
    Device {
        /// Which.
        uuid: MdevUuid,
        /// Whether it may be taken away, to be put back later, where a domain needs its own in its place.
        replace: bool,
    },
}

/// Devices of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeMember {
    /// The type.
    pub mdev_type: TypeName,
    /// On which parents; on every one that offers the type where there is none.
    pub parents: Vec<Glob>,
    /// What is written into such a device.
    pub attributes: Vec<Attribute>,
    /// So many at a time, at most.
    pub limit: Option<NonZeroU32>,
}

impl TypeMember {
    /// Where in the file's order a parent stands; none where it is not meant.
    #[must_use]
    pub fn rank(&self, parent: &ParentName) -> Option<usize> {
        if self.parents.is_empty() {
            return Some(0);
        }
        self.parents.iter().position(|glob| glob.matches(parent.as_str()))
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Type(TypeMember {
                mdev_type, parents, ..
            }) => {
                write!(f, "{mdev_type}")?;
                for (index, glob) in parents.iter().enumerate() {
                    write!(f, "{}{glob}", if index == 0 { " on " } else { ", " })?;
                }
                Ok(())
            }
            Member::Definition(uuid) => write!(f, "definition {uuid}"),
            Member::Device { uuid, .. } => write!(f, "device {uuid}"),
        }
    }
}

/// As what a device was taken from a pool; kept in its record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FromPool {
    /// The pool.
    pub name: PoolName,
    /// The kind of member.
    pub member: MemberKind,
}

/// The kind of a member of which a device was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberKind {
    /// Its type.
    Type,
    /// The definition of this device.
    Definition(MdevUuid),
    /// In the place of this device.
    Device(MdevUuid),
}

/// Why a pool cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// There is none of that name.
    #[error("there is no such pool")]
    Absent,
    /// Its file cannot be read.
    #[error("{file} cannot be read: {why}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why not.
        why: String,
    },
    /// Its file does not say what it should.
    #[error("{file}: {fault}")]
    Wrong {
        /// The file.
        file: String,
        /// What is wrong, and where.
        fault: Fault,
    },
}

/// Where the pools are.
pub const FOLDER: &str = "/etc/automdev/pools.d";

/// The file of the pool of that name, below no root.
#[must_use]
pub fn file(name: &PoolName) -> String {
    format!("{FOLDER}/{name}.toml")
}

impl Pool {
    /// Its file.
    #[must_use]
    pub fn file(&self) -> String {
        file(&self.name)
    }

    /// Reads the file of the pool of that name.
    ///
    /// # Errors
    /// It is no TOML, a key is not known, or something in it is not what it should be; the first of it.
    pub fn parse(name: PoolName, text: &str) -> Result<Self, Fault> {
        read::parse(name, text)
    }
}
