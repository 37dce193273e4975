//! A host as one plan sees it: what it was asked once is not asked again.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::rc::Rc;

use crate::model::claim::Record;
use crate::model::inventory::{Inventory, Neighbour, Offer, Together};
use crate::model::names::{ParentName, PoolName, TypeName};
use crate::model::pool::{Pool, PoolError};

/// How many more of a parent's types can be made.
type Counts = Vec<(TypeName, Option<u32>)>;

type Memory<K, V> = RefCell<HashMap<K, V>>;

/// A host, and what is known of it so far.
pub(super) struct Look<'a> {
    pub(super) inventory: &'a dyn Inventory,
    offers: Memory<(ParentName, TypeName), Option<Offer>>,
    available: RefCell<HashMap<ParentName, Counts>>,
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

fn remember<K: Clone + Eq + Hash, V: Clone>(memory: &Memory<K, V>, key: &K, ask: impl FnOnce(&K) -> V) -> V {
    if let Some(known) = memory.borrow().get(key) {
        return known.clone();
    }
    let answer = ask(key);
    memory.borrow_mut().insert(key.clone(), answer.clone());
    answer
}

impl<'a> Look<'a> {
    pub(super) fn new(inventory: &'a dyn Inventory) -> Self {
        Look {
            inventory,
            offers: Memory::default(),
            available: RefCell::default(),
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
        remember(&self.offers, &(parent.clone(), mdev_type.clone()), |_| {
            self.inventory.offer(parent, mdev_type)
        })
    }

    pub(super) fn available(&self, parent: &ParentName, mdev_type: &TypeName) -> Option<u32> {
        let known = |all: &HashMap<ParentName, Counts>| {
            let counts = all.get(parent)?.iter();
            let mut counts = counts.filter(|(known, _)| known == mdev_type);
            counts.next().map(|(_, count)| *count)
        };
        if let Some(count) = known(&self.available.borrow()) {
            return count;
        }
        self.ask_available([(parent, vec![mdev_type])].into());
        known(&self.available.borrow()).flatten()
    }

    /// Asks for all of these at once that are not known yet: they will be needed.
    pub(super) fn ask_available(&self, mut wanted: BTreeMap<&ParentName, Vec<&TypeName>>) {
        let mut all = self.available.borrow_mut();
        for (parent, types) in &mut wanted {
            types.sort_unstable();
            types.dedup();
            if let Some(known) = all.get(*parent) {
                types.retain(|mdev_type| known.iter().all(|(known, _)| known != *mdev_type));
            }
        }
        let unknown = wanted.into_iter().filter(|(_, types)| !types.is_empty());
        let unknown: Vec<(&ParentName, Vec<&TypeName>)> = unknown.collect();
        if unknown.is_empty() {
            return;
        }
        let counts = self.inventory.available(&unknown);
        for ((parent, types), counts) in unknown.into_iter().zip(counts) {
            let counts = types.into_iter().cloned().zip(counts);
            all.entry(parent.clone()).or_default().extend(counts);
        }
    }

    pub(super) fn gpu(&self, parent: &ParentName) -> Rc<str> {
        remember(&self.gpus, parent, |parent| self.inventory.gpu(parent).into())
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
        remember(&self.on_gpus, gpu, |gpu| {
            let functions = self.functions(gpu).iter();
            functions
                .map(|parent| self.inventory.devices_below(parent))
                .fold(0, u32::saturating_add)
        })
    }

    /// The devices on a parent's GPU.
    pub(super) fn neighbours(&self, parent: &ParentName) -> Rc<Vec<Neighbour>> {
        remember(&self.neighbours, &self.gpu(parent), |_| {
            Rc::new(self.inventory.neighbours(parent))
        })
    }

    pub(super) fn node(&self, parent: &ParentName) -> Option<u32> {
        remember(&self.nodes, parent, |parent| self.inventory.node(parent))
    }

    pub(super) fn pool(&self, name: &PoolName) -> Result<Rc<Pool>, PoolError> {
        remember(&self.pools, name, |name| self.inventory.pool(name).map(Rc::new))
    }

    pub(super) fn taken_from(&self, pool: &PoolName) -> Rc<Vec<Record>> {
        remember(&self.taken, pool, |pool| Rc::new(self.inventory.taken_from(pool)))
    }

    pub(super) fn taken_at_most(&self, pool: &PoolName) -> u32 {
        remember(&self.taken_at_most, pool, |pool| {
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
