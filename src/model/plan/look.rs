//! A host as one plan sees it: what it was asked once is not asked again.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::rc::Rc;

use crate::model::claim::Record;
use crate::model::inventory::{Inventory, Neighbour, Offer, Together};
use crate::model::names::{ParentName, PoolName, TypeName};
use crate::model::pool::{Pool, PoolError};

type Memory<K, V> = RefCell<HashMap<K, V>>;

/// A host, and what is known of it so far.
pub(super) struct Look<'a> {
    pub(super) inventory: &'a dyn Inventory,
    offers: Memory<(ParentName, TypeName), Option<Offer>>,
    available: Memory<(ParentName, TypeName), Option<u32>>,
    gpus: Memory<ParentName, Rc<str>>,
    functions: OnceCell<HashMap<Rc<str>, Vec<ParentName>>>,
    on_gpus: Memory<Rc<str>, u32>,
    neighbours: Memory<Rc<str>, Rc<Vec<Neighbour>>>,
    nodes: Memory<ParentName, Option<u32>>,
    pools: Memory<PoolName, Result<Rc<Pool>, PoolError>>,
    taken: Memory<PoolName, Rc<Vec<Record>>>,
    taken_at_most: Memory<PoolName, u32>,
    home: OnceCell<BTreeSet<u32>>,
    parents: OnceCell<Vec<ParentName>>,
    reserved: OnceCell<Vec<Record>>,
    refused: OnceCell<Vec<Together>>,
}

fn remember<K: Eq + Hash, V: Clone>(memory: &Memory<K, V>, key: K, ask: impl FnOnce(&K) -> V) -> V {
    if let Some(known) = memory.borrow().get(&key) {
        return known.clone();
    }
    let answer = ask(&key);
    memory.borrow_mut().insert(key, answer.clone());
    answer
}

impl<'a> Look<'a> {
    pub(super) fn new(inventory: &'a dyn Inventory) -> Self {
        Look {
            inventory,
            offers: Memory::default(),
            available: Memory::default(),
            gpus: Memory::default(),
            functions: OnceCell::new(),
            on_gpus: Memory::default(),
            neighbours: Memory::default(),
            nodes: Memory::default(),
            pools: Memory::default(),
            taken: Memory::default(),
            taken_at_most: Memory::default(),
            home: OnceCell::new(),
            parents: OnceCell::new(),
            reserved: OnceCell::new(),
            refused: OnceCell::new(),
        }
    }

    pub(super) fn offer(&self, parent: &ParentName, mdev_type: &TypeName) -> Option<Offer> {
        remember(&self.offers, (parent.clone(), mdev_type.clone()), |_| {
            self.inventory.offer(parent, mdev_type)
        })
    }

    pub(super) fn available(&self, parent: &ParentName, mdev_type: &TypeName) -> Option<u32> {
        remember(&self.available, (parent.clone(), mdev_type.clone()), |_| {
            self.inventory.available(parent, mdev_type)
        })
    }

    pub(super) fn gpu(&self, parent: &ParentName) -> Rc<str> {
        remember(&self.gpus, parent.clone(), |parent| {
            self.inventory.gpu(parent).into()
        })
    }

    /// Whether a parent is a part of a GPU: one of its virtual functions.
    pub(super) fn is_part(&self, parent: &ParentName) -> bool {
        *self.gpu(parent) != *parent.as_str()
    }

    /// All parents of a GPU.
    pub(super) fn functions(&self, gpu: &str) -> &[ParentName] {
        let functions = self.functions.get_or_init(|| {
            let mut functions: HashMap<Rc<str>, Vec<ParentName>> = HashMap::new();
            for parent in self.parents() {
                functions
                    .entry(self.gpu(parent))
                    .or_default()
                    .push(parent.clone());
            }
            functions
        });
        functions.get(gpu).map_or(&[], Vec::as_slice)
    }

    /// How many devices are on a GPU.
    pub(super) fn devices_on(&self, gpu: &Rc<str>) -> u32 {
        remember(&self.on_gpus, gpu.clone(), |gpu| {
            let functions = self.functions(gpu).iter();
            functions
                .map(|parent| self.inventory.devices_below(parent))
                .fold(0, u32::saturating_add)
        })
    }

    /// The devices on a parent's GPU.
    pub(super) fn neighbours(&self, parent: &ParentName) -> Rc<Vec<Neighbour>> {
        remember(&self.neighbours, self.gpu(parent), |_| {
            Rc::new(self.inventory.neighbours(parent))
        })
    }

    pub(super) fn node(&self, parent: &ParentName) -> Option<u32> {
        remember(&self.nodes, parent.clone(), |parent| self.inventory.node(parent))
    }

    pub(super) fn pool(&self, name: &PoolName) -> Result<Rc<Pool>, PoolError> {
        remember(&self.pools, name.clone(), |name| {
            self.inventory.pool(name).map(Rc::new)
        })
    }

    pub(super) fn taken_from(&self, pool: &PoolName) -> Rc<Vec<Record>> {
        remember(&self.taken, pool.clone(), |pool| {
            Rc::new(self.inventory.taken_from(pool))
        })
    }

    pub(super) fn taken_at_most(&self, pool: &PoolName) -> u32 {
        remember(&self.taken_at_most, pool.clone(), |pool| {
            self.inventory.taken_at_most(pool)
        })
    }

    pub(super) fn home(&self) -> &BTreeSet<u32> {
        self.home.get_or_init(|| self.inventory.home())
    }

    /// All parents, by their names.
    pub(super) fn parents(&self) -> &[ParentName] {
        self.parents.get_or_init(|| {
            let mut parents = self.inventory.all_parents();
            parents.sort();
            parents
        })
    }

    pub(super) fn reserved(&self) -> &[Record] {
        self.reserved.get_or_init(|| self.inventory.reserved())
    }

    pub(super) fn refused(&self) -> &[Together] {
        self.refused.get_or_init(|| self.inventory.refused())
    }
}
