//! Looks at sysfs and the ledger while others are at work, and tells what can never be. What comes and goes between two
//! of its looks is no fault: it says so only of what was there, or not, throughout.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::cast::{self, Device};
use super::stage::{Stage, There, there};
use crate::support::files;

/// All that is wrong at this moment.
pub(super) fn look(stage: &Stage) -> Vec<String> {
    let mut faults = Vec::new();
    kept(stage, &mut faults);
    for device in cast::all() {
        known(stage, device, &mut faults);
    }
    counted(&mut faults);
    faults
}

/// What was made by hand stays until its maker removes it, and what a claimant holds while it lives.
fn kept(stage: &Stage, faults: &mut Vec<String>) {
    let (hands, held) = {
        let known = stage.known();
        (known.hands.clone(), known.held.clone())
    };
    for (uuid, made) in hands {
        let found = there(uuid);
        if found != Some(made) && stage.known().hands.get(uuid) == Some(&made) {
            faults.push(format!(
                "{uuid} was made by hand as {made:?} and its maker has not removed it, but it is {found:?}"
            ));
        }
    }
    for (number, one) in held {
        let found = there(one.uuid);
        if found != Some(one.there) && stage.known().held.get(&number) == Some(&one) {
            faults.push(format!("{one:?} lives, but its device is {found:?}"));
        }
    }
}

/// What nobody made by hand has a record, and is as defined.
fn known(stage: &Stage, device: Device, faults: &mut Vec<String>) {
    let Some(found) = there(device.uuid) else { return };
    let record = Path::new("/run/automdev/devices").join(device.uuid);
    let has_record = record.exists();
    let mdev_type = type_of(device.uuid, found);
    // It was the same one all the time.
    if there(device.uuid) != Some(found) {
        return;
    }
    {
        let known = stage.known();
        if known.ever.contains(&found.inode) || known.intents.contains(device.uuid) {
            return;
        }
    }
    if !has_record {
        faults.push(format!(
            "{} is {found:?}, nobody made it by hand, and it has no record",
            device.uuid
        ));
    }
    let is_as_defined =
        found.parent == device.parent && mdev_type.as_deref().is_none_or(|it| it == device.mdev_type);
    if !is_as_defined {
        faults.push(format!("{device:?} is {mdev_type:?} on {}", found.parent));
    }
}

fn type_of(uuid: &str, found: There) -> Option<String> {
    let link = fs::read_link(files::device(found.parent, uuid).join("mdev_type")).ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}

/// There are never more than there is room for, nor more of a pool than it may give.
fn counted(faults: &mut Vec<String>) {
    for parent in ["mtty", "mdpy", "mbochs"] {
        // Those that are in both lists were there at the same time.
        let (first, second) = (devices_of(parent), devices_of(parent));
        let both: Vec<&String> = first
            .iter()
            .filter(|(uuid, it)| second.get(*uuid).is_some_and(|other| other.0 == it.0))
            .map(|(_, (_, mdev_type))| mdev_type)
            .collect();
        let taken: u32 = both.iter().map(|mdev_type| cast::share(mdev_type)).sum();
        if taken > cast::room(parent) {
            faults.push(format!("there is more on {parent} than fits: {first:?}"));
        }
        let pooled = first.keys().filter(|uuid| {
            let is_of_pool = cast::POOLED.iter().any(|device| device.uuid == **uuid);
            is_of_pool && first.get(*uuid) == second.get(*uuid)
        });
        if pooled.count() > cast::POOLS_LIMIT {
            faults.push(format!("there are more of the pool than it may give: {first:?}"));
        }
    }
}

/// The devices of a parent: their inodes and types.
fn devices_of(parent: &'static str) -> BTreeMap<String, (u64, String)> {
    let entries = fs::read_dir(Path::new("/sys/class/mdev_bus").join(parent));
    let names = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.len() == 36);
    names
        .filter_map(|uuid| {
            let found = there(&uuid)?;
            let mdev_type = type_of(&uuid, found)?;
            Some((uuid, (found.inode, mdev_type)))
        })
        .collect()
}
