//! Small hosts, pools and domains in no order at all; the same from the same seed.

use std::collections::BTreeMap;

use automdev::model::names::MdevUuid;
use automdev::model::plan::{Origin, Wanted};

use super::random::Random;
use super::world::{Parent, World, uuid};

/// A host, and what a domain wants of it.
pub(crate) struct Case {
    pub(crate) world: World,
    pub(crate) wanted: Vec<Wanted>,
}

/// The types of a driver.
const TYPES: [&[&str]; 2] = [&["mtty-1", "mtty-2"], &["nvidia-1", "nvidia-2", "nvidia-3"]];

impl Case {
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut world = World::default();
        for gpu in 0..=random.below(4) {
            add_gpu(&mut random, &mut world, gpu);
        }
        for node in 0..3 {
            if random.once_in(3) {
                world.home.insert(node);
            }
        }
        for number in 0..random.below(3) {
            add_definitions(
                &mut random,
                &mut world,
                uuid(100 + u32::try_from(number).expect("small")),
            );
        }
        let pools = 1 + random.below(3);
        for number in 0..pools {
            let text = pool(&mut random, &mut world);
            world.pools.insert(format!("pool{number}"), text);
        }
        let mut wanted: Vec<Wanted> = Vec::new();
        for number in 0..=random.below(4) {
            let mut device = uuid(u32::try_from(number).expect("small"));
            let origin = if random.once_in(5) {
                add_definitions(&mut random, &mut world, device);
                Origin::Definition
            } else {
                let pool = format!("pool{}", random.below(pools)).parse().expect("a name");
                if random.once_in(6) {
                    Origin::AnyOfPool(pool)
                } else {
                    Origin::Pool(pool)
                }
            };
            if random.once_in(12) && matches!(origin, Origin::Definition) {
                // What a pool may have as a pattern, too.
                device = uuid(100);
                if !world.defined.contains_key(&device) || wanted.iter().any(|one| one.uuid == device) {
                    continue;
                }
            }
            wanted.push(Wanted {
                uuid: device,
                model: None,
                origin,
            });
        }
        // A definition is another device's pattern or its own, not both: what is made first would decide.
        let own: Vec<MdevUuid> = wanted.iter().map(|one| one.uuid).collect();
        let mut case = Case { world, wanted };
        if own.contains(&uuid(100)) {
            for text in case.world.pools.values_mut() {
                *text = text.replace(&uuid(100).to_string(), &uuid(99).to_string());
            }
        }
        // Where there is nothing to choose, the kernel alone has a say in what others have reserved.
        let has_choice = |one: &Wanted| match one.origin {
            Origin::Definition => case
                .world
                .defined
                .get(&one.uuid)
                .is_some_and(|places| places.len() > 1),
            _ => true,
        };
        if !case.wanted.iter().any(has_choice) {
            case.world.reserved.clear();
        }
        case
    }
}

fn any_parent(random: &mut Random, world: &World) -> String {
    world.parents[random.below(world.parents.len())].name.clone()
}

fn add_gpu(random: &mut Random, world: &mut World, gpu: usize) {
    let types = TYPES[random.below(2)];
    let name = format!("gpu{gpu}");
    let is_nvidia = types[0].starts_with("nvidia");
    let node = (!random.once_in(3)).then(|| u32::try_from(random.below(3)).expect("small"));
    let is_cordoned = random.once_in(12);
    let functions = if is_nvidia && random.once_in(2) {
        1 + random.below(3)
    } else {
        0
    };
    // What runs there: a type, and how many.
    let running = random.once_in(5).then(|| types[random.below(types.len())]);
    let most: u32 = 1 + u32::try_from(random.below(3)).expect("small");
    if functions == 0 {
        let taken = u32::from(running.is_some());
        let of_types = types.iter().map(|mdev_type| {
            let left = u32::try_from(random.below(4)).expect("small");
            let left = match running {
                Some(running) if is_nvidia && running != *mdev_type => 0,
                _ => left,
            };
            ((*mdev_type).to_owned(), (left, is_nvidia.then_some(left + taken)))
        });
        world.parents.push(Parent {
            name: name.clone(),
            gpu: name,
            node,
            types: of_types.collect(),
            taken,
            is_cordoned,
        });
        return;
    }
    let busy = running.map(|_| random.below(functions));
    for function in 0..functions {
        let taken = u32::from(busy == Some(function));
        let of_types: BTreeMap<String, (u32, Option<u32>)> = types
            .iter()
            .map(|mdev_type| {
                let is_other = running.is_some_and(|running| running != *mdev_type);
                let is_full = taken > 0 || is_other || running.is_some() && most == 1;
                ((*mdev_type).to_owned(), (u32::from(!is_full), Some(most)))
            })
            .collect();
        world.parents.push(Parent {
            name: format!("{name}.{function}"),
            gpu: name.clone(),
            node,
            types: of_types,
            taken,
            is_cordoned,
        });
    }
}

/// Definitions of a device under one to three parents.
fn add_definitions(random: &mut Random, world: &mut World, device: MdevUuid) {
    let mut defined = BTreeMap::new();
    for _ in 0..=random.below(3) {
        let parent = any_parent(random, world);
        let types: Vec<String> = world
            .find(&parent)
            .expect("a parent")
            .types
            .keys()
            .cloned()
            .collect();
        defined.insert(parent, types[random.below(types.len())].clone());
    }
    world.defined.insert(device, defined.into_iter().collect());
}

fn pool(random: &mut Random, world: &mut World) -> String {
    let mut lines = vec![format!(
        "placement = '{}'\nnuma = '{}'",
        random.pick(&["order", "pack", "spread"]),
        random.pick(&["ignore", "ignore", "prefer", "require"])
    )];
    let mut named = Vec::new();
    for _ in 0..=random.below(3) {
        lines.push("[[member]]".to_owned());
        match random.below(6) {
            0 => {
                let device = uuid(100 + u32::try_from(random.below(2)).expect("small"));
                if named.contains(&device) || !world.defined.contains_key(&device) {
                    lines.push("type = 'mtty-1'".to_owned());
                } else {
                    named.push(device);
                    lines.push(format!("definition = '{device}'"));
                }
            }
            1 => {
                // One that is there already: the counts are as they are with it.
                let device = uuid(200 + u32::try_from(world.idle.len()).expect("small"));
                let parent = any_parent(random, world);
                let found = world.parents.iter_mut().find(|one| one.name == parent);
                let found = found.expect("a parent");
                let running = found.types.iter().find(|(_, (left, _))| *left > 0);
                let is_function = found.gpu != found.name;
                match running.map(|(name, _)| name.clone()).filter(|_| !is_function) {
                    Some(running) => {
                        // It has taken one of the places that the count told of.
                        if running.starts_with("nvidia-") {
                            found.types.retain(|name, _| *name == running);
                        }
                        if let Some(counts) = found.types.get_mut(&running) {
                            counts.0 -= 1;
                        }
                        found.taken += 1;
                        world.idle.insert(device, (parent.clone(), running.clone()));
                        world.defined.insert(device, vec![(parent, running)]);
                        lines.push(format!("device = '{device}'\nreplace = {}", !random.once_in(3)));
                    }
                    None => lines.push("type = 'nvidia-1'".to_owned()),
                }
            }
            _ => {
                let types = TYPES[random.below(2)];
                lines.push(format!("type = '{}'", types[random.below(types.len())]));
                if random.once_in(2) {
                    let globs = ["gpu0*", "gpu1*", "gpu[02]*", "*.0", "gpu?", "gpu*"];
                    lines.push(format!("parents = ['{}']", random.pick(&globs)));
                }
                if random.once_in(4) {
                    lines.push(format!("limit = {}", 1 + random.below(2)));
                }
            }
        }
    }
    if random.once_in(4) {
        let parent = any_parent(random, world);
        let found = world.find(&parent).expect("a parent");
        let free = found.types.iter().find(|(_, (left, _))| *left > 0);
        if let Some((name, _)) = free.filter(|_| world.reserved.is_empty()) {
            world.reserved.push((parent.clone(), name.clone()));
        }
    }
    lines.join("\n")
}
