//! On which NUMA nodes things are: the kernel's `Documentation/ABI/stable/sysfs-devices-node`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
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

/// To what this process is bound, and what it starts with it: by numactl(8), taskset(1) or a cgroup. The nodes of its
/// memory, or else its processors; nowhere where all are allowed.
#[must_use]
pub fn of_own_process(root: &Root) -> Affinity {
    let own = root.path("/proc/self");
    // proc(5): `ADDRESS POLICY …`, the policy being that of the process where its memory has no other.
    let maps = read_beginning(&own.join("numa_maps"));
    if let Some(nodes) = maps.as_deref().and_then(nodes_of_policy) {
        return Affinity::Nodes(nodes);
    }
    let status = read(&own.join("status")).unwrap_or_default();
    let narrower = |name: &str, all: &Path| fewer(&status, name, &read(&root.path(all))?);
    let nodes = narrower("Mems_allowed_list", &Path::new(NODES).join("has_memory"));
    let cpus = || narrower("Cpus_allowed_list", Path::new("/sys/devices/system/cpu/online"));
    match nodes {
        Some(nodes) => Affinity::Nodes(nodes),
        None => cpus().map_or(Affinity::Anywhere, Affinity::Cpus),
    }
}

/// `bind:0-1`, `prefer:1`, `bind=static:0`, as the kernel's `mpol_to_str` prints them; `default` and `local` name none.
fn nodes_of_policy(maps: &str) -> Option<BTreeSet<u32>> {
    let policy = maps.lines().next()?.split_ascii_whitespace().nth(1)?;
    let nodes = parse_list(policy.split_once(':')?.1)?;
    (!nodes.is_empty()).then_some(nodes)
}

/// What a list of `/proc/PID/status` allows of all that there are, where that is less.
fn fewer(status: &str, name: &str, all: &str) -> Option<BTreeSet<u32>> {
    let mut lines = status.lines();
    let allowed = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let all = parse_list(all)?;
    let allowed: BTreeSet<u32> = parse_list(allowed)?.intersection(&all).copied().collect();
    (allowed.len() < all.len() && !allowed.is_empty()).then_some(allowed)
}

/// The beginning of a file of the kernel's that may be long.
fn read_beginning(path: &Path) -> Option<String> {
    let mut beginning = Vec::new();
    let file = File::open(path).ok()?;
    file.take(sysfs::PAGE as u64).read_to_end(&mut beginning).ok()?;
    Some(String::from_utf8_lossy(&beginning).into_owned())
}

fn read(path: &Path) -> Option<String> {
    let content = files::read_bounded(path, sysfs::PAGE).ok()??;
    Some(String::from_utf8_lossy(&content).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_names_its_nodes() {
        for (maps, expected) in [
            (
                "55e0 bind:1 file=/usr/bin/automdev mapped=1\n55e1 default\n",
                Some(&[1][..]),
            ),
            ("55e0 prefer:0-1 heap\n", Some(&[0, 1])),
            ("55e0 interleave:0,2 heap\n", Some(&[0, 2])),
            ("55e0 bind=static:3 heap\n", Some(&[3])),
            ("55e0 default file=/usr/bin/automdev:1 mapped=1\n", None),
            ("55e0 local\n", None),
            ("55e0 bind:\n", None),
            ("", None),
        ] {
            let expected = expected.map(|nodes| nodes.iter().copied().collect());
            assert_eq!(nodes_of_policy(maps), expected, "{maps:?}");
        }
    }

    #[test]
    fn only_less_than_there_is_binds() {
        let status = "Cpus_allowed_list:\t4-7\nMems_allowed:\t00000003\nMems_allowed_list:\t0-255\n";
        for (name, all, expected) in [
            ("Mems_allowed_list", "0-1", None),
            ("Cpus_allowed_list", "0-15", Some(&[4, 5, 6, 7][..])),
            ("Cpus_allowed_list", "4-7", None),
            ("Cpus_allowed_list", "0-3", None),
            ("Cpus_allowed_list", "?", None),
            ("Other_allowed_list", "0-3", None),
        ] {
            let expected = expected.map(|numbers| numbers.iter().copied().collect());
            assert_eq!(fewer(status, name, all), expected, "{name} of {all}");
        }
    }
}
