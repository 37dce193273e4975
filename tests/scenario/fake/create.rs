//! Making a device.

use std::fs;
use std::os::unix::fs::MetadataExt;

use automdev::host::kernel::WriteError;
use nix::errno::Errno;

use super::*;

#[test]
fn a_device_is_found_from_everywhere_that_the_kernel_shows_it() {
    let tree = Tree::new();
    tree.mtty();
    assert_eq!(create(&tree, "mtty", "mtty-2", A), Ok(()));
    let folder = tree.at("sys/devices/virtual/mtty/mtty").join(A);
    for link in [
        format!("sys/bus/mdev/devices/{A}"),
        format!("sys/bus/mdev/drivers/mtty/{A}"),
        format!("sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/devices/{A}"),
        format!("sys/kernel/iommu_groups/0/devices/{A}"),
        "sys/class/vfio-dev/vfio0/device".to_owned(),
    ] {
        let found = fs::canonicalize(tree.at(&link)).expect(&link);
        assert_eq!(found, folder, "{link}");
    }
    let of_type = fs::read_link(folder.join("mdev_type")).expect("its type");
    assert_eq!(of_type.to_str(), Some("../mdev_supported_types/mtty-2"));
    let said = tree.read(format!("sys/bus/mdev/devices/{A}/vendor/sample_mdev_dev"));
    assert_eq!(said, Some(format!("This is MDEV {A}")));
    assert_eq!(tree.names("dev/vfio"), ["0", "vfio"]);
}

#[test]
fn a_value_that_is_no_uuid_is_refused() {
    let tree = Tree::new();
    tree.mtty();
    let before = tree.snapshot();
    for bad in [
        "\n",
        &A[1..],
        &A.replace('-', ""),
        &A.replace('c', "g"),
        &format!("{A}\n\n"),
        &format!(" {}", &A[1..]),
    ] {
        assert_eq!(
            create(&tree, "mtty", "mtty-1", bad),
            refused(Errno::EINVAL),
            "{bad:?}"
        );
    }
    before.assert_unchanged(&tree.snapshot());
    assert_eq!(
        create(&tree, "mtty", "mtty-1", &format!("{}\n", A.to_uppercase())),
        Ok(())
    );
    assert_eq!(tree.names("sys/bus/mdev/devices"), [A]);
}

#[test]
fn a_uuid_is_taken_once_on_all_parents_together() {
    let tree = Tree::new();
    tree.mtty().mdpy().active("mdpy", "mdpy-vga", A);
    let before = tree.snapshot();
    assert_eq!(create(&tree, "mtty", "mtty-1", A), refused(Errno::EEXIST));
    assert_eq!(create(&tree, "mdpy", "mdpy-hd", A), refused(Errno::EEXIST));
    before.assert_unchanged(&tree.snapshot());
}

#[test]
fn what_is_not_there_cannot_be_written_to() {
    let tree = Tree::new();
    tree.mtty().active("mtty", "mtty-1", A);
    let device = format!("sys/bus/mdev/devices/{A}");
    for (folder, file, errno) in [
        (
            "sys/class/mdev_bus/mdpy",
            "mdev_supported_types/mdpy-hd/create",
            Errno::ENOENT,
        ),
        (
            "sys/class/mdev_bus/mtty",
            "mdev_supported_types/mtty-3/create",
            Errno::ENOENT,
        ),
        (&device, "nvidia/vgpu_params", Errno::ENOENT),
        (&device, "power", Errno::EISDIR),
        (&device, "driver", Errno::ELOOP),
        (&device, "mdev_type/create", Errno::ENOTDIR),
        (&device, "vendor/sample_mdev_dev", Errno::EACCES),
    ] {
        assert_eq!(write(&tree, folder, file, "1"), refused(errno), "{folder}/{file}");
    }
}

#[test]
fn an_attribute_keeps_what_it_takes() {
    let tree = Tree::new();
    tree.mtty().nvidia("0000:41:00.0").matrix();
    tree.active("mtty", "mtty-1", A)
        .active("0000:41:00.0", "nvidia-230", B)
        .active("matrix", "vfio_ap-passthrough", &numbered(1));
    for (uuid, file, value, expected) in [
        (A, "power/control", "on", Ok("on\n")),
        (A, "power/control", "off", Err(Errno::EINVAL)),
        (A, "power/autosuspend_delay_ms", "100", Err(Errno::EIO)),
        (A, "uevent", "add\n", Ok("DRIVER=mtty\n")),
        (A, "uevent", "sit", Err(Errno::EINVAL)),
        (
            B,
            "nvidia/vgpu_params",
            "frame_rate_limiter=0",
            Err(Errno::EINVAL),
        ),
        (
            B,
            "nvidia/vgpu_params",
            "frame_rate_limiter=0\n",
            Ok("frame_rate_limiter=0\n"),
        ),
        (&numbered(1), "assign_adapter", "0x05", Ok("0x05")),
        (&numbered(1), "assign_adapter", "five", Err(Errno::EINVAL)),
    ] {
        let device = format!("sys/bus/mdev/devices/{uuid}");
        let written = write(&tree, &device, file, value);
        match expected {
            Err(errno) => assert_eq!(written, refused(errno), "{file} {value:?}"),
            Ok(content) => {
                assert_eq!(written, Ok(()), "{file} {value:?}");
                let path = tree.at(format!("{device}/{file}"));
                assert_eq!(fs::read_to_string(path).expect(file), content, "{file} {value:?}");
            }
        }
    }
}

#[test]
fn a_write_meant_for_one_folder_does_not_reach_the_next_of_its_name() {
    let tree = Tree::new();
    tree.mtty().active("mtty", "mtty-1", A);
    let device = format!("sys/bus/mdev/devices/{A}");
    let inode = || fs::metadata(tree.at(&device)).expect("the device").ino();
    let first = inode();
    assert_eq!(
        write_to(&tree, &device, "power/control", Some(first), "on"),
        Ok(())
    );
    assert_eq!(remove(&tree, A), Ok(()));
    tree.active("mtty", "mtty-1", A);
    assert_ne!(inode(), first);
    assert_eq!(
        tree.group(A).as_deref(),
        Some("0"),
        "the group's number is used again"
    );
    assert_eq!(
        write_to(&tree, &device, "remove", Some(first), "1"),
        Err(WriteError::Replaced)
    );
    assert_eq!(write_to(&tree, &device, "remove", Some(inode()), "1"), Ok(()));
}

#[test]
fn the_lowest_free_group_is_given() {
    let tree = Tree::new();
    tree.mtty();
    for number in 0..3 {
        tree.active("mtty", "mtty-1", &numbered(number));
    }
    assert_eq!(remove(&tree, &numbered(1)), Ok(()));
    tree.active("mtty", "mtty-1", A);
    assert_eq!(tree.group(A).as_deref(), Some("1"));
    assert_eq!(tree.names("sys/class/vfio-dev"), ["vfio0", "vfio1", "vfio2"]);
}

#[test]
fn a_device_may_come_without_its_node() {
    let tree = Tree::new();
    tree.mtty();
    tree.kernel().configure(|config| config.nodes = false);
    tree.active("mtty", "mtty-1", A);
    assert_eq!(tree.names("dev/vfio"), ["vfio"]);
}

#[test]
fn a_driver_may_sit_on_a_create() {
    let tree = Tree::new();
    tree.mtty();
    let kernel = tree.kernel();
    kernel.configure(|config| config.blocked.push("mtty-1/create".to_owned()));
    assert_eq!(create(&tree, "mtty", "mtty-1", A), Err(WriteError::TimedOut));
    assert_eq!(tree.names("sys/bus/mdev/devices"), [""; 0]);
    assert_eq!(create(&tree, "mtty", "mtty-2", A), refused(Errno::EEXIST));
    kernel.unblock();
    assert_eq!(tree.names("sys/bus/mdev/devices"), [A]);
    assert_eq!(counts(&tree, "mtty"), "mtty-1 23, mtty-2 11");
}
