//! What the kernel has refused is not chosen again; all else is.

use automdev::model::inventory::Together;
use automdev::model::plan::{Action, Origin, Patience, Wanted, plan};
use automdev::model::refusal::Refusal;

use super::world::{Parent, World, uuid};

fn parent(name: &str, types: &[(&str, u32)]) -> Parent {
    Parent {
        name: name.to_owned(),
        gpu: name.to_owned(),
        node: None,
        types: types
            .iter()
            .map(|(name, left)| ((*name).to_owned(), (*left, None)))
            .collect(),
        taken: 0,
        is_cordoned: false,
    }
}

fn of_pool(number: u32, pool: &str) -> Wanted {
    Wanted {
        uuid: uuid(number),
        model: None,
        origin: Origin::Pool(pool.parse().expect("a name")),
    }
}

fn together(places: &[(&str, &str)]) -> Together {
    Together {
        places: places
            .iter()
            .map(|(parent, mdev_type)| {
                (
                    parent.parse().expect("a name"),
                    mdev_type.parse().expect("a name"),
                )
            })
            .collect(),
        why: "No space left on device".to_owned(),
    }
}

/// The parents, in the order of the devices.
fn places(world: &World, wanted: &[Wanted]) -> Vec<String> {
    plan(wanted, world, Patience::Exhausted)
        .devices
        .iter()
        .map(|(_, action)| match action {
            Action::Create(place) => place.parent.to_string(),
            Action::Refuse(refusal, _) => refusal.code().to_owned(),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// A small one and a large one share what a parent has, which only the driver knows.
fn world() -> World {
    let mut world = World {
        parents: vec![
            parent("a", &[("mtty-1", 2), ("mtty-2", 1)]),
            parent("b", &[("mtty-1", 2)]),
        ],
        ..World::default()
    };
    world
        .pools
        .insert("small".to_owned(), "[[member]]\ntype = 'mtty-1'\n".to_owned());
    world
        .pools
        .insert("large".to_owned(), "[[member]]\ntype = 'mtty-2'\n".to_owned());
    world
}

#[test]
fn only_what_does_not_go_together_is_kept_apart() {
    let mut world = world();
    let wanted = [of_pool(1, "small"), of_pool(2, "large")];
    assert_eq!(places(&world, &wanted), ["a", "a"]);
    // The large one does not fit beside the small one, which then goes elsewhere.
    world.refused.push(together(&[("a", "mtty-1"), ("a", "mtty-2")]));
    assert_eq!(places(&world, &wanted), ["b", "a"]);
    // Nor by itself: nothing is left for it.
    world.refused.push(together(&[("a", "mtty-2")]));
    assert_eq!(places(&world, &wanted), ["a", "no-place"]);
    world.refused.clear();
    world.refused.push(together(&[("a", "mtty-1")]));
    assert_eq!(places(&world, &wanted), ["b", "a"]);
    world.refused.push(together(&[("b", "mtty-1")]));
    assert_eq!(places(&world, &wanted), ["no-place", "a"]);
}

#[test]
fn two_of_a_kind_are_not_one_of_a_kind() {
    let mut world = world();
    let wanted = [of_pool(1, "small"), of_pool(2, "small")];
    world.refused.push(together(&[("a", "mtty-1"), ("a", "mtty-1")]));
    assert_eq!(places(&world, &wanted), ["a", "b"]);
    assert_eq!(places(&world, &wanted[..1]), ["a"]);
}

#[test]
fn the_kernels_word_is_in_the_reason() {
    let mut world = world();
    world.refused.push(together(&[("a", "mtty-2")]));
    let plan = plan(&[of_pool(1, "large")], &world, Patience::Exhausted);
    let (_, refusal, _) = plan.refusal().expect("refused");
    assert!(matches!(refusal, Refusal::NoPlace { .. }));
    assert_eq!(
        refusal.to_string(),
        "pool large has no place for it: mtty-2 (a refused by the kernel: No space left on device); stop a domain \
         that uses the pool (automdev pools large lists them), or give it another member"
    );
}
