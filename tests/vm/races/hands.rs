//! People who make devices by hand, and remove them, with `echo` or with mdevctl; also those that automdev made.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::calls::some_time;
use super::cast::{self, Device};
use super::stage::{Stage, There, there};
use crate::random::Random;
use crate::support::files;

pub(super) fn take_part(stage: &Stage, random: &mut Random) {
    while stage.goes_on() {
        let device = cast::BY_HAND[random.below(cast::BY_HAND.len())];
        let is_there = stage.known().hands.contains_key(device.uuid);
        match (is_there, random.below(4)) {
            (true, _) => remove(stage, random, device),
            (false, 0) => seize(stage, device),
            (false, _) => make(stage, random, device),
        }
        thread::sleep(some_time(random, 400));
    }
    for device in cast::BY_HAND {
        let begun = std::time::Instant::now();
        while stage.known().hands.contains_key(device.uuid) && begun.elapsed() < Duration::from_secs(60) {
            remove(stage, random, device);
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Now and then as something else than what is defined, which no domain may be given.
fn make(stage: &Stage, random: &mut Random, device: Device) {
    let Device { uuid, parent, .. } = device;
    let with = random.pick(&["mdevctl", "echo", "echo", "echo"]);
    let mdev_type = match with {
        "echo" if random.once_in(3) => random.pick(&["mtty-1", "mtty-2"]),
        _ => device.mdev_type,
    };
    stage.known().intents.insert(uuid);
    let is_made = if with == "mdevctl" {
        stage.count("mdevctl");
        mdevctl("start", uuid)
    } else {
        stage.count("echo");
        let file = format!("/sys/class/mdev_bus/{parent}/mdev_supported_types/{mdev_type}/create");
        fs::write(file, uuid).is_ok()
    };
    let found = is_made.then(|| there(uuid));
    let mut known = stage.known();
    if let Some(Some(made)) = found {
        known.hands.insert(uuid, made);
        known.ever.insert(made.inode);
    }
    known.intents.remove(uuid);
    drop(known);
    stage.tell(&format!("{with} makes {uuid} as {mdev_type}: {found:?}"));
    if found == Some(None) {
        stage.fault(format!("{uuid} was made by hand, and is gone at once"));
    }
}

/// Its maker removes it, unless somebody relies on it.
fn remove(stage: &Stage, random: &mut Random, device: Device) {
    let uuid = device.uuid;
    {
        let mut known = stage.known();
        if known.held.values().any(|held| held.uuid == uuid) {
            return;
        }
        known.hands.remove(uuid);
        *known.turns.entry(uuid).or_default() += 1;
    }
    let is_removed = if random.once_in(4) {
        stage.count("mdevctl");
        mdevctl("stop", uuid)
    } else {
        stage.count("echo");
        fs::write(format!("/sys/bus/mdev/devices/{uuid}/remove"), "1").is_ok()
    };
    *stage.known().turns.entry(uuid).or_default() += 1;
    stage.tell(&format!("{uuid} is removed by hand: {is_removed}"));
    if !is_removed {
        stage.fault(format!("{uuid} was made by hand, and its maker cannot remove it"));
    }
}

/// Removes a device that automdev made, where nobody relies on it, and makes it anew: it is theirs from then on.
fn seize(stage: &Stage, device: Device) {
    let uuid = device.uuid;
    let folder = files::device(device.parent, uuid);
    // What was opened is this very device's, whatever comes after it under that name.
    let opened = OpenOptions::new().write(true).open(folder.join("remove"));
    let (Ok(mut file), Some(found)) = (opened, there(uuid)) else {
        return;
    };
    if file.metadata().is_err() || !is_ready(uuid, found) {
        return;
    }
    {
        let mut known = stage.known();
        if known.held.values().any(|held| held.uuid == uuid) {
            return;
        }
        *known.turns.entry(uuid).or_default() += 1;
    }
    // automdev may be about it, too.
    let is_removed = file.write_all(b"1").is_ok();
    stage.count("seized");
    *stage.known().turns.entry(uuid).or_default() += 1;
    stage.tell(&format!("{uuid} is taken from automdev: {is_removed}"));
}

/// Whether automdev has made it, and calls it ready.
fn is_ready(uuid: &str, found: There) -> bool {
    let text = fs::read_to_string(format!("/run/automdev/devices/{uuid}")).unwrap_or_default();
    let record: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let folder = fs::metadata(files::device(found.parent, uuid));
    record["state"] == "ready"
        && record["inode"] == found.inode
        && folder.is_ok_and(|folder| folder.ino() == found.inode)
}

fn mdevctl(verb: &str, uuid: &str) -> bool {
    let output = Command::new("mdevctl").args([verb, "-u", uuid]).output();
    output.expect("mdevctl is there").status.success()
}
