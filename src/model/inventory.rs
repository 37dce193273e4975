//! What a host has, as far as a plan asks for it.

use std::collections::BTreeSet;

use super::claim::{Holder, Record};
use super::definition::{Definition, DefinitionError};
use super::names::{MdevUuid, ParentName, PoolName, TypeName};
use super::pool::{Pool, PoolError};

/// What a host has. Asked, not listed: a start reads no more of the host than it is about.
pub trait Inventory {
    /// The definitions of a device, in the order of their parents' names.
    fn definitions(&self, uuid: MdevUuid) -> Vec<Defined>;

    /// All devices that have a definition, for a refusal that names the nearest ones.
    fn all_defined(&self) -> Vec<MdevUuid>;

    /// The device, where it is active.
    fn active(&self, uuid: MdevUuid) -> Option<Active>;

    /// What is recorded about a device of ours.
    fn record(&self, uuid: MdevUuid) -> Option<Record>;

    /// Whether a device that looks removed is still there: its parent has a folder of that name.
    fn lingers(&self, uuid: MdevUuid, parent: &ParentName) -> bool;

    /// Whether the driver is at the creation of a device, begun by a call that does not wait for it any more.
    fn is_being_made(&self, _uuid: MdevUuid) -> bool {
        false
    }

    /// The processes that use an active device, for people.
    fn users(&self, uuid: MdevUuid) -> Vec<String>;

    /// Whether the driver of a device that somebody else made may still be cleaning up after its last guest.
    fn is_resting(&self, _uuid: MdevUuid) -> bool {
        false
    }

    /// As [`Inventory::users`], without those of the domain that asks, where that runs and wants more.
    fn other_users(&self, uuid: MdevUuid) -> Vec<String> {
        self.users(uuid)
    }

    /// Whether the one who asks has a device already: it claims it, and that claim counts.
    fn has_already(&self, _uuid: MdevUuid) -> bool {
        false
    }

    /// Who else claims a device.
    fn holders(&self, uuid: MdevUuid) -> Vec<Holder>;

    /// Whether the host has a parent.
    fn parent(&self, parent: &ParentName) -> ParentState;

    /// All parents, for a refusal that names the nearest ones.
    fn all_parents(&self) -> Vec<ParentName>;

    /// One type that a parent offers.
    fn offer(&self, parent: &ParentName, mdev_type: &TypeName) -> Option<Offer>;

    /// Whether a parent's driver has been asked for a type, and has not answered.
    fn is_silent(&self, _parent: &ParentName) -> bool {
        false
    }

    /// All types that a parent offers, for a refusal that names them.
    fn offered(&self, parent: &ParentName) -> Vec<TypeName>;

    /// All devices on a parent's GPU, for a refusal that names them.
    fn neighbours(&self, parent: &ParentName) -> Vec<Neighbour>;

    /// Whether a device of ours that nobody claims any more is about to go from a parent's GPU.
    fn is_leaving(&self, _parent: &ParentName) -> bool {
        false
    }

    /// Which GPU a parent is part of: the physical function of a virtual one, else the parent itself.
    fn gpu(&self, parent: &ParentName) -> String;

    /// The devices of ours that the claimant had, does not want any more, and gives back before anything is made.
    fn given_back(&self) -> Vec<Record>;

    /// Whether nothing new is to be made on a parent.
    fn is_cordoned(&self, parent: &ParentName) -> bool;

    /// A pool of this host.
    fn pool(&self, name: &PoolName) -> Result<Pool, PoolError>;

    /// The names of all pools, for a refusal that names the nearest ones.
    fn all_pools(&self) -> Vec<PoolName>;

    /// How many more of each of these types each of these parents can make, as the drivers say; none of one that it does
    /// not offer, or where its driver does not answer.
    fn available(&self, asked: &[(&ParentName, Vec<&TypeName>)]) -> Vec<Vec<Option<u32>>>;

    /// How many devices are below a parent, those on their way out too.
    fn devices_below(&self, parent: &ParentName) -> u32;

    /// The NUMA node of a parent, where it belongs to one.
    fn node(&self, parent: &ParentName) -> Option<u32>;

    /// The NUMA nodes of the domain's memory, or of its processors; none where it is bound to none.
    fn home(&self) -> BTreeSet<u32>;

    /// What other starts have reserved and not made yet.
    fn reserved(&self) -> Vec<Record>;

    /// The devices that other calls are making or removing just now: there may be more room afterwards, or less.
    fn under_way(&self) -> Vec<MdevUuid>;

    /// The devices that others have from a pool, be they made or only reserved.
    fn taken_from(&self, pool: &PoolName) -> Vec<Record>;

    /// No fewer than others have from a pool; found without looking at each of them.
    fn taken_at_most(&self, pool: &PoolName) -> u32;

    /// Who has a device made as the definition of this one says.
    fn made_like(&self, definition: MdevUuid) -> Vec<MdevUuid>;

    /// How a device has made way for another, where it is to be put back afterwards.
    fn made_way(&self, device: MdevUuid) -> Option<MadeWay>;

    /// Whether another call is at work on a device just now.
    fn is_busy(&self, device: MdevUuid) -> bool;

    /// The devices that the domain has besides those that this is about.
    fn besides(&self) -> Vec<MdevUuid> {
        Vec::new()
    }

    /// What the kernel has refused to this very start so far.
    fn refused(&self) -> Vec<Together>;
}

/// Devices that the kernel did not make next to each other: the last of them it refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Together {
    /// Where and as what; one for each device.
    pub places: Vec<(ParentName, TypeName)>,
    /// What the kernel said, for people.
    pub why: String,
}

/// A device that has made way for another: where it was, and is put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeWay {
    /// The one that is made in its place.
    pub stand_in: MdevUuid,
    /// Where.
    pub parent: ParentName,
    /// As what.
    pub definition: Definition,
}

/// A definition of a device under one parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defined {
    /// The parent.
    pub parent: ParentName,
    /// The file, for people.
    pub file: String,
    /// What it says.
    pub definition: Result<Definition, DefinitionError>,
}

/// A device that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// Where it is.
    pub parent: ParentName,
    /// What it is.
    pub mdev_type: TypeName,
    /// The type's `device_api`.
    pub device_api: String,
    /// The inode of its folder.
    pub inode: u64,
}

/// Whether a host has a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ParentState {
    /// It is there.
    There,
    /// There is such a device, but it is no parent of mediated devices.
    NotMdev,
    /// So, and it is an NVIDIA virtual function whose driver has left mdev.
    NvidiaVfio,
    /// There is no such device.
    Absent,
}

/// A type as a parent offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// How the guest sees the device: `vfio-pci`, say.
    pub device_api: String,
    /// How many of it the whole GPU takes, where the driver says so: `max_instance` in NVIDIA's description.
    pub most: Option<u32>,
}

/// A device that takes room on a GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Which.
    pub uuid: MdevUuid,
    /// What it is.
    pub mdev_type: TypeName,
    /// Who claims it.
    pub holders: Vec<Holder>,
}
