//! On which NUMA nodes things are: the kernel's `Documentation/ABI/stable/sysfs-devices-node`.

use std::collections::BTreeSet;
use std::path::Path;

use super::files;
use super::root::Root;
use super::sysfs;
use crate::model::affinity::{Affinity, parse_list};
use crate::model::names::ParentName;

/// The nodes of the host.
const NODES: &str = "/sys/devices/system/node";

/// The node of a parent; none where it belongs to none (`-1`), or does not say.
#[must_use]
pub fn of_parent(root: &Root, parent: &ParentName) -> Option<u32> {
    files::read_short(&sysfs::parent_folder(root, parent).join("numa_node"))?
        .parse()
        .ok()
}

/// The nodes of a domain's memory, or else of the processors that it is pinned to.
#[must_use]
pub fn of_domain(root: &Root, affinity: &Affinity) -> BTreeSet<u32> {
    let cpus = match affinity {
        Affinity::Anywhere => return BTreeSet::new(),
        Affinity::Nodes(nodes) => return nodes.clone(),
        Affinity::Cpus(cpus) => cpus,
    };
    let names = files::names(&root.path(NODES)).unwrap_or_default();
    let nodes = names.iter().filter_map(|name| {
        let node: u32 = name.strip_prefix("node")?.parse().ok()?;
        let list = read(&root.path(NODES).join(name).join("cpulist"))?;
        parse_list(&list)?
            .iter()
            .any(|cpu| cpus.contains(cpu))
            .then_some(node)
    });
    nodes.collect()
}

fn read(path: &Path) -> Option<String> {
    let content = files::read_bounded(path, sysfs::PAGE).ok()??;
    Some(String::from_utf8_lossy(&content).trim().to_owned())
}
