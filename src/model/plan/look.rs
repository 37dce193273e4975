//! A host as one plan sees it: what it was asked once is not asked again.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::hash::Hash;
use std::rc::Rc;

use foldhash::{HashMap, HashMapExt as _};

use crate::model::claim::Record;
use crate::model::inventory::{Inventory, Neighbour, Offer, Together};
use crate::model::names::{ParentName, PoolName, TypeName};
use crate::model::pool::{Pool, PoolError};

/// How many more of a type can be made.
type Count = (TypeName, Option<u32>);

type Memory<K, V> = RefCell<HashMap<K, V>>;

/// A host, and what is known of it so far.
pub(super) struct Look<'a> {
    pub(super) inventory: &'a dyn Inventory,
    offers: Memory<(ParentName, TypeName), Option<Offer>>,
    /// A parent has few types, so that they are gone through.
    available: RefCell<HashMap<ParentName, Vec<Count>>>,
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
    standings: OnceCell<HashMap<ParentName, Standing>>,
    reserved: OnceCell<Vec<Record>>,
    refused: OnceCell<Vec<Together>>,
}

/// A parent among all parents, which are in the order of their GPUs' names, then of their own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// The same for all parents of a GPU.
    pub(super) gpu: u32,
    pub(super) parent: u32,
    /// Whether it is a part of a GPU: one of its virtual functions.
    pub(super) is_part: bool,
}

fn remember<K: Clone + Eq + Hash, V: Clone>(memory: &Memory<K, V>, key: &K, ask: impl FnOnce(&K) -> V) -> V {
    if let Some(known) = memory.borrow().get(key) {
        return known.clone();
    }
    let answer = ask(key);
    memory.borrow_mut().insert(key.clone(), answer.clone());
    answer
}

/// What is known of a type.
fn known<'a>(counts: &'a [Count], mdev_type: &TypeName) -> Option<&'a Count> {
    counts.iter().find(|(known, _)| known == mdev_type)
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
            standings: OnceCell::new(),
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
        if let Some(counts) = self.available.borrow().get(parent) {
            if let Some((_, count)) = known(counts, mdev_type) {
                return *count;
            }
        }
        self.ask_available(vec![(parent, vec![mdev_type])]);
        self.told(parent, [mdev_type])[0]
    }

    /// What drivers have said of these types of a parent.
    pub(super) fn told<'b>(
        &self,
        parent: &ParentName,
        types: impl IntoIterator<Item = &'b TypeName>,
    ) -> Vec<Option<u32>> {
        let all = self.available.borrow();
        let counts = all.get(parent).map_or(&[][..], Vec::as_slice);
        let told = |mdev_type| known(counts, mdev_type).and_then(|(_, count)| *count);
        types.into_iter().map(told).collect()
    }

    /// Asks for all of these at once that are not known yet: they will be needed. A parent is there once at most.
    pub(super) fn ask_available(&self, mut wanted: Vec<(&ParentName, Vec<&TypeName>)>) {
        let mut all = self.available.borrow_mut();
        wanted.retain_mut(|(parent, types)| {
            let before = all.get(*parent).map_or(&[][..], Vec::as_slice);
            let mut fresh: Vec<&TypeName> = Vec::with_capacity(types.len());
            for mdev_type in types.drain(..) {
                if !fresh.contains(&mdev_type) && known(before, mdev_type).is_none() {
                    fresh.push(mdev_type);
                }
            }
            *types = fresh;
            !types.is_empty()
        });
        if wanted.is_empty() {
            return;
        }
        let counts = self.inventory.available(&wanted);
        for ((parent, types), counts) in wanted.into_iter().zip(counts) {
            let known = all.entry(parent.clone()).or_default();
            known.extend(types.into_iter().cloned().zip(counts));
        }
    }

    /// Where a parent stands among all parents.
    pub(super) fn standing(&self, parent: &ParentName) -> Standing {
        let all = self.standings.get_or_init(|| {
            let mut parents: Vec<_> = self
                .parents()
                .iter()
                .map(|parent| (self.gpu(parent), parent))
                .collect();
            parents.sort_unstable();
            let mut before: Option<(Rc<str>, u32)> = None;
            let standings = parents.into_iter().zip(0..).map(|((gpu, parent), number)| {
                let first = match &before {
                    Some((other, first)) if *other == gpu => *first,
                    _ => number,
                };
                let standing = Standing {
                    gpu: first,
                    parent: number,
                    is_part: self.is_part(parent),
                };
                before = Some((gpu, first));
                (parent.clone(), standing)
            });
            standings.collect()
        });
        // One that is no parent any more comes last.
        all.get(parent).copied().unwrap_or(Standing {
            gpu: u32::MAX,
            parent: u32::MAX,
            is_part: false,
        })
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
