//! Large hosts, and domains that make the search work: it ends soon, and still finds what there is.

use std::time::{Duration, Instant};

use automdev::model::plan::{Origin, Patience, Wanted, plan};

use super::world::{Parent, World, uuid};

/// As long as this may take on a machine that has other things to do, unoptimized.
const SOON: Duration = Duration::from_secs(10);

fn world(parents: u32, types: u32, left: impl Fn(u32) -> u32) -> World {
    let mut world = World::default();
    for number in 0..parents {
        let name = format!("0000:{number:02x}:00.0");
        world.parents.push(Parent {
            gpu: name.clone(),
            name,
            node: Some(number % 4),
            types: (0..types)
                .map(|of| (format!("nvidia-{of}"), (left(number), Some(left(number)))))
                .collect(),
            taken: 0,
            is_cordoned: false,
        });
    }
    for of in 0..types {
        for placement in ["order", "pack", "spread"] {
            let text =
                format!("placement = '{placement}'\nnuma = 'prefer'\n[[member]]\ntype = 'nvidia-{of}'\n");
            world.pools.insert(format!("{placement}{of}"), text);
        }
    }
    world.home.insert(3);
    world
}

fn wanted(pools: impl Iterator<Item = String>) -> Vec<Wanted> {
    (0..)
        .zip(pools)
        .map(|(number, pool)| Wanted {
            uuid: uuid(number),
            model: None,
            origin: Origin::Pool(pool.parse().expect("a name")),
        })
        .collect()
}

#[track_caller]
fn is_placed(world: &World, wanted: &[Wanted]) -> bool {
    let begun = Instant::now();
    let plan = plan(wanted, world, Patience::Exhausted);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    plan.refusal().is_none()
}

/// 16 types, each of which needs a GPU of its own: as many devices as there are GPUs.
#[test]
fn as_many_types_as_there_are_gpus() {
    for placement in ["order", "pack", "spread"] {
        let pools = || (0..16).map(|of| format!("{placement}{of}"));
        assert!(is_placed(&world(64, 16, |_| 4), &wanted(pools())));
        assert!(is_placed(&world(16, 16, |_| 4), &wanted(pools())));
        assert!(!is_placed(&world(15, 16, |_| 4), &wanted(pools())));
    }
}

/// The last of many that are all alike finds nothing: no other order would help.
#[test]
fn one_more_than_there_is_room_for() {
    for placement in ["order", "pack", "spread"] {
        let pools = |count: usize| std::iter::repeat_n(format!("{placement}0"), count);
        assert!(is_placed(&world(64, 1, |_| 1), &wanted(pools(64))));
        assert!(!is_placed(&world(64, 1, |_| 1), &wanted(pools(65))));
        // No two of these are alike.
        assert!(is_placed(&world(12, 1, |number| number), &wanted(pools(66))));
        assert!(!is_placed(&world(12, 1, |number| number), &wanted(pools(67))));
    }
}

/// The pools of the narrow ones come last, so that the first choices are all wrong.
#[test]
fn those_that_may_go_anywhere_make_way_for_those_that_may_not() {
    let mut world = world(8, 1, |_| 1);
    for number in 0..8 {
        let text = format!("[[member]]\ntype = 'nvidia-0'\nparents = ['0000:{number:02x}:00.0']\n");
        world.pools.insert(format!("only{number}"), text);
    }
    let pools = |narrow: std::ops::Range<usize>| {
        let open = std::iter::repeat_n("order0".to_owned(), 8 - narrow.len());
        open.chain(narrow.map(|number| format!("only{number}")))
    };
    for narrow in 0..=8 {
        assert!(is_placed(&world, &wanted(pools(0..narrow))), "{narrow}");
    }
}
