//! What the devices of a parent share: how much there is, how much is left for a device of each type.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::files;
use super::device::is_uuid;
use super::driver::Driver;

/// A budget and the parents that share it.
#[derive(Debug)]
pub(crate) struct Pool {
    driver: Driver,
    /// The physical GPU's VFs, or the one parent.
    parents: Vec<PathBuf>,
    /// The whole budget in units of the driver, where it is one number.
    total: u32,
}

/// A device that takes from a budget, whether it is there for all to see or half removed.
#[derive(Debug)]
struct Taker {
    parent: PathBuf,
    type_name: String,
}

impl Pool {
    /// The budget that `parent` (its real folder) takes part in, as the tree shows it right now.
    pub(crate) fn read(root: &Path, parent: &Path) -> Option<Pool> {
        let types = types(parent);
        let driver = Driver::of_type(types.first()?)?;
        let parents = match physical(parent) {
            Some(gpu) => virtual_functions(root, &gpu),
            None => vec![parent.to_owned()],
        };
        let cheapest = types.iter().min_by_key(|name| driver.cost(name))?;
        let left = shown(parent, cheapest) * driver.cost(cheapest);
        let pool = Pool {
            driver,
            parents,
            total: 0,
        };
        let total = left + pool.used(root);
        Some(Pool { total, ..pool })
    }

    /// How many devices of this type could still be made at this parent.
    pub(crate) fn left(&self, root: &Path, parent: &Path, type_name: &str) -> u32 {
        let takers = self.takers(root);
        match self.driver {
            Driver::Gvtg => gvtg_left(&takers, type_name),
            Driver::Nvidia => nvidia_left(&takers, parent, type_name),
            driver => self.total.saturating_sub(self.used(root)) / driver.cost(type_name),
        }
    }

    /// Moves `available_instances` of every type that takes from this budget.
    pub(crate) fn publish(&self, root: &Path) {
        for parent in &self.parents {
            for type_name in types(parent) {
                let left = self.left(root, parent, &type_name);
                if shown(parent, &type_name) != left {
                    let path = type_folder(parent, &type_name).join("available_instances");
                    files::put(&path, &format!("{left}\n"), files::READ).expect("a count");
                }
            }
        }
    }

    fn used(&self, root: &Path) -> u32 {
        let takers = self.takers(root);
        takers
            .iter()
            .map(|taker| self.driver.cost(&taker.type_name))
            .sum()
    }

    fn takers(&self, root: &Path) -> Vec<Taker> {
        let mut takers = Vec::new();
        for parent in &self.parents {
            for name in files::names(parent).iter().filter(|name| is_uuid(name)) {
                let type_name = files::link_name(&parent.join(name).join("mdev_type"))
                    .or_else(|| files::text(&root.join("fake/removing").join(name)));
                takers.extend(type_name.map(|type_name| Taker {
                    parent: parent.clone(),
                    type_name,
                }));
            }
        }
        takers
    }
}

/// On NVIDIA's GPUs all devices are of one type, and a VF holds one device.
fn nvidia_left(takers: &[Taker], parent: &Path, type_name: &str) -> u32 {
    if takers.iter().any(|taker| taker.type_name != type_name) {
        return 0;
    }
    let used = u32::try_from(takers.len()).expect("few devices");
    let left = most_of_type(parent, type_name, used).saturating_sub(used);
    match physical(parent) {
        Some(_) if takers.iter().any(|taker| taker.parent == parent) => 0,
        Some(_) => left.min(1),
        None => left,
    }
}
/// NVIDIA's descriptions end in `max_instance=24`.
fn most_of_type(parent: &Path, type_name: &str, used: u32) -> u32 {
    let description = files::text(&type_folder(parent, type_name).join("description"));
    let told = description.as_deref().and_then(|text| {
        let (_, most) = text.split_once("max_instance=")?;
        most.parse().ok()
    });
    told.unwrap_or_else(|| shown(parent, type_name) + used)
}

/// `drivers/gpu/drm/i915/gvt/vgpu.c` on a GPU with an aperture of 1 GB: low memory, high memory, fences.
fn gvtg_left(takers: &[Taker], type_name: &str) -> u32 {
    const ALL: [u32; 3] = [1024 - 96, 3072 - 384, 32 - 4];
    let size = |type_name: &str| match type_name.rsplit('_').next() {
        Some("1") => [512, 2048, 4],
        Some("2") => [256, 1024, 4],
        Some("4") => [128, 512, 4],
        _ => [64, 384, 4],
    };
    let wanted = size(type_name);
    let left = (0..3).map(|which| {
        let used: u32 = takers.iter().map(|taker| size(&taker.type_name)[which]).sum();
        ALL[which].saturating_sub(used) / wanted[which]
    });
    left.min().expect("three numbers")
}

/// The names of the types that a parent offers.
pub(crate) fn types(parent: &Path) -> Vec<String> {
    files::names(&parent.join("mdev_supported_types"))
}

pub(crate) fn type_folder(parent: &Path, type_name: &str) -> PathBuf {
    parent.join("mdev_supported_types").join(type_name)
}

fn shown(parent: &Path, type_name: &str) -> u32 {
    let count = files::text(&type_folder(parent, type_name).join("available_instances"));
    count.map_or(0, |count| count.parse().expect("a count is a number"))
}

/// The GPU that a parent is a virtual function of.
fn physical(parent: &Path) -> Option<PathBuf> {
    fs::canonicalize(parent.join("physfn")).ok()
}

fn virtual_functions(root: &Path, gpu: &Path) -> Vec<PathBuf> {
    let class = root.join("sys/class/mdev_bus");
    files::names(&class)
        .iter()
        .filter_map(|name| fs::canonicalize(class.join(name)).ok())
        .filter(|parent| physical(parent).as_deref() == Some(gpu))
        .collect()
}
