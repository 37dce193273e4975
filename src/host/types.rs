//! What a host's parents can make, all of it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::clock::Deadline;
use super::kernel::Kernel;
use super::root::Root;
use super::sysfs;
use crate::model::names::{MdevUuid, ParentName, TypeName};
use crate::model::nodedev::{self, KnownParent};

/// A parent and its types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The kernel's name.
    pub name: ParentName,
    /// libvirt's name.
    pub libvirt_name: String,
    /// The device that holds its GPU: another one, where this is a virtual function.
    pub gpu: String,
    /// Its types, by their names.
    pub types: Vec<Type>,
}

/// A type as sysfs tells it (the kernel's `Documentation/ABI/testing/sysfs-bus-vfio-mdev`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    /// The name by which it is made.
    pub id: TypeName,
    /// The name for people; many drivers have none.
    pub name: Option<String>,
    /// What the driver says about it, on one line.
    pub description: Option<String>,
    /// How the guest sees the device: `vfio-pci`, say.
    pub device_api: Option<String>,
    /// How many more can be made, as the driver says.
    pub available: Option<u32>,
    /// The devices of it that are there.
    pub active: Vec<MdevUuid>,
}

/// For so long one parent's driver is asked.
const PATIENCE: Duration = Duration::from_secs(10);

/// All parents, by their names.
#[must_use]
pub fn all(root: &Root, kernel: &dyn Kernel) -> Vec<Parent> {
    sysfs::parents(root)
        .into_iter()
        .map(|name| Parent {
            libvirt_name: libvirt_name(root, &name),
            gpu: sysfs::gpu(root, &name),
            types: of_parent(root, kernel, &name),
            name,
        })
        .collect()
}

fn of_parent(root: &Root, kernel: &dyn Kernel, parent: &ParentName) -> Vec<Type> {
    // A driver that does not answer is asked no more.
    let deadline = Deadline::after(PATIENCE);
    let devices = sysfs::devices_of(root, parent);
    let offered = sysfs::offered(root, parent).into_iter();
    offered
        .map(|id| {
            let folder = sysfs::type_folder(root, parent, &id);
            let read = |name| read_text(kernel, &folder.join(name), deadline);
            Type {
                name: read("name"),
                description: read("description"),
                device_api: read("device_api"),
                available: read("available_instances").and_then(|count| count.parse().ok()),
                active: devices
                    .iter()
                    .filter(|(_, mdev_type)| mdev_type.as_ref() == Some(&id))
                    .map(|(uuid, _)| *uuid)
                    .collect(),
                id,
            }
        })
        .collect()
}

/// What a file says, on one line: some drivers describe a type over several.
fn read_text(kernel: &dyn Kernel, path: &Path, deadline: Deadline) -> Option<String> {
    let content = kernel.read(path, deadline).ok()?;
    let text = String::from_utf8_lossy(&content);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// libvirt's name of a parent.
#[must_use]
pub fn libvirt_name(root: &Root, parent: &ParentName) -> String {
    nodedev::libvirt_name(parent, subsystem(root, parent).as_deref())
}

/// All parents, as names can be told by them.
#[must_use]
pub fn known(root: &Root) -> Vec<KnownParent> {
    sysfs::parents(root)
        .into_iter()
        .map(|name| KnownParent {
            subsystem: subsystem(root, &name),
            name,
        })
        .collect()
}

fn subsystem(root: &Root, parent: &ParentName) -> Option<String> {
    let link = fs::read_link(sysfs::parent_folder(root, parent).join("subsystem")).ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}
