//! Why a domain does not get a device: what cannot be done, why, and what to do next.

use std::fmt;

use super::domain::Model;
use super::inventory::Neighbour;
use super::names::{MdevUuid, ParentName, PoolName, TypeName};

mod members;

pub use members::MemberRefusal;
use members::{Members, WayOut};

/// Why a device is refused. Displays the reason and what to do next, on one line, without the device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing on this host says what the device is.
    #[error(
        "this host has no definition of it{}; make one with automdev define --uuid UUID --parent PARENT --type TYPE",
        Nearest(nearest)
    )]
    NoDefinition {
        /// Devices that are defined, and differ by a digit or two.
        nearest: Vec<MdevUuid>,
    },
    /// What says so cannot be used.
    #[error("its definition {file} is broken: {why}; mend the file")]
    DefinitionBroken {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// The parent is not there.
    #[error(
        "this host has no device {parent}{}; load its driver, or move the definition to another parent",
        Nearest(nearest)
    )]
    ParentAbsent {
        /// The parent.
        parent: ParentName,
        /// Parents with a name much like it.
        nearest: Vec<ParentName>,
    },
    /// The parent is there and makes no mediated devices.
    #[error("{parent} is there, but its driver offers no mediated devices; load the driver that does")]
    NotMdev {
        /// The parent.
        parent: ParentName,
    },
    /// The parent is an NVIDIA virtual function whose driver has left mdev.
    #[error(
        "the driver of {parent} no longer offers mediated devices: on this kernel NVIDIA's driver sets the type of the virtual function itself (nvidia/current_vgpu_type); give the function to the domain as <hostdev type='pci'>"
    )]
    NvidiaVfio {
        /// The parent.
        parent: ParentName,
    },
    /// The parent does not offer the type.
    #[error(
        "{parent} offers no type {mdev_type}, only {}; correct the definition",
        List(offered)
    )]
    TypeUnknown {
        /// The parent.
        parent: ParentName,
        /// The type.
        mdev_type: TypeName,
        /// What it offers.
        offered: Vec<TypeName>,
    },
    /// The parent's driver does not answer.
    #[error(
        "the driver of {parent} does not say in time what it has left; look at the kernel's log (dmesg), or move this definition to another parent"
    )]
    Silent {
        /// The parent.
        parent: ParentName,
    },
    /// Nothing says how the guest would see it.
    #[error(
        "sysfs does not say how a guest sees {mdev_type} on {parent}; is its driver being unloaded? try again, or look at the kernel's log (dmesg)"
    )]
    NoInterface {
        /// The parent.
        parent: ParentName,
        /// The type.
        mdev_type: TypeName,
    },
    /// The parent is full.
    #[error(
        "no instance of {mdev_type} is left on {parent}{}; stop one of them or move this definition to another parent",
        Taken(taken)
    )]
    NoInstance {
        /// The parent.
        parent: ParentName,
        /// The type.
        mdev_type: TypeName,
        /// What is there.
        taken: Vec<Neighbour>,
    },
    /// The domain itself wants more than the parent has left.
    #[error(
        "this domain wants {wanted} of {mdev_type} on {parent}, where {available} can be had; move one of these definitions to another parent{}",
        Taken(taken)
    )]
    TooMany {
        /// The parent.
        parent: ParentName,
        /// The type.
        mdev_type: TypeName,
        /// How many devices the domain wants, this one counted.
        wanted: u32,
        /// How many can be had.
        available: u32,
        /// What is there.
        taken: Vec<Neighbour>,
    },
    /// The GPU holds one type at a time, and holds another.
    #[error(
        "the GPU is running {running}{}; stop it or move this definition to another parent",
        ForDomains(domains)
    )]
    OtherType {
        /// What it holds.
        running: TypeName,
        /// The domains that claim it.
        domains: Vec<String>,
    },
    /// The GPU holds one type at a time, and another device of this domain is of another.
    #[error(
        "this domain's {other} needs {other_type} on the same GPU, which holds one type at a time; move one of the two definitions to another GPU"
    )]
    OwnOtherType {
        /// The other device.
        other: MdevUuid,
        /// Its type.
        other_type: TypeName,
    },
    /// The domain expects another interface than the type has.
    #[error(
        "the domain says model=\"{model}\", but {mdev_type} is {device_api}; correct the domain's model or the definition's type"
    )]
    ModelMismatch {
        /// The domain's.
        model: Model,
        /// The type.
        mdev_type: TypeName,
        /// The type's.
        device_api: String,
    },
    /// The device is there as something else than defined.
    #[error(
        "it is active as {active_type} on {active_parent}, which automdev did not make and will not remove; remove it or correct its definition, which says {defined_type} on {defined_parent}"
    )]
    ActiveMismatch {
        /// Where it is.
        active_parent: ParentName,
        /// What it is.
        active_type: TypeName,
        /// Where it should be.
        defined_parent: ParentName,
        /// What it should be.
        defined_type: TypeName,
    },
    /// It is looked for below a parent that has nothing to do with it.
    #[error(
        "it is looked for below {asked}, but belongs below {}; write sysfsdev=/sys/bus/mdev/devices/UUID, which is right wherever it is",
        List(parents)
    )]
    Elsewhere {
        /// Where it is looked for.
        asked: ParentName,
        /// Where it is, or would be made.
        parents: Vec<ParentName>,
    },
    /// Another domain has it.
    #[error("it belongs to {name}, which is running; stop that one first or give this domain another device")]
    Claimed {
        /// The domain's name, or the program's.
        name: String,
    },
    /// Another domain is about to have it.
    #[error(
        "it belongs to {name}, which is starting or has just ended; try again in a minute, or give this domain another device"
    )]
    Starting {
        /// The domain's name.
        name: String,
    },
    /// It is ours, has to be made anew, and somebody uses it.
    #[error(
        "it is there half made, or not as it is defined now, and cannot be made anew while it is used by {}; end that first",
        List(users)
    )]
    InUse {
        /// Who uses it.
        users: Vec<String>,
    },
    /// It is as it should be, and somebody uses it who has no claim to it.
    #[error(
        "it is in use by {}; end that first, or give this domain another device",
        List(users)
    )]
    Used {
        /// Who uses it.
        users: Vec<String>,
    },
    /// Its driver is at its creation, and does not come to an end.
    #[error(
        "the driver of {parent} is still making it, for a start that was given up; try again, or look at the kernel's log (dmesg)"
    )]
    Creating {
        /// Where it is made.
        parent: ParentName,
    },
    /// It is on its way out, and does not come to an end.
    #[error(
        "it is still being removed from {parent}, because something holds it open{}; end that first",
        ForDomains(holders)
    )]
    Removing {
        /// Where it is.
        parent: ParentName,
        /// Who holds it.
        holders: Vec<String>,
    },
    /// It is defined under several parents, and none of them can host it.
    #[error("none of its definitions can be used:{}", Each(each))]
    NoneOf {
        /// Why not, for each parent.
        each: Vec<(ParentName, Refusal)>,
    },
    /// Nothing new is to be made on the parent.
    #[error(
        "{parent} is cordoned in /etc/automdev/automdev.toml; take it out there, or move the definition to another parent"
    )]
    Cordoned {
        /// The parent.
        parent: ParentName,
    },
    /// The kernel has refused it during this start.
    #[error("{parent} did not take {mdev_type}: {why}")]
    Kernel {
        /// The parent.
        parent: ParentName,
        /// The type.
        mdev_type: TypeName,
        /// What the kernel said.
        why: String,
    },
    /// The parent is on another NUMA node than the domain.
    #[error(
        "{parent} is on NUMA node {node}, and the domain's memory is on {}",
        List(home)
    )]
    Far {
        /// The parent.
        parent: ParentName,
        /// Its node.
        node: u32,
        /// The domain's.
        home: Vec<u32>,
    },
    /// So many of a pool's member are taken as it allows.
    #[error("its limit of {limit} is reached")]
    Limit {
        /// How many it allows.
        limit: u32,
    },
    /// What there is one of is taken.
    #[error("in use by {by}")]
    Busy {
        /// Who has it.
        by: String,
    },
    /// A device that is to be there already is not.
    #[error("it is not there")]
    NotThere,
    /// A device that is to be put back afterwards has no definition that says how.
    #[error("no definition of it says {mdev_type} on {parent}, which it is")]
    NotAsDefined {
        /// Where it is.
        parent: ParentName,
        /// What it is.
        mdev_type: TypeName,
    },
    /// A device that was made beforehand cannot become one of another UUID.
    #[error(
        "idle, but not to be replaced: let automdev run or automdev rewrite --pick use {device} itself, or give this member replace = true"
    )]
    NotReplaceable {
        /// The device.
        device: MdevUuid,
    },
    /// No parent of this host is meant by a pool's member.
    #[error("{}", if wrong.is_empty() { "this host has no parent at all".to_owned() } else { wrong.join(", ") })]
    NoParent {
        /// Each of its patterns, where it stands, and that it means nothing here.
        wrong: Vec<String>,
    },
    /// No member of a pool has a place.
    #[error("pool {pool} has no place for it: {}; {}", Members(each), WayOut(pool, each))]
    NoPlace {
        /// The pool.
        pool: PoolName,
        /// Why not, member by member.
        each: Vec<MemberRefusal>,
    },
    /// The host has no such pool.
    #[error(
        "this host has no pool {pool}{}; describe it in /etc/automdev/pools.d/{pool}.toml",
        Nearest(nearest)
    )]
    NoPool {
        /// The pool.
        pool: PoolName,
        /// Pools with a name much like it.
        nearest: Vec<PoolName>,
    },
    /// A device of a pool has not been given a UUID.
    #[error("a device of pool {pool} has no UUID yet; run the domain's XML through automdev rewrite")]
    NoUuid {
        /// The pool.
        pool: PoolName,
    },
    /// The pool's file cannot be used.
    #[error("its pool cannot be used: {why}; mend the file")]
    PoolBroken {
        /// Which file, and what is wrong with it.
        why: String,
    },
}

impl Refusal {
    /// Whether it would be another one, or none, if something else went.
    #[must_use]
    pub fn is_about_room(&self) -> bool {
        matches!(
            self,
            Refusal::NoInstance { .. } | Refusal::TooMany { .. } | Refusal::OtherType { .. }
        )
    }

    /// Whether it is about what others have or do at this moment, or about what somebody keeps away for now: nothing on
    /// the host is wrong.
    #[must_use]
    pub fn is_for_now(&self) -> bool {
        match self {
            Refusal::NoneOf { each } => each.iter().any(|(_, refusal)| refusal.is_for_now()),
            Refusal::NoPlace { .. }
            | Refusal::Claimed { .. }
            | Refusal::Starting { .. }
            | Refusal::InUse { .. }
            | Refusal::Used { .. }
            | Refusal::Creating { .. }
            | Refusal::Removing { .. }
            | Refusal::Cordoned { .. }
            | Refusal::Kernel { .. }
            | Refusal::Limit { .. }
            | Refusal::Busy { .. } => true,
            other => other.is_about_room(),
        }
    }

    /// The stable word for the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NoDefinition { .. } => "no-definition",
            Refusal::DefinitionBroken { .. } => "definition-broken",
            Refusal::ParentAbsent { .. } | Refusal::NoParent { .. } => "parent-absent",
            Refusal::NotMdev { .. } => "not-mdev",
            Refusal::NvidiaVfio { .. } => "nvidia-vfio",
            Refusal::TypeUnknown { .. } => "type-unknown",
            Refusal::NoInstance { .. } | Refusal::TooMany { .. } | Refusal::Kernel { .. } => "no-instance",
            Refusal::OtherType { .. } | Refusal::OwnOtherType { .. } => "other-type",
            Refusal::Silent { .. } => "no-answer",
            Refusal::NoInterface { .. } => "unreadable",
            Refusal::ModelMismatch { .. } => "model-mismatch",
            Refusal::ActiveMismatch { .. } => "active-mismatch",
            Refusal::Elsewhere { .. } => "elsewhere",
            Refusal::Claimed { .. } | Refusal::Starting { .. } => "claimed",
            Refusal::Creating { .. } => "creating",
            Refusal::Removing { .. } => "removing",
            Refusal::InUse { .. } | Refusal::Used { .. } => "in-use",
            Refusal::Cordoned { .. } => "cordoned",
            Refusal::Far { .. } => "numa",
            Refusal::Limit { .. } => "limit",
            Refusal::Busy { .. } => "busy",
            Refusal::NotThere | Refusal::NotAsDefined { .. } => "not-there",
            Refusal::NotReplaceable { .. } => "not-replaceable",
            Refusal::NoPlace { .. } => "no-place",
            Refusal::NoPool { .. } => "no-pool",
            Refusal::NoUuid { .. } => "no-uuid",
            Refusal::PoolBroken { .. } => "pool-broken",
            Refusal::NoneOf { each } => match each.as_slice() {
                [(_, first), ..] => first.code(),
                [] => "no-definition",
            },
        }
    }
}

/// So many things are named in a reason; more would hide it.
const MOST_NAMED: usize = 4;

struct List<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none at all");
        }
        for (index, item) in self.0.iter().take(MOST_NAMED).enumerate() {
            write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(MOST_NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

struct Each<'a>(&'a [(ParentName, Refusal)]);

impl fmt::Display for Each<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (parent, refusal)) in self.0.iter().enumerate() {
            write!(
                f,
                "{} under {parent}, {refusal}",
                if index == 0 { "" } else { ";" }
            )?;
        }
        Ok(())
    }
}

struct Nearest<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Nearest<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, " (did you mean {}?)", List(self.0))
        }
    }
}

struct ForDomains<'a>(&'a [String]);

impl fmt::Display for ForDomains<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, " for {}", List(self.0))
        }
    }
}

struct Taken<'a>(&'a [Neighbour]);

impl fmt::Display for Taken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = self.0.iter().map(Neighbour::to_string).collect();
        write!(f, " (there: {})", List(&texts))
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.holders.iter().map(|holder| holder.name.clone()).collect();
        write!(f, "{} {}{}", self.mdev_type, self.uuid, ForDomains(&names))
    }
}
