//! The kernel, and what its drivers offer.

use std::fs;

use crate::host::kernel::Kernel;
use crate::host::root::Root;
use crate::host::types;
use crate::model::finding::{Area, Finding};

const AREA: Area = Area::Kernel;

/// More names are counted, not told.
const MOST_NAMES: usize = 4;

pub(super) fn look(root: &Root, kernel: &dyn Kernel) -> Vec<Finding> {
    let mut found = Vec::new();
    let parents = types::all(root, kernel);
    let moved = moved_off_mdev(root);
    if !parents.is_empty() {
        let types: usize = parents.iter().map(|parent| parent.types.len()).sum();
        let (parents, types) = (count(parents.len(), "parent"), count(types, "type"));
        let text = format!("mediated devices of {types} on {parents}");
        found.push(Finding::good(AREA, "parents", text));
    } else if moved.is_empty() {
        found.push(no_parents(root));
    }
    if !moved.is_empty() {
        found.push(Finding::problem(
            AREA,
            "nvidia-vfio",
            format!(
                "NVIDIA's driver has left mediated devices on {}: each function has a type of its own (nvidia/current_vgpu_type)",
                some(&moved)
            ),
            "give such a function to the domain as <hostdev type='pci'>, or install a driver and a kernel (before 6.8) that offer mediated devices",
        ));
    }
    if ["/dev/vfio/vfio", "/dev/iommu"]
        .iter()
        .all(|path| !root.path(path).exists())
    {
        let text = "there is neither /dev/vfio/vfio nor /dev/iommu: QEMU could not open a device";
        found.push(Finding::problem(AREA, "no-vfio", text, "modprobe vfio"));
    }
    found
}

fn no_parents(root: &Root) -> Finding {
    let drivers = "load the driver that offers them: nvidia and nvidia-vgpu-vfio (NVIDIA vGPU), kvmgt with i915.enable_gvt=1 (Intel GVT-g), vfio_ap or vfio_ccw (s390)";
    if root.path("/sys/bus/mdev").exists() {
        let text = "the kernel knows mediated devices, and no driver offers any";
        Finding::problem(AREA, "no-parents", text, drivers)
    } else {
        let text = "the kernel has no mediated devices: mdev is not loaded";
        Finding::problem(AREA, "no-mdev", text, drivers)
    }
}

/// The PCI functions of NVIDIA's whose driver sets their types itself.
fn moved_off_mdev(root: &Root) -> Vec<String> {
    let entries = fs::read_dir(root.path("/sys/bus/pci/devices"))
        .into_iter()
        .flatten()
        .flatten();
    let functions = entries.filter(|entry| {
        let folder = entry.path();
        folder.join("nvidia/current_vgpu_type").exists() && !folder.join("mdev_supported_types").exists()
    });
    let mut names: Vec<String> = functions
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// So many of them.
fn count(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}

/// The first of these names, and how many more there are.
fn some(names: &[String]) -> String {
    let (shown, more) = names.split_at(names.len().min(MOST_NAMES));
    let shown = shown.join(", ");
    if more.is_empty() {
        shown
    } else {
        format!("{shown} and {} more", more.len())
    }
}
