//! The host's files: sysfs, the definitions, the ledger.

#![allow(
    clippy::unused_self,
    reason = "what is done to a host needs one that has been set up"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::domain::{IDLE_FIRMWARE, boot_sector, idle_firmware};
use super::eventually;
use super::libvirt;

/// A definition in mdevctl's form.
pub(crate) struct Definition<'a> {
    pub(crate) parent: &'a str,
    pub(crate) mdev_type: &'a str,
    pub(crate) attributes: &'a [(&'a str, &'a str)],
}

impl<'a> Definition<'a> {
    pub(crate) fn new(parent: &'a str, mdev_type: &'a str) -> Self {
        Definition {
            parent,
            mdev_type,
            attributes: &[],
        }
    }

    /// The file's text.
    pub(crate) fn json(&self) -> String {
        let attributes: Vec<serde_json::Value> = self
            .attributes
            .iter()
            .map(|(name, value)| serde_json::json!({ *name: value }))
            .collect();
        let json = serde_json::json!({
            "mdev_type": self.mdev_type, "start": "manual", "attrs": attributes
        });
        json.to_string()
    }
}

/// A host with nothing of an earlier test on it.
pub(crate) struct Host {
    /// What all types of all parents had left at the beginning.
    before: BTreeMap<String, String>,
}

impl Host {
    /// Takes away what an earlier test left, and puts the hook in place as a link in `qemu.d`. libvirtd runs.
    pub(crate) fn new() -> Self {
        let host = Self::without_libvirt();
        host.install_hook("qemu.d/50-automdev", Install::Link);
        libvirt::start();
        host
    }

    /// Takes away what an earlier test left, the hook too. libvirtd runs.
    pub(crate) fn without_hook() -> Self {
        let host = Self::without_libvirt();
        libvirt::start();
        host
    }

    /// Takes away what an earlier test left, the hook too. libvirtd does not run: it watches devices and definitions,
    /// and calls mdevctl for each change of them, which takes longer than most tests.
    pub(crate) fn without_libvirt() -> Self {
        libvirt::stop();
        libvirt::forget_domains();
        // What mdevctl's package put there stays: mdevctl, and with it libvirt, complains without it.
        for name in names("/etc/mdevctl.d") {
            if name != "scripts.d" {
                fs::remove_dir_all(Path::new("/etc/mdevctl.d").join(name)).expect("removed");
            }
        }
        for folder in ["/run/automdev", "/etc/libvirt/hooks", "/etc/automdev"] {
            remove_all(Path::new(folder));
        }
        for folder in ["/etc/mdevctl.d", "/etc/libvirt/hooks/qemu.d"] {
            fs::create_dir_all(folder).expect("a folder");
        }
        for uuid in active() {
            fs::write(format!("/sys/bus/mdev/devices/{uuid}/remove"), "1").expect("removed");
        }
        fs::write("/var/lib/libvirt/images/shutdown.img", boot_sector()).expect("an image");
        fs::write(IDLE_FIRMWARE, idle_firmware()).expect("a firmware");
        Host { before: counts() }
    }

    pub(crate) fn install_hook(&self, name: &str, how: Install) {
        let path = Path::new("/etc/libvirt/hooks").join(name);
        match how {
            Install::Link => std::os::unix::fs::symlink("/usr/bin/automdev", &path).expect("a link"),
            Install::Copy => drop(fs::copy("/usr/bin/automdev", &path).expect("a copy")),
        }
        libvirt::reload();
    }

    pub(crate) fn uninstall_hook(&self, name: &str) {
        fs::remove_file(Path::new("/etc/libvirt/hooks").join(name)).expect("a hook");
        libvirt::reload();
    }

    /// Writes an executable script beside the hook.
    pub(crate) fn script(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = Path::new("/etc/libvirt/hooks/qemu.d").join(name);
        fs::write(&path, text).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
        libvirt::reload();
    }

    /// Puts settings in place.
    pub(crate) fn settings(&self, text: &str) {
        fs::create_dir_all("/etc/automdev").expect("a folder");
        fs::write("/etc/automdev/automdev.toml", text).expect("settings");
    }

    /// Describes a pool.
    pub(crate) fn pool(&self, name: &str, text: &str) {
        fs::create_dir_all("/etc/automdev/pools.d").expect("a folder");
        fs::write(format!("/etc/automdev/pools.d/{name}.toml"), text).expect("a pool");
    }

    pub(crate) fn define(&self, uuid: &str, definition: &Definition<'_>) {
        self.define_raw(definition.parent, uuid, &definition.json());
    }

    pub(crate) fn define_raw(&self, parent: &str, uuid: &str, text: &str) {
        let folder = Path::new("/etc/mdevctl.d").join(parent);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(uuid), text).expect("a definition");
    }

    /// Makes a device by hand, as if automdev were not there.
    pub(crate) fn create_by_hand(&self, parent: &str, mdev_type: &str, uuid: &str) {
        self.try_by_hand(parent, mdev_type, uuid).expect("created");
    }

    /// The same, with the kernel's answer.
    pub(crate) fn try_by_hand(&self, parent: &str, mdev_type: &str, uuid: &str) -> io::Result<()> {
        let file = format!("/sys/class/mdev_bus/{parent}/mdev_supported_types/{mdev_type}/create");
        fs::write(file, uuid)
    }

    pub(crate) fn remove_by_hand(&self, uuid: &str) {
        fs::write(format!("/sys/bus/mdev/devices/{uuid}/remove"), "1").expect("removed");
    }

    /// The device is there, as that.
    pub(crate) fn assert_device(&self, uuid: &str, parent: &str, mdev_type: &str) {
        let folder = device(parent, uuid);
        assert!(folder.is_dir(), "{} is not there", folder.display());
        let link = fs::read_link(folder.join("mdev_type")).expect("a type");
        assert_eq!(link.file_name().and_then(|name| name.to_str()), Some(mdev_type));
    }

    /// The device is not there, and not on its way out either.
    pub(crate) fn assert_no_device(&self, uuid: &str) {
        for parent in ["mtty", "mdpy", "mbochs"] {
            assert!(!device(parent, uuid).exists(), "{uuid} is there, on {parent}");
        }
        assert!(!active().contains(&uuid.to_owned()), "{uuid} is active");
    }

    /// Everything is as it was at the beginning: no device, no record, no claim, all instances given back.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(active(), Vec::<String>::new(), "devices are left");
        assert_eq!(counts(), self.before, "instances are missing");
        assert_eq!(ledger(), Vec::<String>::new(), "something is left in the ledger");
    }
}

/// How the hook is put in place.
#[derive(Clone, Copy)]
pub(crate) enum Install {
    Link,
    Copy,
}

fn remove_all(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path).expect("removed");
        } else {
            fs::remove_file(&path).expect("removed");
        }
    }
}

/// The folder of a device, there until the very end of its removal.
pub(crate) fn device(parent: &str, uuid: &str) -> PathBuf {
    Path::new("/sys/class/mdev_bus").join(parent).join(uuid)
}

/// The inode of a device's folder.
pub(crate) fn inode(parent: &str, uuid: &str) -> u64 {
    fs::metadata(device(parent, uuid)).expect("a device").ino()
}

fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

/// All active devices.
pub(crate) fn active() -> Vec<String> {
    names("/sys/bus/mdev/devices")
}

/// What all types of all parents have left.
pub(crate) fn counts() -> BTreeMap<String, String> {
    let mut counts = BTreeMap::new();
    for parent in ["mtty", "mdpy", "mbochs"] {
        let folder = Path::new("/sys/class/mdev_bus")
            .join(parent)
            .join("mdev_supported_types");
        for name in names(&folder) {
            let count = fs::read_to_string(folder.join(&name).join("available_instances")).expect("a count");
            counts.insert(name, count.trim().to_owned());
        }
    }
    counts
}

/// The devices of a type.
pub(crate) fn of_type(parent: &str, mdev_type: &str) -> Vec<String> {
    let types = Path::new("/sys/class/mdev_bus")
        .join(parent)
        .join("mdev_supported_types");
    names(types.join(mdev_type).join("devices"))
}

/// The records and claims that there are, and the notes of what has made way.
pub(crate) fn ledger() -> Vec<String> {
    let mut found = Vec::new();
    for kind in ["devices", "claims", "claimants", "swaps"] {
        found.extend(
            names(Path::new("/run/automdev").join(kind))
                .iter()
                .map(|name| format!("{kind}/{name}")),
        );
    }
    found
}

/// Whether one of these is a file that somebody was writing, or a folder for claims in which there is none.
pub(crate) fn is_half_written(entry: &str) -> bool {
    let is_hidden = |name: &String| name.starts_with('.');
    let path = Path::new("/run/automdev").join(entry);
    entry.contains("/.") || entry.starts_with("claims/") && names(path).iter().all(is_hidden)
}

/// The number of a domain's QEMU.
pub(crate) fn qemu_pid(name: &str) -> u32 {
    let pid = fs::read_to_string(format!("/run/libvirt/qemu/{name}.pid")).expect("it runs");
    pid.trim().parse().expect("a number")
}

/// Whether a process has the node of a device's group open.
pub(crate) fn holds_open(pid: u32, parent: &str, uuid: &str) -> bool {
    let group = fs::read_link(device(parent, uuid).join("iommu_group")).expect("a group");
    let node = Path::new("/dev/vfio").join(group.file_name().expect("a number"));
    let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("a process");
    files
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .any(|file| file == node)
}

/// Waits until a domain has stopped and its hook has been called.
pub(crate) fn wait_until_stopped(name: &str) {
    eventually("the domain has stopped", || {
        !libvirt::try_virsh(&["list", "--name"])
            .lines()
            .any(|line| line == name)
    });
}
