//! The folder of a device, the links to it and its node: how they come and how they go.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::super::files::{self, BOTH, READ, WRITE};
use super::config::Release;
use super::driver::Driver;
use super::pool::type_folder;

/// A device: a UUID below the real folder of a parent.
#[derive(Debug)]
pub(crate) struct Device<'a> {
    pub(crate) root: &'a Path,
    pub(crate) parent: &'a Path,
    pub(crate) uuid: &'a str,
}

/// Whether it is spelt as the kernel spells a device's name.
pub(crate) fn is_uuid(name: &str) -> bool {
    parse_guid(name.as_bytes()).as_deref() == Some(name)
}

/// The name that the kernel gives a device for what was written to `create` (`create_store`, `guid_parse`):
/// 36 bytes and at most one more, which may be anything.
pub(crate) fn parse_guid(value: &[u8]) -> Option<String> {
    let (36 | 37) = value.len() else {
        return None;
    };
    let text = std::str::from_utf8(&value[..36]).ok()?;
    let good = text.bytes().enumerate().all(|(place, byte)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    good.then(|| text.to_ascii_lowercase())
}

impl Device<'_> {
    pub(crate) fn folder(&self) -> PathBuf {
        self.parent.join(self.uuid)
    }

    /// Makes it, in the kernel's order: the device, its driver's part, the links between it and its type.
    pub(crate) fn make(&self, type_name: &str, node: NodeOption) -> io::Result<()> {
        let driver = Driver::of_type(type_name).expect("the type's driver is known");
        let folder = self.folder();
        fs::create_dir(&folder)?;
        let bus = self.root.join("sys/bus/mdev");
        files::put(&folder.join("uevent"), "", BOTH)?;
        files::put(&folder.join("remove"), "", WRITE)?;
        put_power(&folder)?;
        files::link(&folder.join("subsystem"), &bus)?;
        files::link(&bus.join("devices").join(self.uuid), &folder)?;

        let bound = bus.join("drivers").join(driver.name());
        files::link(&bound.join(self.uuid), &folder)?;
        files::link(&folder.join("driver"), &bound)?;
        files::put(
            &folder.join("uevent"),
            &format!("DRIVER={}\n", driver.name()),
            BOTH,
        )?;
        self.make_group(node)?;
        self.make_vfio_device()?;
        for (name, mode, content) in driver.attributes(type_name, self.uuid) {
            files::put(&folder.join(name), &content, mode)?;
        }

        let of_type = type_folder(self.parent, type_name);
        files::link(&of_type.join("devices").join(self.uuid), &folder)?;
        files::link(&folder.join("mdev_type"), &of_type)
    }

    /// The first half of a removal, up to where the kernel waits for the device's user: nobody finds it any
    /// more but under its parent.
    pub(crate) fn hide(&self, type_name: &str, release: Release) -> io::Result<()> {
        let folder = self.folder();
        let bus = self.root.join("sys/bus/mdev");
        files::unlink(&folder.join("remove"))?;
        files::unlink(&folder.join("mdev_type"))?;
        files::unlink(
            &type_folder(self.parent, type_name)
                .join("devices")
                .join(self.uuid),
        )?;
        files::put(&self.root.join("fake/removing").join(self.uuid), type_name, BOTH)?;
        self.bury(&folder.join("power"))?;
        files::unlink(&folder.join("uevent"))?;
        files::unlink(&folder.join("subsystem"))?;
        files::unlink(&bus.join("devices").join(self.uuid))?;
        files::unlink(&folder.join("driver"))?;
        if let Some(driver) = Driver::of_type(type_name) {
            files::unlink(&bus.join("drivers").join(driver.name()).join(self.uuid))?;
            for (name, ..) in driver.attributes(type_name, self.uuid) {
                let first = name.split('/').next().unwrap_or(name);
                self.bury(&folder.join(first))?;
            }
        }
        match release {
            Release::V6_1 => Ok(()),
            Release::V6_12 => self.bury_vfio_device(),
        }
    }

    /// The second half: what VFIO has of it, the node and the folder itself.
    pub(crate) fn finish(&self) -> io::Result<()> {
        let folder = self.folder();
        self.bury_vfio_device()?;
        if let Some(group) = self.group() {
            files::unlink(&self.root.join("dev/vfio").join(&group))?;
            self.bury(&self.root.join("sys/kernel/iommu_groups").join(&group))?;
        }
        self.bury(&folder)?;
        files::unlink(&self.root.join("fake/removing").join(self.uuid))
    }

    /// The number of its IOMMU group.
    pub(crate) fn group(&self) -> Option<String> {
        files::link_name(&self.folder().join("iommu_group"))
    }

    /// The names of its nodes, as a link to one of its open files reads.
    pub(crate) fn nodes(&self) -> Vec<String> {
        let group = self.group().map(|group| format!("/dev/vfio/{group}"));
        let devices = files::names(&self.folder().join("vfio-dev"));
        let devices = devices.iter().map(|name| format!("/dev/vfio/devices/{name}"));
        group.into_iter().chain(devices).collect()
    }

    fn make_group(&self, node: NodeOption) -> io::Result<()> {
        let groups = self.root.join("sys/kernel/iommu_groups");
        let number = lowest_free("", &files::names(&groups));
        let group = groups.join(&number);
        files::put(&group.join("name"), "vfio-noiommu\n", READ)?;
        files::put(&group.join("reserved_regions"), "", READ)?;
        files::put(&group.join("type"), "unknown\n", BOTH)?;
        files::link(&group.join("devices").join(self.uuid), &self.folder())?;
        files::link(&self.folder().join("iommu_group"), &group)?;
        match node {
            NodeOption::Made => files::put(&self.root.join("dev/vfio").join(number), "", 0o600),
            NodeOption::Left => Ok(()),
        }
    }

    fn make_vfio_device(&self) -> io::Result<()> {
        let class = self.root.join("sys/class/vfio-dev");
        let name = lowest_free("vfio", &files::names(&class));
        let folder = self.folder().join("vfio-dev").join(&name);
        files::put(&folder.join("uevent"), "", BOTH)?;
        put_power(&folder)?;
        symlink(Path::new("../../..").join(self.uuid), folder.join("device"))?;
        files::link(&folder.join("subsystem"), &class)?;
        files::link(&class.join(name), &folder)
    }

    fn bury_vfio_device(&self) -> io::Result<()> {
        let folder = self.folder().join("vfio-dev");
        for name in files::names(&folder) {
            files::unlink(&self.root.join("sys/class/vfio-dev").join(name))?;
        }
        self.bury(&folder)
    }

    /// Takes a folder out of the host, yet keeps it, so that its inode is not used again.
    fn bury(&self, folder: &Path) -> io::Result<()> {
        let graves = self.root.join("fake/graves");
        fs::create_dir_all(&graves)?;
        let number = files::names(&graves).len();
        match fs::rename(folder, graves.join(number.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// What becomes of the device's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeOption {
    /// It appears with the device.
    Made,
    /// It does not.
    Left,
}

/// `drivers/base/power/sysfs.c`, of a device without power management, as Debian configures the kernel.
pub(crate) fn put_power(folder: &Path) -> io::Result<()> {
    for (name, mode, content) in [
        ("async", BOTH, "disabled\n"),
        ("autosuspend_delay_ms", BOTH, ""),
        ("control", BOTH, "auto\n"),
        ("runtime_active_kids", READ, "0\n"),
        ("runtime_active_time", READ, "0\n"),
        ("runtime_enabled", READ, "disabled\n"),
        ("runtime_status", READ, "unsupported\n"),
        ("runtime_suspended_time", READ, "0\n"),
        ("runtime_usage", READ, "0\n"),
    ] {
        files::put(&folder.join("power").join(name), content, mode)?;
    }
    Ok(())
}

/// The first of `PREFIX0`, `PREFIX1`, … that is not among the names.
fn lowest_free(prefix: &str, names: &[String]) -> String {
    let used = u32::try_from(names.len()).expect("few names");
    (0..=used)
        .map(|number| format!("{prefix}{number}"))
        .find(|name| !names.contains(name))
        .expect("one of so many is free")
}
