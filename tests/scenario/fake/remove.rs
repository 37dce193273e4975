//! Taking a device away.

use std::thread;
use std::time::Duration;

use automdev::host::kernel::WriteError;
use nix::errno::Errno;

use super::*;

#[test]
fn nothing_is_left_of_a_device() {
    let tree = Tree::new();
    tree.mtty().mdpy();
    // The first device makes the class of all that follow.
    tree.active("mtty", "mtty-2", A);
    assert_eq!(remove(&tree, A), Ok(()));
    let before = tree.snapshot();
    tree.active("mtty", "mtty-2", A);
    assert_eq!(
        write(&tree, &format!("sys/class/mdev_bus/mtty/{A}"), "remove", "1\n"),
        Ok(())
    );
    before.assert_unchanged(&tree.snapshot());
    assert_eq!(remove(&tree, A), refused(Errno::ENOENT));
}

#[test]
fn only_a_number_that_is_not_zero_removes() {
    let tree = Tree::new();
    tree.mtty().active("mtty", "mtty-1", A);
    let before = tree.snapshot();
    let device = format!("sys/bus/mdev/devices/{A}");
    assert_eq!(write(&tree, &device, "remove", "0"), Ok(()));
    assert_eq!(write(&tree, &device, "remove", "yes"), refused(Errno::EINVAL));
    before.assert_unchanged(&tree.snapshot());
    assert_eq!(write(&tree, &device, "remove", "0x1"), Ok(()));
    assert_eq!(tree.names("sys/bus/mdev/devices"), [""; 0]);
}

#[test]
fn a_device_in_use_looks_removed_and_stays() {
    let tree = Tree::new();
    tree.mtty().active("mtty", "mtty-2", A);
    tree.process(4711, "qemu-system-x86", &["qemu"], 1)
        .open_device(4711, A);
    assert_eq!(remove(&tree, A), Err(WriteError::TimedOut));

    let folder = format!("sys/class/mdev_bus/mtty/{A}");
    assert_eq!(tree.names("sys/bus/mdev/devices"), [""; 0]);
    assert_eq!(
        tree.names("sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/devices"),
        [""; 0]
    );
    assert!(tree.at(&folder).exists());
    for gone in ["mdev_type", "remove", "driver", "power"] {
        assert!(tree.at(&folder).join(gone).symlink_metadata().is_err(), "{gone}");
    }
    assert_eq!(counts(&tree, "mtty"), "mtty-1 22, mtty-2 11");
    assert_eq!(create(&tree, "mtty", "mtty-2", A), refused(Errno::EEXIST));
    assert_eq!(write(&tree, &folder, "remove", "1"), refused(Errno::ENOENT));
    // What the others do goes on, and counts it.
    assert_eq!(create(&tree, "mtty", "mtty-1", B), Ok(()));
    assert_eq!(counts(&tree, "mtty"), "mtty-1 21, mtty-2 10");

    tree.close_devices(4711);
    assert!(!tree.at(&folder).exists());
    assert_eq!(counts(&tree, "mtty"), "mtty-1 23, mtty-2 11");
    assert_eq!(create(&tree, "mtty", "mtty-2", A), Ok(()));
}

#[test]
fn a_process_that_dies_lets_go() {
    let tree = Tree::new();
    tree.mtty()
        .active("mtty", "mtty-2", A)
        .active("mtty", "mtty-2", B);
    tree.domain("vm", "a7b3d2a0-0000-4000-8000-000000000001", 4711)
        .open_device(4711, A);
    assert_eq!(remove(&tree, B), Ok(()), "only the open one waits");
    assert_eq!(remove(&tree, A), Err(WriteError::TimedOut));
    tree.kill(4711);
    assert_eq!(counts(&tree, "mtty"), "mtty-1 24, mtty-2 12");
    assert_eq!(tree.names("run/libvirt/qemu"), ["vm.pid", "vm.xml"]);
}

#[test]
fn a_patient_remove_ends_when_the_user_goes() {
    let tree = Tree::new();
    tree.mtty().active("mtty", "mtty-2", A);
    tree.process(4711, "qemu-system-x86", &["qemu"], 1)
        .open_device(4711, A);
    tree.kernel().configure(|config| config.patience_ms = 5000);
    thread::scope(|scope| {
        scope.spawn(|| {
            let hidden = || tree.names("sys/bus/mdev/devices").is_empty().then_some(());
            Deadline::after(Duration::from_secs(5))
                .poll(hidden)
                .expect("the remove began");
            tree.close_devices(4711);
        });
        assert_eq!(remove(&tree, A), Ok(()));
    });
    assert_eq!(counts(&tree, "mtty"), "mtty-1 24, mtty-2 12");
}
