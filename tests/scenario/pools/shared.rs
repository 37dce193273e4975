//! Types that share what a parent has, in a way that only the kernel knows: it is asked, and the next place tried.

use super::*;
use nix::errno::Errno;

/// One port is left on each of two, which still say so of both types.
fn half_told() -> Host {
    let host = Host::new();
    host.ports("a", 4).ports("b", 4);
    host
}

/// The domain's own two do not fit next to each other, which no count says beforehand.
#[test]
fn what_the_kernel_refuses_goes_elsewhere() {
    let host = Host::new();
    host.ports("a", 2).ports("b", 2);
    host.pool("large", &of_type("mtty-2"))
        .pool("small", &of_type("mtty-1"));
    let before = host.state();
    host.kernel().reset();
    assert_eq!(start(&host, 1, &["small", "large"]), ["mtty-1 a", "mtty-2 b"]);
    let (small, large) = (device(16), device(17));
    assert_eq!(
        host.writes(),
        [
            format!("a/mdev_supported_types/mtty-1/create {small:?}: done"),
            format!("a/mdev_supported_types/mtty-2/create {large:?}: ENOSPC"),
            format!("a/{small}/remove \"1\": done"),
            format!("a/mdev_supported_types/mtty-1/create {small:?}: done"),
            format!("b/mdev_supported_types/mtty-2/create {large:?}: done"),
        ]
    );
    // Nothing is left for a second domain; what is left is tried before it is told so.
    host.prepare(&vm(2, &["large"])).refused(&format!(
        "vm2: cannot create {}: pool large has no place for it: mtty-2 (a, b full); stop a domain that uses the pool \
         (automdev pools large lists them), or give it another member",
        device(32)
    ));
    assert_eq!(start(&host, 3, &["small"]), ["mtty-1 a"]);
    for (number, pools) in [(1, &["small", "large"][..]), (3, &["small"])] {
        host.release(&vm(number, pools)).done();
    }
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// Each place is tried once, then the start is refused, with what the kernel said.
#[test]
fn each_place_is_tried_once() {
    for errno in [
        Errno::ENOSPC,
        Errno::EUSERS,
        Errno::ENOMEM,
        Errno::EINVAL,
        Errno::EIO,
    ] {
        let host = half_told();
        host.pool("p", &of_type("mtty-2"));
        host.kernel().configure(|config| {
            config.errors.insert("mtty-2/create".to_owned(), errno as i32);
        });
        let before = host.state();
        host.kernel().reset();
        let said = errno.desc();
        host.prepare(&vm(1, &["p"])).refused(&format!(
            "vm1: cannot create {}: pool p has no place for it: mtty-2 (a, b refused by the kernel: {said}); stop a \
             domain that uses the pool (automdev pools p lists them), or give it another member",
            device(16)
        ));
        assert_eq!(host.writes().len(), 2, "{:?}", host.writes());
        before.assert_unchanged(&host.state());
        host.assert_ledger_empty();
    }
}

/// The same for the alternatives of a definition.
#[test]
fn alternatives_of_a_definition_are_tried_as_well() {
    let host = half_told();
    let uuid = device(1);
    host.definition("a", &uuid, "mtty-2", &[])
        .definition("b", &uuid, "mtty-2", &[]);
    host.kernel().configure(|config| {
        config.errors.insert(
            "mtty/a/mdev_supported_types/mtty-2/create".to_owned(),
            Errno::ENOSPC as i32,
        );
        config.errors.insert(
            "mdev_bus/a/mdev_supported_types/mtty-2/create".to_owned(),
            Errno::ENOSPC as i32,
        );
    });
    let domain = Domain::new("vm1", 1).with(&uuid);
    host.prepare(&domain).done();
    assert_eq!(host.devices(), [format!("{uuid} mtty-2 b")]);
    host.release(&domain).done();
    host.kernel().configure(|config| {
        config
            .errors
            .insert("mtty-2/create".to_owned(), Errno::ENOSPC as i32);
    });
    let before = host.state();
    host.prepare(&domain).refused(&format!(
        "vm1: cannot create {uuid}: none of its definitions can be used: under a, a did not take mtty-2: No space left \
         on device; under b, b did not take mtty-2: No space left on device"
    ));
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// A right that is missing, or a UUID that is taken, is so everywhere.
#[test]
fn what_is_wrong_everywhere_is_told_at_once() {
    let host = half_told();
    host.pool("p", &of_type("mtty-2"));
    host.kernel().configure(|config| {
        config
            .errors
            .insert("mtty-2/create".to_owned(), Errno::EACCES as i32);
    });
    host.kernel().reset();
    host.prepare(&vm(1, &["p"])).refused(&format!(
        "vm1: cannot create {} (mtty-2 on a): no right to create devices on a (Permission denied); run automdev as \
         root",
        device(16)
    ));
    assert_eq!(host.writes().len(), 1);
}

/// A start that is under way has its places, though they are not taken yet.
#[test]
fn what_others_have_reserved_is_left_to_them() {
    reserved_beside(0);
}

/// The same among many that are there.
#[test]
fn what_others_have_reserved_is_found_among_many() {
    reserved_beside(5);
}

/// So many domains of 16 devices each run already.
fn reserved_beside(others: u32) {
    let host = Host::new();
    host.ports("a", 1).ports("b", 1).pool("p", &of_type("mtty-1"));
    let parent = "[[member]]\ntype = 'mtty-1'\nparents = ['many']\n";
    host.ports("many", others * 16).pool("many", parent);
    for number in 10..10 + others {
        host.prepare(&vm(number, &["many"; 16])).done();
    }
    host.kernel().configure(|config| config.create_delay_ms = 300);
    let call = |number: u32| {
        let vm = vm(number, &["p"]);
        host.start(&[vm.name.as_str(), "prepare", "begin", "-"], vm.xml().as_bytes())
    };
    host.kernel().reset();
    let children = [call(1), call(2)];
    for child in children {
        host.finish(child).done();
    }
    let mut taken = [places(&host, 1), places(&host, 2)].concat();
    taken.sort();
    assert_eq!(taken, ["mtty-1 a", "mtty-1 b"]);
    // Neither has tried the other's.
    assert!(
        host.writes().iter().all(|line| line.ends_with("done")),
        "{:?}",
        host.writes()
    );
    assert_eq!(host.devices().len(), others as usize * 16 + 2);
}
