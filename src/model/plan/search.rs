//! One choice for all devices of a domain together.
//!
//! The devices are placed one after the other, each at the best place that is left; where one finds none, the one
//! before it moves on. States that are alike (parents with the same types and the same room are) are tried once.
//! So a placement is found wherever there is one, save that the search ends after [`MOST_STEPS`].

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

use foldhash::{HashMap, HashMapExt as _, HashSet};

use super::choice::{Candidate, Choice, Distance, Way};
use super::room::{Fit, Placed};
use super::{Place, Planner};
use crate::model::names::{ParentName, TypeName};
use crate::model::pool::{FromPool, Member, Numa, Placement};

/// More than any host needs whose parents are of a few kinds; a tenth of a second.
const MOST_STEPS: u32 = 20_000;

/// Where each of the devices goes: an index among its candidates.
pub(super) type Chosen = Vec<usize>;

/// What has been learnt on the way.
#[derive(Default)]
struct Memory {
    steps: u32,
    /// From these no way leads on.
    dead: HashSet<State>,
    /// The kinds of parents, once a first way was a dead end.
    kinds: Option<Kinds>,
}

/// All that decides whether the devices from `level` on find a place.
type State = (usize, Vec<GpuState>);

/// The GPU's kind, and what is placed on its parents.
type GpuState = (u32, Vec<ParentState>);

/// The parent's kind, and how many of what are placed there.
type ParentState = (u32, Vec<(Sort, u32)>);

/// What is placed: its type, whether it brings its room, and what it counts for.
type Sort = (TypeName, bool, Option<FromPool>);

/// Parents, and GPUs, that nobody could tell from each other carry the same number.
struct Kinds {
    parents: HashMap<ParentName, u32>,
    gpus: HashMap<Rc<str>, u32>,
}

impl Planner<'_> {
    /// Finds a place for each device, and puts it into `placed`.
    pub(super) fn place_all(&mut self, choices: &[Choice]) -> Option<Chosen> {
        let before = self.placed.len();
        let mut chosen = Vec::new();
        if self.descend(choices, &mut chosen, &mut Memory::default()) {
            return Some(chosen);
        }
        self.placed.truncate(before);
        None
    }

    fn descend(&mut self, choices: &[Choice], chosen: &mut Chosen, memory: &mut Memory) -> bool {
        let level = chosen.len();
        let Some(choice) = choices.get(level) else {
            return true;
        };
        if memory.kinds.is_some() && !self.has_room_for_rest(&choices[level..]) {
            return false;
        }
        for group in self.by_distance(choice) {
            for index in self.order(choice, group) {
                let candidate = &choice.candidates[index];
                if self.fit(choice, candidate).is_none() {
                    continue;
                }
                self.put(choice, candidate);
                let is_dead = memory.kinds.as_ref().is_some_and(|kinds| {
                    let state = self.state(level + 1, kinds);
                    memory.dead.contains(&state)
                });
                memory.steps = memory.steps.saturating_add(1);
                chosen.push(index);
                if !is_dead && memory.steps <= MOST_STEPS && self.descend(choices, chosen, memory) {
                    return true;
                }
                chosen.pop();
                self.placed.pop();
                if memory.steps > MOST_STEPS {
                    return false;
                }
            }
        }
        if memory.kinds.is_none() {
            // As though nothing were placed.
            let placed = std::mem::take(&mut self.placed);
            memory.kinds = Some(self.kinds(choices));
            if !self.has_room_for_rest(choices) {
                memory.steps = u32::MAX;
            }
            self.placed = placed;
        }
        if let Some(kinds) = &memory.kinds {
            let state = self.state(level, kinds);
            memory.dead.insert(state);
        }
        false
    }

    /// Counts a device as made.
    pub(super) fn put(&mut self, choice: &Choice, candidate: &Candidate) {
        self.placed.push(Placed {
            uuid: choice.wanted.uuid,
            place: candidate.place.clone(),
            brings_room: candidate.way != Way::Make,
        });
    }

    /// A device's candidates, those that are nearest to the domain's memory first. What is far away is asked for nothing
    /// where something near will do.
    pub(super) fn by_distance(&self, choice: &Choice) -> Vec<Vec<usize>> {
        let all = 0..choice.candidates.len();
        let numa = choice.pool.as_ref().map_or(Numa::Ignore, |pool| pool.numa);
        if numa == Numa::Ignore || self.look.home().is_empty() {
            return vec![all.collect()];
        }
        let mut groups: BTreeMap<Distance, Vec<usize>> = BTreeMap::new();
        for index in all {
            let distance = self.distance(&choice.candidates[index].place.parent);
            groups.entry(distance).or_default().push(index);
        }
        groups.into_values().collect()
    }

    /// Some of a device's candidates, the best first.
    pub(super) fn order(&self, choice: &Choice, mut order: Vec<usize>) -> Vec<usize> {
        let Some(pool) = &choice.pool else {
            return order;
        };
        match pool.placement {
            Placement::Order => order.sort_by_key(|index| {
                let one = &choice.candidates[*index];
                (one.member, one.rank, &one.place.parent)
            }),
            Placement::Pack | Placement::Spread => {
                order.retain(|index| {
                    let one = &choice.candidates[*index];
                    one.way != Way::Make || !self.is_out(choice, one)
                });
                let parts = by_parent(choice, order);
                self.ask_for_room(choice, &parts);
                // Of a GPU's functions, all of them count together.
                let mut lefts: HashMap<(u32, &TypeName), u32> = HashMap::new();
                let mut keyed = Vec::with_capacity(choice.candidates.len());
                for (parent, indexes) in &parts {
                    let standing = self.look.standing(parent);
                    let types = indexes
                        .iter()
                        .map(|index| &choice.candidates[*index].place.mdev_type);
                    let told = self.look.told(parent, types);
                    for (index, told) in indexes.iter().zip(told) {
                        let one = &choice.candidates[*index];
                        let mdev_type = &one.place.mdev_type;
                        let left = told.map(|told| self.left_at(parent, mdev_type, told));
                        // Those that the driver calls full need no place in the order.
                        if one.way == Way::Make && !self.may_have_room(&one.place, left) {
                            continue;
                        }
                        let left = if standing.is_part {
                            *lefts.entry((standing.gpu, mdev_type)).or_insert_with(|| {
                                let offer = self.look.offer(parent, mdev_type);
                                self.left(&one.place, offer.and_then(|offer| offer.most))
                            })
                        } else {
                            left.unwrap_or_default()
                        };
                        let (fewest, most) = match pool.placement {
                            Placement::Spread => (0, Reverse(left)),
                            _ => (left, Reverse(0)),
                        };
                        let key = (fewest, most, standing.gpu, one.member, one.rank, standing.parent);
                        keyed.push((key, *index));
                    }
                }
                // Most of it is in order already.
                keyed.sort();
                order = keyed.into_iter().map(|(_, index)| index).collect();
            }
        }
        order
    }

    /// Asks each parent's driver at once for all that these candidates need.
    fn ask_for_room(&self, choice: &Choice, parts: &[(&ParentName, Vec<usize>)]) {
        let wanted = parts.iter().map(|(parent, indexes)| {
            let types = indexes
                .iter()
                .map(|index| &choice.candidates[*index].place.mdev_type);
            (*parent, types.collect())
        });
        self.look.ask_available(wanted.collect());
    }

    /// What is placed so far, as far as it decides what else fits: parents of a kind are alike.
    fn state(&self, level: usize, kinds: &Kinds) -> State {
        let mut gpus: BTreeMap<Rc<str>, BTreeMap<&ParentName, BTreeMap<Sort, u32>>> = BTreeMap::new();
        for placed in &self.placed {
            let gpu = self.look.gpu(&placed.place.parent);
            let parents = gpus.entry(gpu).or_default();
            let types = parents.entry(&placed.place.parent).or_default();
            let Place { mdev_type, pool, .. } = &placed.place;
            let key = (mdev_type.clone(), placed.brings_room, pool.clone());
            *types.entry(key).or_default() += 1;
        }
        let mut state: Vec<_> = gpus
            .into_iter()
            .map(|(gpu, parents)| {
                let mut parents: Vec<_> = parents
                    .into_iter()
                    .map(|(parent, types)| {
                        let kind = kinds.parents.get(parent).copied().unwrap_or(u32::MAX);
                        (kind, types.into_iter().collect::<Vec<_>>())
                    })
                    .collect();
                parents.sort();
                (kinds.gpus.get(&gpu).copied().unwrap_or(u32::MAX), parents)
            })
            .collect();
        state.sort();
        (level, state)
    }

    /// Which parents are alike for these devices: nothing that could tell them apart may be left out.
    fn kinds(&self, choices: &[Choice]) -> Kinds {
        let mut looks: HashMap<ParentName, String> = HashMap::new();
        for (level, choice) in choices.iter().enumerate() {
            for candidate in &choice.candidates {
                let place = &candidate.place;
                let look = looks.entry(place.parent.clone()).or_default();
                let is_single = match &choice.pool {
                    Some(pool) => !matches!(pool.members[candidate.member], Member::Type(_)),
                    None => true,
                };
                let is_named = self
                    .look
                    .refused()
                    .iter()
                    .any(|together| together.places.iter().any(|(parent, _)| *parent == place.parent));
                let name = if is_single || is_named {
                    place.parent.as_str()
                } else {
                    ""
                };
                let offer = self.look.offer(&place.parent, &place.mdev_type);
                let told = self.look.available(&place.parent, &place.mdev_type);
                let offer = offer.map(|offer| (told, offer.most));
                let left = self.left(place, None);
                let is_possible = self.fit(choice, candidate).is_some();
                write!(
                    look,
                    "{level} {} {:?} {} {offer:?} {left} {is_possible} {name};",
                    candidate.member, candidate.way, place.mdev_type
                )
                .expect("a String takes it");
            }
        }
        let mut parts: HashMap<Rc<str>, Vec<&str>> = HashMap::new();
        for (parent, look) in &looks {
            parts.entry(self.look.gpu(parent)).or_default().push(look);
        }
        let mut numbers: HashMap<String, u32> = HashMap::new();
        let mut number = |text: String| {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            *numbers.entry(text).or_insert(next)
        };
        let gpus = parts.into_iter().map(|(gpu, mut parts)| {
            parts.sort_unstable();
            let shared = if parts.len() > 1 || looks.keys().all(|parent| *parent.as_str() != *gpu) {
                let taken = self.look.devices_on(&gpu);
                format!("{taken} ")
            } else {
                String::new()
            };
            (gpu, number(format!("{shared}{}", parts.join("|"))))
        });
        let gpus = gpus.collect();
        let parents = looks
            .iter()
            .map(|(parent, look)| (parent.clone(), number(look.clone())));
        Kinds {
            parents: parents.collect(),
            gpus,
        }
    }

    /// Whether the devices could all find a place if nothing excluded anything: each at one, each place taken as often
    /// as it has room. Where they could not, no search is needed.
    fn has_room_for_rest(&self, choices: &[Choice]) -> bool {
        let mut spots: HashMap<(&ParentName, &TypeName, bool), usize> = HashMap::new();
        let mut rooms: Vec<u32> = Vec::new();
        let mut edges: Vec<Vec<usize>> = Vec::new();
        for choice in choices {
            let mut to = Vec::new();
            for candidate in &choice.candidates {
                if self.fit(choice, candidate).is_none() {
                    continue;
                }
                let place = &candidate.place;
                let is_own = candidate.way != Way::Make;
                let spot = *spots
                    .entry((&place.parent, &place.mdev_type, is_own))
                    .or_insert_with(|| {
                        // What only the driver knows is no bound.
                        let room = match self.check(choice, candidate) {
                            Ok(Fit::Told) if !is_own && !self.gives_other_room_back(place) => {
                                self.left(place, None)
                            }
                            _ => u32::MAX,
                        };
                        rooms.push(room);
                        rooms.len() - 1
                    });
                to.push(spot);
            }
            edges.push(to);
        }
        let mut takers: Vec<Vec<usize>> = vec![Vec::new(); rooms.len()];
        (0..edges.len()).all(|device| {
            let mut seen = vec![false; rooms.len()];
            augment(device, &edges, &rooms, &mut takers, &mut seen)
        })
    }
}

/// The same candidates by their parents.
fn by_parent(choice: &Choice, indexes: Vec<usize>) -> Vec<(&ParentName, Vec<usize>)> {
    let mut parts: Vec<(&ParentName, Vec<usize>)> = Vec::new();
    let mut places: HashMap<&ParentName, usize> = HashMap::new();
    let members = choice.pool.as_ref().map_or(1, |pool| pool.members.len());
    for index in indexes {
        let parent = &choice.candidates[index].place.parent;
        let place = *places.entry(parent).or_insert_with(|| {
            parts.push((parent, Vec::with_capacity(members)));
            parts.len() - 1
        });
        parts[place].1.push(index);
    }
    parts
}

/// Kuhn's algorithm: gives a device a place, moving others where that helps.
fn augment(
    device: usize,
    edges: &[Vec<usize>],
    rooms: &[u32],
    takers: &mut [Vec<usize>],
    seen: &mut [bool],
) -> bool {
    for &spot in &edges[device] {
        if std::mem::replace(&mut seen[spot], true) {
            continue;
        }
        if u32::try_from(takers[spot].len()).is_ok_and(|taken| taken < rooms[spot]) {
            takers[spot].push(device);
            return true;
        }
        for place in 0..takers[spot].len() {
            let other = takers[spot][place];
            if augment(other, edges, rooms, takers, seen) {
                takers[spot][place] = device;
                return true;
            }
        }
    }
    false
}
