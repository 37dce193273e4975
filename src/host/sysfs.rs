//! What the kernel says about mediated devices: its `Documentation/driver-api/vfio-mediated-device.rst`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::clock::Deadline;
use super::files;
use super::kernel::{Kernel, Lines, ReadError};
use super::root::Root;
use crate::model::inventory::{Active, Offer, ParentState};
use crate::model::names::{MdevUuid, ParentName, TypeName};

/// A file of sysfs holds at most one page.
pub const PAGE: usize = 4096;

/// The folders of parents, below which their devices are.
pub const PARENTS: &str = "/sys/class/mdev_bus";

/// The links to all active devices.
pub const DEVICES: &str = "/sys/bus/mdev/devices";

/// The folder of a parent.
#[must_use]
pub fn parent_folder(root: &Root, parent: &ParentName) -> PathBuf {
    let mut folder = root.path(PARENTS);
    folder.push(parent.as_str());
    folder
}

/// The folder of an active device, by way of the bus.
#[must_use]
pub fn device_folder(root: &Root, uuid: MdevUuid) -> PathBuf {
    let mut folder = root.path(DEVICES);
    folder.push(uuid.to_string());
    folder
}

/// Reads a file's one line, without its end.
fn read_line(path: &Path) -> io::Result<Option<String>> {
    let content = files::read_bounded(path, PAGE)?;
    Ok(content.map(|content| String::from_utf8_lossy(&content).trim_end().to_owned()))
}

/// The device, where it is active: not where it goes away while it is looked at.
///
/// # Errors
/// It is, but what sysfs says about it cannot be read or understood.
pub fn active(root: &Root, uuid: MdevUuid) -> io::Result<Option<Active>> {
    match look_at(&device_folder(root, uuid)) {
        Err(error) if is_gone(&error) => Ok(None),
        looked => looked.map(Some),
    }
}

fn is_gone(error: &io::Error) -> bool {
    files::is_absent(error) || error.raw_os_error() == Some(Errno::ENODEV as i32)
}

fn look_at(link: &Path) -> io::Result<Active> {
    // `bus_add_device` of the kernel's `drivers/base/bus.c`: no other link is on the way.
    let target = fs::read_link(link)?;
    let folder = link.parent().unwrap_or(link).join(target);
    let inode = fs::metadata(&folder)?.ino();
    let parent = folder
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    let type_link = fs::read_link(folder.join("mdev_type"))?;
    let mdev_type = type_link.file_name().and_then(|name| name.to_str());
    let device_api = read_line(&folder.join("mdev_type/device_api"))?;
    Ok(Active {
        parent: parent.unwrap_or_default().parse().map_err(io::Error::other)?,
        mdev_type: mdev_type.unwrap_or_default().parse().map_err(io::Error::other)?,
        device_api: device_api.unwrap_or_default(),
        inode,
    })
}

/// The inode of a device's folder below its parent, where there is one. This is the last thing of a device to
/// go: while its user has it open, it is there and [`active`] no longer sees it.
#[must_use]
pub fn inode_below(root: &Root, parent: &ParentName, uuid: MdevUuid) -> Option<u64> {
    look_below(root, parent, uuid).ok().flatten()
}

/// The same, where it makes a difference whether it cannot be told.
///
/// # Errors
/// It cannot be told.
pub fn look_below(root: &Root, parent: &ParentName, uuid: MdevUuid) -> io::Result<Option<u64>> {
    let folder = parent_folder(root, parent).join(uuid.to_string());
    match fs::symlink_metadata(folder) {
        Ok(found) => Ok(found.is_dir().then(|| found.ino())),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the host has a parent.
#[must_use]
pub fn parent_state(root: &Root, parent: &ParentName) -> ParentState {
    if parent_folder(root, parent).join("mdev_supported_types").is_dir() {
        return ParentState::There;
    }
    let buses = ["pci", "css", "ap", "matrix", "platform"];
    let device = buses
        .iter()
        .map(|bus| {
            root.path("/sys/bus")
                .join(bus)
                .join("devices")
                .join(parent.as_str())
        })
        .find(|device| device.exists());
    match device {
        Some(device) if device.join("nvidia/current_vgpu_type").exists() => ParentState::NvidiaVfio,
        Some(_) => ParentState::NotMdev,
        None if parent_folder(root, parent).exists() => ParentState::NotMdev,
        None => ParentState::Absent,
    }
}

/// The names of all parents, sorted.
#[must_use]
pub fn parents(root: &Root) -> Vec<ParentName> {
    let mut parents: Vec<ParentName> = Vec::new();
    files::each_name(&root.path(PARENTS), |name| parents.extend(name.parse().ok()));
    parents.sort_unstable();
    parents
}

fn types_folder(root: &Root, parent: &ParentName) -> PathBuf {
    let mut folder = parent_folder(root, parent);
    folder.push("mdev_supported_types");
    folder
}

/// The folder of a type that a parent offers.
#[must_use]
pub fn type_folder(root: &Root, parent: &ParentName, mdev_type: &TypeName) -> PathBuf {
    types_folder(root, parent).join(mdev_type.as_str())
}

/// How the guest sees devices of a type; none where sysfs does not say. It is read as it is: no driver is asked for it,
/// the mdev core answers (`device_api_show` of `drivers/vfio/mdev/mdev_sysfs.c`, before Linux 6.1 a constant).
#[must_use]
pub fn device_api(root: &Root, parent: &ParentName, mdev_type: &TypeName) -> Option<String> {
    files::read_short(&type_folder(root, parent, mdev_type).join("device_api"))
}

/// Why a driver has not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// The driver did not answer in time.
    Silent,
    /// It was not asked: no time was left.
    NotAsked,
}

/// What a driver answers, on one line and without its end; none where it does not say.
///
/// # Errors
/// It does not answer in time.
pub fn ask(kernel: &dyn Kernel, file: &Path, deadline: Deadline) -> Result<Option<String>, Unanswered> {
    match kernel.read(file, deadline) {
        Ok(content) => Ok(Some(String::from_utf8_lossy(&content).trim_end().to_owned())),
        Err(ReadError::TimedOut) => Err(Unanswered::Silent),
        Err(ReadError::NoTime) => Err(Unanswered::NotAsked),
        Err(ReadError::Refused(_) | ReadError::NotTried(_)) => Ok(None),
    }
}

/// One type that a parent offers.
///
/// # Errors
/// The driver does not answer in time.
pub fn offer(
    root: &Root,
    kernel: &dyn Kernel,
    (parent, mdev_type): (&ParentName, &TypeName),
    deadline: Deadline,
) -> Result<Option<Offer>, Unanswered> {
    let folder = type_folder(root, parent, mdev_type);
    let device_api = device_api(root, parent, mdev_type);
    if device_api.is_none() && !folder.is_dir() {
        return Ok(None);
    }
    let most = if mdev_type.as_str().starts_with("nvidia-") {
        ask(kernel, &folder.join("description"), deadline)?.and_then(|text| parse_most(&text))
    } else {
        None
    };
    Ok(Some(Offer {
        device_api: device_api.unwrap_or_default(),
        most,
    }))
}

/// How many more of some types each of these parents can make; none of one that it does not offer. A count that cannot
/// be read is 0: it is a hint. A parent has that much time, and none is asked after the deadline; one whose driver does not
/// answer in time is the last that is told of, with nothing ([`Kernel::read_lines`]).
pub fn available(
    root: &Root,
    kernel: &dyn Kernel,
    asked: &[(&ParentName, &[&TypeName])],
    each: Duration,
    deadline: Deadline,
) -> Vec<Option<Vec<Option<u32>>>> {
    let folders: Vec<Lines> = asked
        .iter()
        .map(|(parent, types)| Lines {
            folder: types_folder(root, parent),
            names: types.iter().map(|mdev_type| mdev_type.as_str()).collect(),
            file: "available_instances",
        })
        .collect();
    let answers = kernel.read_lines(&folders, each, deadline);
    let answers = answers.into_iter().zip(asked).zip(&folders);
    answers
        .map(|((answer, (_, types)), Lines { folder, .. })| {
            let counts = match answer {
                Ok(counts) => counts,
                Err(ReadError::TimedOut | ReadError::NoTime) => return None,
                Err(ReadError::Refused(errno) | ReadError::NotTried(errno)) => vec![Err(errno); types.len()],
            };
            let counts = counts.into_iter().zip(*types);
            let counts = counts.map(|(count, mdev_type)| match count {
                Ok(count) => Some(parse_count(count.as_bytes())),
                Err(_) => folder.join(mdev_type.as_str()).is_dir().then_some(0),
            });
            Some(counts.collect())
        })
        .collect()
}

fn parse_count(line: &[u8]) -> u32 {
    let count = std::str::from_utf8(line).ok();
    count
        .and_then(|count| count.trim_end().parse().ok())
        .unwrap_or_default()
}

/// Whether a parent offers a type, and all of its files are there: the kernel makes the folder of its devices last
/// (`mdev_type_add`).
#[must_use]
pub fn is_registered(root: &Root, parent: &ParentName, mdev_type: &TypeName) -> bool {
    type_folder(root, parent, mdev_type).join("devices").is_dir()
}

/// NVIDIA's descriptions: `num_heads=4, frl_config=60, framebuffer=1024M, max_resolution=…, max_instance=16`.
fn parse_most(description: &str) -> Option<u32> {
    let (_, most) = description.split_once("max_instance=")?;
    let end = most.find(|character: char| !character.is_ascii_digit());
    most[..end.unwrap_or(most.len())].parse().ok()
}

/// The names of all types that a parent offers.
#[must_use]
pub fn offered(root: &Root, parent: &ParentName) -> Vec<TypeName> {
    parse_all(&files::names(&types_folder(root, parent)).unwrap_or_default())
}

/// How many devices a parent has, those on their way out too.
#[must_use]
pub fn count_devices(root: &Root, parent: &ParentName) -> u32 {
    let mut count = 0;
    files::each_name(&parent_folder(root, parent), |name| {
        // As the kernel prints a UUID, which is no other file's name.
        let is_uuid = name.len() == 36 && name.parse::<MdevUuid>().is_ok();
        count += u32::from(is_uuid);
    });
    count
}

/// The devices of a parent, those on their way out too, with their types as far as they can be read.
#[must_use]
pub fn devices_of(root: &Root, parent: &ParentName) -> Vec<(MdevUuid, Option<TypeName>)> {
    let folder = parent_folder(root, parent);
    let uuids: Vec<MdevUuid> = parse_all(&files::names(&folder).unwrap_or_default());
    uuids
        .into_iter()
        .map(|uuid| {
            let link = fs::read_link(folder.join(uuid.to_string()).join("mdev_type")).ok();
            let name = link
                .as_deref()
                .and_then(Path::file_name)
                .and_then(|name| name.to_str());
            (uuid, name.and_then(|name| name.parse().ok()))
        })
        .collect()
}

/// The device that holds a parent's GPU: its physical function, where it is a virtual one.
#[must_use]
pub fn gpu(root: &Root, parent: &ParentName) -> String {
    let mut link = parent_folder(root, parent);
    link.push("physfn");
    let link = fs::read_link(link).ok();
    let name = link
        .as_deref()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    name.unwrap_or(parent.as_str()).to_owned()
}

/// The nodes that a guest's program opens to use an active device: of its IOMMU group, or of the device
/// itself.
#[must_use]
pub fn nodes(root: &Root, uuid: MdevUuid) -> Vec<PathBuf> {
    let folder = device_folder(root, uuid);
    let mut nodes = Vec::new();
    if let Ok(group) = fs::read_link(folder.join("iommu_group")) {
        nodes.extend(
            group
                .file_name()
                .map(|number| Path::new("/dev/vfio").join(number)),
        );
    }
    let own = folder.join("vfio-dev");
    let names = files::names(&own).unwrap_or_default();
    // Without CONFIG_VFIO_DEVICE_CDEV it has no number, and no node ever comes.
    let with_node = names.iter().filter(|name| own.join(name).join("dev").exists());
    nodes.extend(with_node.map(|name| Path::new("/dev/vfio/devices").join(name)));
    nodes
}

fn parse_all<T: std::str::FromStr>(names: &[String]) -> Vec<T> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}
