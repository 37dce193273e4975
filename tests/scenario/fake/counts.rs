//! What is left for whom.

use nix::errno::Errno;

use super::*;

#[test]
fn every_type_of_a_shared_budget_moves() {
    let tree = Tree::new();
    tree.mtty().mdpy().mbochs().gvtg();
    for (parent, type_name, before, after) in [
        ("mtty", "mtty-1", "mtty-1 24, mtty-2 12", "mtty-1 23, mtty-2 11"),
        ("mtty", "mtty-2", "mtty-1 23, mtty-2 11", "mtty-1 21, mtty-2 10"),
        (
            "mdpy",
            "mdpy-xga",
            "mdpy-hd 4, mdpy-vga 4, mdpy-xga 4",
            "mdpy-hd 3, mdpy-vga 3, mdpy-xga 3",
        ),
        (
            "mbochs",
            "mbochs-large",
            "mbochs-large 4, mbochs-medium 16, mbochs-small 64",
            "mbochs-large 3, mbochs-medium 12, mbochs-small 48",
        ),
        (
            "mbochs",
            "mbochs-small",
            "mbochs-large 3, mbochs-medium 12, mbochs-small 48",
            "mbochs-large 2, mbochs-medium 11, mbochs-small 47",
        ),
        (
            "0000:00:02.0",
            "i915-GVTg_V5_4",
            "i915-GVTg_V5_1 1, i915-GVTg_V5_2 2, i915-GVTg_V5_4 5, i915-GVTg_V5_8 7",
            "i915-GVTg_V5_1 1, i915-GVTg_V5_2 2, i915-GVTg_V5_4 4, i915-GVTg_V5_8 5",
        ),
    ] {
        assert_eq!(counts(&tree, parent), before);
        let uuid = numbered(u32::try_from(tree.names("sys/bus/mdev/devices").len()).expect("few"));
        assert_eq!(create(&tree, parent, type_name, &uuid), Ok(()));
        assert_eq!(counts(&tree, parent), after);
    }
    let first: Vec<_> = ["mtty", "mdpy", "mbochs", "0000:00:02.0"]
        .iter()
        .map(|parent| counts(&tree, parent))
        .collect();
    for uuid in tree.names("sys/bus/mdev/devices") {
        assert_eq!(remove(&tree, &uuid), Ok(()));
    }
    assert_ne!(first[0], counts(&tree, "mtty"));
    assert_eq!(counts(&tree, "mtty"), "mtty-1 24, mtty-2 12");
    assert_eq!(counts(&tree, "mdpy"), "mdpy-hd 4, mdpy-vga 4, mdpy-xga 4");
    assert_eq!(
        counts(&tree, "mbochs"),
        "mbochs-large 4, mbochs-medium 16, mbochs-small 64"
    );
}

#[test]
fn each_driver_has_its_own_word_for_full() {
    let tree = Tree::new();
    tree.mtty().mdpy_of(2).mbochs_of(64).gvtg().nvidia("0000:41:00.0");
    tree.subchannel("0.0.0052");
    for (parent, type_name, room, errno) in [
        ("mtty", "mtty-2", 12, Errno::ENOSPC),
        ("mdpy", "mdpy-vga", 2, Errno::EUSERS),
        ("mbochs", "mbochs-medium", 4, Errno::ENOSPC),
        ("0000:00:02.0", "i915-GVTg_V5_2", 2, Errno::ENOSPC),
        ("0000:41:00.0", "nvidia-231", 8, Errno::EINVAL),
        ("0.0.0052", "vfio_ccw-io", 1, Errno::EUSERS),
    ] {
        let mut made = 0;
        let refusal = loop {
            match create(&tree, parent, type_name, &numbered(made)) {
                Ok(()) => made += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((made, Err(refusal)), (room, refused(errno)), "{parent}");
        let full = tree.snapshot();
        assert_eq!(create(&tree, parent, type_name, A), refused(errno));
        full.assert_unchanged(&tree.snapshot());
        for number in 0..made {
            assert_eq!(remove(&tree, &numbered(number)), Ok(()));
        }
    }
}

#[test]
fn a_gpu_of_nvidia_holds_one_type_at_a_time() {
    let tree = Tree::new();
    tree.nvidia("0000:41:00.0").nvidia("0000:42:00.0");
    let idle = "nvidia-222 16, nvidia-230 16, nvidia-231 8";
    assert_eq!(counts(&tree, "0000:41:00.0"), idle);
    tree.active("0000:41:00.0", "nvidia-231", A);
    assert_eq!(
        counts(&tree, "0000:41:00.0"),
        "nvidia-222 0, nvidia-230 0, nvidia-231 7"
    );
    assert_eq!(counts(&tree, "0000:42:00.0"), idle);
    assert_eq!(
        create(&tree, "0000:41:00.0", "nvidia-230", B),
        refused(Errno::EINVAL)
    );
    assert_eq!(create(&tree, "0000:42:00.0", "nvidia-230", B), Ok(()));
    assert_eq!(remove(&tree, A), Ok(()));
    assert_eq!(counts(&tree, "0000:41:00.0"), idle);
}

#[test]
fn the_functions_of_a_gpu_share_its_one_type_and_its_room() {
    let tree = Tree::new();
    tree.nvidia_sriov("0000:43:00.0", 9);
    assert_eq!(tree.names("sys/class/mdev_bus").len(), 9);
    let (first, second, last) = ("0000:43:00.4", "0000:43:00.5", "0000:43:01.4");
    assert_eq!(counts(&tree, last), "nvidia-222 1, nvidia-230 1, nvidia-231 1");
    tree.active(first, "nvidia-231", A);
    assert_eq!(counts(&tree, first), "nvidia-222 0, nvidia-230 0, nvidia-231 0");
    assert_eq!(counts(&tree, second), "nvidia-222 0, nvidia-230 0, nvidia-231 1");
    assert_eq!(create(&tree, first, "nvidia-231", B), refused(Errno::EINVAL));
    assert_eq!(create(&tree, second, "nvidia-230", B), refused(Errno::EINVAL));
    for (number, function) in (0..).zip(&tree.names("sys/class/mdev_bus")[1..8]) {
        assert_eq!(create(&tree, function, "nvidia-231", &numbered(number)), Ok(()));
    }
    assert_eq!(counts(&tree, last), "nvidia-222 0, nvidia-230 0, nvidia-231 0");
    assert_eq!(create(&tree, last, "nvidia-231", B), refused(Errno::EINVAL));
    assert_eq!(remove(&tree, A), Ok(()));
    assert_eq!(create(&tree, last, "nvidia-231", B), Ok(()));
}
