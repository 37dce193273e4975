//! What goes wrong on demand, and the count of what was tried.

use std::io;

use automdev::host::kernel::{Change, Kernel, WriteError};
use nix::errno::Errno;

use super::*;
use crate::support::FaultKind;

/// Announces a change, makes a device, announces another change: three effects.
fn three_effects(tree: &Tree) -> (io::Result<()>, Result<(), WriteError>, io::Result<()>) {
    let kernel = tree.kernel();
    let folder = tree.at("sys/class/mdev_bus/mtty");
    let target = Target {
        folder: &folder,
        file: "mdev_supported_types/mtty-2/create",
        inode: None,
        keep: None,
    };
    (
        kernel.before(Change::Write, &tree.at("run/record")),
        kernel.write(target, A.as_bytes(), Deadline::after(Duration::from_secs(5))),
        kernel.before(Change::Unlink, &tree.at("run/record")),
    )
}

#[test]
fn effects_are_counted_and_logged() {
    let tree = Tree::new();
    tree.mtty();
    let (first, second, third) = three_effects(&tree);
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
    assert_eq!(remove(&tree, B), refused(Errno::ENOENT));
    assert_eq!(
        tree.kernel().log(),
        [
            "1 Write run/record: done".to_owned(),
            format!("2 write sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/create {A:?}: done"),
            "3 Unlink run/record: done".to_owned(),
            format!("4 write sys/bus/mdev/devices/{B}/remove \"1\": ENOENT"),
        ]
    );
    assert_eq!(tree.kernel().effects(), 4);
    tree.kernel().reset();
    assert_eq!((tree.kernel().effects(), tree.kernel().log().len()), (0, 0));
}

#[test]
fn each_effect_can_be_made_to_fail() {
    for at in 1..=4 {
        let tree = Tree::new();
        tree.mtty();
        tree.kernel().fault(at, FaultKind::Fail(Errno::EIO as i32));
        let (first, second, third) = three_effects(&tree);
        assert_eq!(first.is_err(), at == 1);
        assert_eq!(second == refused(Errno::EIO), at == 2);
        assert_eq!(third.map_err(|error| error.raw_os_error()).is_err(), at == 3);
        assert_eq!(tree.names("sys/bus/mdev/devices").is_empty(), at == 2);
        assert_eq!(tree.kernel().effects(), 3);
    }
}

#[test]
fn what_a_frozen_caller_tries_has_no_effect() {
    for (kind, at, made, tried) in [
        (FaultKind::FreezeBefore, 1, false, 1),
        (FaultKind::FreezeBefore, 2, false, 2),
        (FaultKind::FreezeAfter, 2, true, 2),
        (FaultKind::FreezeBefore, 3, true, 3),
    ] {
        let tree = Tree::new();
        tree.mtty();
        tree.kernel().fault(at, kind);
        let (.., last) = three_effects(&tree);
        assert!(last.is_err(), "{kind:?} at {at}");
        assert_eq!(
            !tree.names("sys/bus/mdev/devices").is_empty(),
            made,
            "{kind:?} at {at}"
        );
        assert_eq!(tree.kernel().effects(), tried);
        tree.kernel().reset();
        assert_eq!(create(&tree, "mtty", "mtty-1", B), Ok(()), "the next one lives");
    }
}

#[test]
fn a_write_can_be_made_to_fail_by_its_path() {
    let tree = Tree::new();
    tree.mtty().active("mtty", "mtty-1", A);
    tree.kernel().configure(|config| {
        config
            .errors
            .insert("power/control".to_owned(), Errno::EBUSY as i32);
        config
            .errors
            .insert("mtty-2/create".to_owned(), Errno::EPERM as i32);
    });
    let device = format!("sys/bus/mdev/devices/{A}");
    assert_eq!(
        write(&tree, &device, "power/control", "on"),
        refused(Errno::EBUSY)
    );
    assert_eq!(create(&tree, "mtty", "mtty-2", B), refused(Errno::EPERM));
    assert_eq!(create(&tree, "mtty", "mtty-1", B), Ok(()));
}

#[test]
fn several_at_once_never_get_one_too_many() {
    let tree = Tree::new();
    tree.mdpy();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let tree = &tree;
            scope.spawn(move || create(tree, "mdpy", "mdpy-vga", &numbered(number)));
        }
    });
    assert_eq!(tree.names("sys/bus/mdev/devices").len(), 4);
    assert_eq!(counts(&tree, "mdpy"), "mdpy-hd 0, mdpy-vga 0, mdpy-xga 0");
    assert_eq!(tree.names("sys/kernel/iommu_groups"), ["0", "1", "2", "3"]);
    assert_eq!(tree.kernel().effects(), 8);
}
