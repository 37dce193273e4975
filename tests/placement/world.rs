//! A small host of one's own making, that answers a plan's questions from memory.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use automdev::model::claim::{Holder, Kind, Record, SCHEMA, State};
use automdev::model::definition::{Definition, Start};
use automdev::model::inventory::{
    Active, Defined, Inventory, MadeWay, Neighbour, Offer, ParentState, Together,
};
use automdev::model::names::{MdevUuid, ParentName, PoolName, TypeName};
use automdev::model::pool::{FromPool, MemberKind, Pool, PoolError};

/// A parent.
#[derive(Debug, Clone)]
pub(crate) struct Parent {
    pub(crate) name: String,
    /// The GPU that it is a part of: itself, where it is a whole one.
    pub(crate) gpu: String,
    pub(crate) node: Option<u32>,
    /// How many of each type it can make, and how many the GPU takes of it.
    pub(crate) types: BTreeMap<String, (u32, Option<u32>)>,
    /// How many devices are there.
    pub(crate) taken: u32,
    pub(crate) is_cordoned: bool,
}

/// A host.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) parents: Vec<Parent>,
    pub(crate) pools: BTreeMap<String, String>,
    /// Definitions of a device: its parents and types.
    pub(crate) defined: BTreeMap<MdevUuid, Vec<(String, String)>>,
    /// Devices that are there and idle: parent and type.
    pub(crate) idle: BTreeMap<MdevUuid, (String, String)>,
    /// What other starts have reserved.
    pub(crate) reserved: Vec<(String, String)>,
    /// What others have from a pool, by type: parent and type.
    pub(crate) taken: Vec<(String, String, String)>,
    pub(crate) home: BTreeSet<u32>,
    pub(crate) refused: Vec<Together>,
    /// The pools, read.
    pub(crate) read: RefCell<BTreeMap<String, Pool>>,
}

pub(crate) fn uuid(number: u32) -> MdevUuid {
    format!("00000000-0000-4000-8000-{number:012x}")
        .parse()
        .expect("a UUID")
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a name")
}

impl World {
    pub(crate) fn find(&self, parent: &str) -> Option<&Parent> {
        self.parents.iter().find(|one| one.name == parent)
    }

    fn record(number: u32, parent: &str, mdev_type: &str, pool: Option<&str>) -> Record {
        Record {
            schema: SCHEMA,
            kind: Kind::Mdev,
            uuid: uuid(number),
            parent: name(parent),
            mdev_type: name(mdev_type),
            attributes: Vec::new(),
            state: State::Creating,
            inode: None,
            boot: String::new(),
            pool: pool.map(|pool| FromPool {
                name: name(pool),
                member: MemberKind::Type,
            }),
        }
    }

    fn active_at(parent: &str, mdev_type: &str) -> Active {
        Active {
            parent: name(parent),
            mdev_type: name(mdev_type),
            device_api: "vfio-pci".to_owned(),
            inode: 1,
        }
    }
}

impl Inventory for World {
    fn definitions(&self, uuid: MdevUuid) -> Vec<Defined> {
        let mut defined: Vec<Defined> = self
            .defined
            .get(&uuid)
            .into_iter()
            .flatten()
            .map(|(parent, mdev_type)| Defined {
                parent: name(parent),
                file: format!("/etc/mdevctl.d/{parent}/{uuid}"),
                definition: Ok(Definition {
                    mdev_type: name(mdev_type),
                    start: Start::Manual,
                    attributes: Vec::new(),
                }),
            })
            .collect();
        defined.sort_by(|one, other| one.parent.cmp(&other.parent));
        defined
    }

    fn all_defined(&self) -> Vec<MdevUuid> {
        self.defined.keys().copied().collect()
    }

    fn active(&self, uuid: MdevUuid) -> Option<Active> {
        let (parent, mdev_type) = self.idle.get(&uuid)?;
        Some(World::active_at(parent, mdev_type))
    }

    fn record(&self, _: MdevUuid) -> Option<Record> {
        None
    }

    fn lingers(&self, _: MdevUuid, _: &ParentName) -> bool {
        false
    }

    fn users(&self, _: MdevUuid) -> Vec<String> {
        Vec::new()
    }

    fn holders(&self, _: MdevUuid) -> Vec<Holder> {
        Vec::new()
    }

    fn parent(&self, parent: &ParentName) -> ParentState {
        match self.find(parent.as_str()) {
            Some(_) => ParentState::There,
            None => ParentState::Absent,
        }
    }

    fn all_parents(&self) -> Vec<ParentName> {
        self.parents.iter().map(|parent| name(&parent.name)).collect()
    }

    fn offer(&self, parent: &ParentName, mdev_type: &TypeName) -> Option<Offer> {
        let (_, most) = *self.find(parent.as_str())?.types.get(mdev_type.as_str())?;
        Some(Offer {
            device_api: "vfio-pci".to_owned(),
            most,
        })
    }

    fn offered(&self, parent: &ParentName) -> Vec<TypeName> {
        let types = self
            .find(parent.as_str())
            .into_iter()
            .flat_map(|parent| parent.types.keys());
        types.map(|text| name(text)).collect()
    }

    fn neighbours(&self, parent: &ParentName) -> Vec<Neighbour> {
        let gpu = self.gpu(parent);
        let parents = self.parents.iter().filter(|parent| parent.gpu == gpu);
        let taken: u32 = parents.map(|parent| parent.taken).sum();
        (0..taken)
            .map(|number| Neighbour {
                uuid: uuid(0xffff_0000 + number),
                mdev_type: name("nvidia-1"),
                holders: Vec::new(),
            })
            .collect()
    }

    fn gpu(&self, parent: &ParentName) -> String {
        self.find(parent.as_str())
            .map_or_else(|| parent.to_string(), |parent| parent.gpu.clone())
    }

    fn given_back(&self) -> Vec<Record> {
        Vec::new()
    }

    fn is_cordoned(&self, parent: &ParentName) -> bool {
        self.find(parent.as_str())
            .is_some_and(|parent| parent.is_cordoned)
    }

    fn pool(&self, pool: &PoolName) -> Result<Pool, PoolError> {
        let text = self.pools.get(pool.as_str()).ok_or(PoolError::Absent)?;
        let mut read = self.read.borrow_mut();
        let read = read
            .entry(pool.to_string())
            .or_insert_with(|| Pool::parse(pool.clone(), text).expect("a good pool"));
        Ok(read.clone())
    }

    fn all_pools(&self) -> Vec<PoolName> {
        self.pools.keys().map(|text| name(text)).collect()
    }

    fn available(&self, asked: &[(&ParentName, Vec<&TypeName>)]) -> Vec<Vec<Option<u32>>> {
        let count = |parent: &ParentName, mdev_type: &TypeName| {
            let (available, _) = self.find(parent.as_str())?.types.get(mdev_type.as_str())?;
            Some(*available)
        };
        let asked = asked.iter();
        asked
            .map(|(parent, types)| types.iter().map(|mdev_type| count(parent, mdev_type)).collect())
            .collect()
    }

    fn devices_below(&self, parent: &ParentName) -> u32 {
        self.find(parent.as_str()).map_or(0, |parent| parent.taken)
    }

    fn node(&self, parent: &ParentName) -> Option<u32> {
        self.find(parent.as_str())?.node
    }

    fn home(&self) -> BTreeSet<u32> {
        self.home.clone()
    }

    fn reserved(&self) -> Vec<Record> {
        let reserved = (0xeeee_0000..).zip(&self.reserved);
        reserved
            .map(|(number, (parent, mdev_type))| World::record(number, parent, mdev_type, None))
            .collect()
    }

    fn under_way(&self) -> Vec<MdevUuid> {
        Vec::new()
    }

    fn taken_from(&self, pool: &PoolName) -> Vec<Record> {
        let taken = (0xdddd_0000..).zip(&self.taken);
        taken
            .filter(|(_, (of, ..))| of == pool.as_str())
            .map(|(number, (of, parent, mdev_type))| World::record(number, parent, mdev_type, Some(of)))
            .collect()
    }

    fn taken_at_most(&self, pool: &PoolName) -> u32 {
        u32::try_from(self.taken_from(pool).len()).expect("few")
    }

    fn made_like(&self, _: MdevUuid) -> Vec<MdevUuid> {
        Vec::new()
    }

    fn made_way(&self, _: MdevUuid) -> Option<MadeWay> {
        None
    }

    fn is_busy(&self, _: MdevUuid) -> bool {
        false
    }

    fn refused(&self) -> Vec<Together> {
        self.refused.clone()
    }
}
