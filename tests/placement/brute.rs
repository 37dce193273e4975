//! All placements that there are, tried one by one, judged by rules that are written down here a second time.

use automdev::model::inventory::Inventory;
use automdev::model::names::{MdevUuid, PoolName};
use automdev::model::plan::{Action, Origin, Wanted};
use automdev::model::pool::{Member, Numa, Pool};

use super::world::World;

/// One device at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) parent: String,
    pub(crate) mdev_type: String,
    /// The device that makes way, or is used itself.
    pub(crate) own: Option<MdevUuid>,
    /// The definition of which there is one.
    like: Option<MdevUuid>,
    pool: Option<PoolName>,
}

/// Where a device could go, whatever the others do.
fn spots(world: &World, wanted: &Wanted) -> Vec<Spot> {
    let Some(name) = wanted.origin.pool() else {
        let defined = world.definitions(wanted.uuid);
        return defined
            .iter()
            .map(|one| Spot {
                parent: one.parent.to_string(),
                mdev_type: one.definition.as_ref().expect("good").mdev_type.to_string(),
                own: None,
                like: None,
                pool: None,
            })
            .filter(|spot| is_possible(world, spot, Numa::Ignore))
            .collect();
    };
    let pool = world.pool(name).expect("a pool");
    let mut spots = Vec::new();
    for member in &pool.members {
        match member {
            Member::Type(member) => {
                for parent in &world.parents {
                    let name = parent.name.parse().expect("a name");
                    if member.rank(&name).is_some() {
                        spots.push(Spot {
                            parent: parent.name.clone(),
                            mdev_type: member.mdev_type.to_string(),
                            own: None,
                            like: None,
                            pool: Some(pool.name.clone()),
                        });
                    }
                }
            }
            Member::Definition(uuid) if !world.idle.contains_key(uuid) => {
                for (parent, mdev_type) in world.defined.get(uuid).into_iter().flatten() {
                    spots.push(Spot {
                        parent: parent.clone(),
                        mdev_type: mdev_type.clone(),
                        own: None,
                        like: Some(*uuid),
                        pool: None,
                    });
                }
            }
            Member::Definition(_) => {}
            Member::Device { uuid, replace } => {
                let may = *replace || matches!(wanted.origin, Origin::AnyOfPool(_));
                if let Some((parent, mdev_type)) = world.idle.get(uuid).filter(|_| may) {
                    spots.push(Spot {
                        parent: parent.clone(),
                        mdev_type: mdev_type.clone(),
                        own: Some(*uuid),
                        like: None,
                        pool: None,
                    });
                }
            }
        }
    }
    let takes_other = wanted.origin.takes_other_uuid();
    spots.retain(|spot| match spot.own {
        // Nothing new is made then, so that no cordon is in the way.
        Some(_) if takes_other => is_near_enough(world, spot, pool.numa),
        _ => is_possible(world, spot, pool.numa),
    });
    spots
}

fn is_possible(world: &World, spot: &Spot, numa: Numa) -> bool {
    let Some(parent) = world.find(&spot.parent) else {
        return false;
    };
    parent.types.contains_key(&spot.mdev_type) && !parent.is_cordoned && is_near_enough(world, spot, numa)
}

fn is_near_enough(world: &World, spot: &Spot, numa: Numa) -> bool {
    let node = world.find(&spot.parent).and_then(|parent| parent.node);
    numa != Numa::Require || node.is_none_or(|node| world.home.is_empty() || world.home.contains(&node))
}

/// Whether these devices can be next to each other.
pub(crate) fn is_valid(world: &World, spots: &[Spot]) -> bool {
    spots.iter().enumerate().all(|(index, spot)| {
        let before = &spots[..index];
        let is_first = |what: fn(&Spot) -> Option<MdevUuid>| {
            what(spot).is_none_or(|uuid| before.iter().all(|other| what(other) != Some(uuid)))
        };
        is_first(|spot| spot.own) && is_first(|spot| spot.like)
    }) && world.parents.iter().all(|parent| {
        let here = |mdev_type: &str| {
            let placed = spots.iter().filter(|spot| {
                spot.own.is_none() && spot.parent == parent.name && spot.mdev_type == mdev_type
            });
            let reserved = world
                .reserved
                .iter()
                .filter(|(name, of)| *name == parent.name && of == mdev_type);
            (placed.count(), reserved.count())
        };
        parent.types.iter().all(|(mdev_type, (available, most))| {
            let (placed, reserved) = here(mdev_type);
            let fits = placed == 0 || placed + reserved <= *available as usize;
            fits && (placed == 0 || is_gpu_fine(world, spots, &parent.gpu, mdev_type, *most))
        })
    }) && world
        .pools
        .keys()
        .all(|name| is_within_limits(world, spots, name))
}

/// A GPU holds one type of NVIDIA's at a time; one of several functions holds no more than the driver says in all.
fn is_gpu_fine(world: &World, spots: &[Spot], gpu: &str, mdev_type: &str, most: Option<u32>) -> bool {
    let of_gpu = |name: &str| world.find(name).is_some_and(|parent| parent.gpu == gpu);
    let placed: Vec<&Spot> = spots.iter().filter(|spot| of_gpu(&spot.parent)).collect();
    let reserved: Vec<&(String, String)> = world.reserved.iter().filter(|(name, _)| of_gpu(name)).collect();
    if mdev_type.starts_with("nvidia-") {
        let is_same = placed.iter().all(|spot| spot.mdev_type == mdev_type)
            && reserved.iter().all(|(_, other)| other == mdev_type);
        if !is_same {
            return false;
        }
    }
    let is_part = world
        .parents
        .iter()
        .any(|parent| parent.gpu == gpu && parent.name != gpu);
    let own = placed.iter().filter(|spot| spot.own.is_none()).count();
    let taken: u32 = world
        .parents
        .iter()
        .filter(|parent| parent.gpu == gpu)
        .map(|parent| parent.taken)
        .sum();
    !is_part || own == 0 || most.is_none_or(|most| own + reserved.len() + taken as usize <= most as usize)
}

fn is_within_limits(world: &World, spots: &[Spot], name: &str) -> bool {
    let pool: Pool = world.pool(&name.parse().expect("a name")).expect("a pool");
    pool.members.iter().all(|member| {
        let Member::Type(member) = member else { return true };
        let Some(limit) = member.limit else { return true };
        let is_of = |parent: &str, mdev_type: &str| {
            mdev_type == member.mdev_type.as_str() && member.rank(&parent.parse().expect("a name")).is_some()
        };
        let own = spots
            .iter()
            .filter(|spot| spot.pool.as_ref() == Some(&pool.name) && is_of(&spot.parent, &spot.mdev_type))
            .count();
        let others = world
            .taken
            .iter()
            .filter(|(of, parent, mdev_type)| of == name && is_of(parent, mdev_type))
            .count();
        own == 0 || own + others <= limit.get() as usize
    })
}

/// Whether there is any placement at all.
pub(crate) fn exists(world: &World, wanted: &[Wanted]) -> bool {
    let spots: Vec<Vec<Spot>> = wanted.iter().map(|wanted| spots(world, wanted)).collect();
    try_all(world, &spots, &mut Vec::new())
}

fn try_all(world: &World, spots: &[Vec<Spot>], placed: &mut Vec<Spot>) -> bool {
    let Some(next) = spots.get(placed.len()) else {
        return true;
    };
    next.iter().any(|spot| {
        placed.push(spot.clone());
        let found = is_valid(world, placed) && try_all(world, spots, placed);
        placed.pop();
        found
    })
}

/// Whether one who takes the first place for each device, and never moves it, finds one for all.
pub(crate) fn is_found_without_looking_ahead(world: &World, wanted: &[Wanted]) -> bool {
    let mut placed = Vec::new();
    wanted.iter().all(|wanted| {
        spots(world, wanted).into_iter().any(|spot| {
            placed.push(spot);
            let fits = is_valid(world, &placed);
            if !fits {
                placed.pop();
            }
            fits
        })
    })
}

/// The place that an action means, among those that there are.
pub(crate) fn spot_of(world: &World, wanted: &Wanted, action: &Action) -> Spot {
    let all = spots(world, wanted);
    let found = match action {
        Action::Create(place) => all.into_iter().find(|spot| {
            let own = place.pool.as_ref().and_then(|from| match from.member {
                automdev::model::pool::MemberKind::Device(uuid) => Some(uuid),
                _ => None,
            });
            let like = place.pool.as_ref().and_then(|from| match from.member {
                automdev::model::pool::MemberKind::Definition(uuid) => Some(uuid),
                _ => None,
            });
            spot.parent == place.parent.as_str()
                && spot.mdev_type == place.mdev_type.as_str()
                && spot.own == own
                && spot.like == like
        }),
        Action::HandOut(device, _) => all.into_iter().find(|spot| spot.own == Some(*device)),
        other => panic!("{other:?}"),
    };
    found.unwrap_or_else(|| panic!("{action:?} is no place of {wanted:?}"))
}
