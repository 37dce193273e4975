//! Domains that start and stop, as libvirt would have it: `prepare`, a QEMU, its end, `release`; or half of that.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::calls::{Caller, Ended, call, hook, some_time};
use super::cast::{self, Device};
use super::stage::{Stage, there};
use crate::random::Random;
use crate::support::files;

/// A hook call takes less, mostly.
const CALL: usize = 700;

pub(super) const NAMES: [&str; 3] = ["race-0", "race-1", "race-2"];

pub(super) fn take_part(stage: &Stage, random: &mut Random, number: usize) {
    let name = NAMES[number];
    while stage.goes_on() {
        let wanted = wanted(random, number);
        let caller = if random.once_in(5) {
            Caller::ShortLived
        } else {
            Caller::Daemon
        };
        live(stage, random, (name, &wanted), caller);
    }
    let xml = cast::domain(name, &[]).xml();
    hook(stage, Caller::Daemon, (name, "release end", &xml), None);
}

fn wanted(random: &mut Random, number: usize) -> Vec<Device> {
    let others = [&cast::SHARED[..], &cast::BY_HAND, &cast::POOLED[number..=number]];
    let mut wanted: Vec<Device> = others
        .into_iter()
        .flatten()
        .copied()
        .filter(|_| random.once_in(3))
        .collect();
    if wanted.is_empty() || !random.once_in(3) {
        wanted.push(cast::OWN[number]);
    }
    wanted
}

/// One life of a domain.
fn live(stage: &Stage, random: &mut Random, (name, wanted): (&'static str, &[Device]), caller: Caller) {
    let domain = cast::domain(name, wanted);
    let xml = domain.xml();
    let may_die = caller == Caller::Daemon;
    let kill_after = (may_die && random.once_in(4)).then(|| some_time(random, CALL));
    let turns = stage.known().turns.clone();
    let prepared = hook(stage, caller, (name, "prepare begin", &xml), kill_after);
    stage.count("prepare");
    match prepared {
        Ended::Done => stage.count("of them done"),
        Ended::Refused => stage.count("of them refused"),
        Ended::Killed => stage.count("of them killed"),
    }
    if prepared == Ended::Done {
        let held = rely(stage, name, wanted, caller, &turns);
        let qemu = (!random.once_in(3)).then(|| Qemu::start(name, domain.uuid, &xml));
        thread::sleep(some_time(random, 1000));
        if qemu.is_some() && caller == Caller::Daemon && random.once_in(3) {
            plug(stage, random, name, wanted);
        }
        if random.once_in(6) {
            // Twice is once, unless somebody has taken one away meanwhile, who may make it first.
            let again = hook(stage, caller, (name, "prepare begin", &xml), None);
            if again != Ended::Done && held.len() == wanted.len() {
                stage.fault(format!("{name} cannot be prepared again"));
            }
            stage.count("prepare again");
        }
        for number in held {
            stage.let_go(number);
        }
        drop(qemu);
    }
    if random.once_in(8) {
        // Nobody hears of its end.
        return;
    }
    let kill_after = random.once_in(5).then(|| some_time(random, CALL));
    let kill_after = kill_after.filter(|_| caller == Caller::Daemon);
    let released = hook(stage, caller, (name, "release end", &xml), kill_after);
    stage.count("release");
    if released == Ended::Killed {
        stage.count("of them killed");
    }
}

/// One more device for a domain that runs, which gives it back before its end or not.
fn plug(stage: &Stage, random: &mut Random, name: &str, wanted: &[Device]) {
    let device = cast::SHARED[random.below(cast::SHARED.len())];
    if wanted.contains(&device) {
        return;
    }
    let mut automdev = |verb: &'static str| {
        let mut command = Command::new("/usr/bin/automdev");
        command.args([verb, "--domain", name, device.uuid]);
        let kill_after = random.once_in(5).then(|| some_time(random, CALL));
        let answer = call(stage, &mut command, b"", kill_after);
        stage.count(verb);
        stage.tell(&format!("{verb} for {name}: {answer:?}"));
        let is_odd = answer.status.is_none() && kill_after.is_none() || answer.stderr.lines().count() > 1;
        if is_odd || answer.status == Some(1) && !answer.stderr.starts_with("automdev: ") {
            stage.fault(format!("{verb} for {name}: {answer:?}"));
        }
        answer.status == Some(0)
    };
    if !automdev("create") {
        return;
    }
    let Some(found) = there(device.uuid) else {
        return stage.fault(format!("{name} was given {device:?}, which is not there"));
    };
    let number = stage.known().hold(name, device.uuid, found);
    thread::sleep(Duration::from_millis(300));
    stage.let_go(number);
    automdev("remove");
}

/// The domain has its devices, and may rely on them from here on.
fn rely(
    stage: &Stage,
    name: &str,
    wanted: &[Device],
    caller: Caller,
    turns: &BTreeMap<&'static str, u64>,
) -> Vec<u64> {
    if caller == Caller::ShortLived {
        return Vec::new();
    }
    let mut held = Vec::new();
    for device in wanted {
        let uuid = device.uuid;
        let turn = |turns: &BTreeMap<&str, u64>| turns.get(uuid).copied().unwrap_or_default();
        let mut known = stage.known();
        // Somebody has taken it away by hand meanwhile, or is about to.
        if turn(&known.turns) != turn(turns) || turn(turns) % 2 == 1 {
            continue;
        }
        let found = there(uuid);
        let Some(found) = found.filter(|found| found.parent == device.parent) else {
            drop(known);
            stage.fault(format!("{name} was given {device:?}, which is {found:?}"));
            continue;
        };
        held.push(known.hold(name, uuid, found));
        let is_by_hand = known.ever.contains(&found.inode) || known.intents.contains(uuid);
        drop(known);
        let folder = files::device(device.parent, uuid);
        let link = fs::read_link(folder.join("mdev_type")).unwrap_or_default();
        if link.file_name().and_then(|name| name.to_str()) != Some(device.mdev_type) {
            stage.fault(format!("{name} was given {device:?} as {}", link.display()));
        }
        let (file, expected) = cast::ATTRIBUTE;
        let value = fs::read_to_string(folder.join(file)).unwrap_or_default();
        if cast::OWN.contains(device) && !is_by_hand && value.trim() != expected {
            stage.fault(format!("{name} was given {device:?} with {file} {value}"));
        }
    }
    held
}

/// A process that is called as libvirt calls a domain's QEMU, and is noted as libvirt notes it.
struct Qemu {
    process: Child,
    name: String,
}

impl Qemu {
    fn start(name: &str, uuid: &str, xml: &str) -> Self {
        let process = Command::new("/bin/sh")
            .args(["-c", "read line; exit 0", "qemu", uuid])
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        let pid = process.id();
        let status = format!("<domstatus state='running' pid='{pid}'>\n{xml}</domstatus>\n");
        for (ending, text) in [("pid", pid.to_string()), ("xml", status)] {
            fs::write(file(name, ending), text).expect("a file");
        }
        let name = name.to_owned();
        Qemu { process, name }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // In libvirt's order.
        drop(self.process.kill());
        drop(self.process.wait());
        for ending in ["pid", "xml"] {
            drop(fs::remove_file(file(&self.name, ending)));
        }
    }
}

/// What libvirt keeps of a domain that runs.
fn file(name: &str, ending: &str) -> String {
    format!("/run/libvirt/qemu/{name}.{ending}")
}
