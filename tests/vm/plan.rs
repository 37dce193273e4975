//! What a plan says against what then happens, on the real kernel: the plan first, the hook's `prepare` next.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{A, B, C, Called, Definition, DomainXml, Host, call, files, hook};

/// How many combinations of a host's state and a domain are tried.
const COMBINATIONS: u64 = 60;

/// Devices that may be defined, and wanted.
const DEVICES: [&str; 5] = [
    A,
    B,
    C,
    "dddddddd-0000-4000-8000-000000000004",
    "eeeeeeee-0000-4000-8000-000000000005",
];

const TYPES: [(&str, &str); 8] = [
    ("mtty", "mtty-1"),
    ("mtty", "mtty-2"),
    ("mdpy", "mdpy-hd"),
    ("mdpy", "mdpy-vga"),
    ("mdpy", "mdpy-xga"),
    ("mbochs", "mbochs-small"),
    ("mbochs", "mbochs-medium"),
    ("mbochs", "mbochs-large"),
];

/// `automdev plan`, with that on standard input.
fn plan(arguments: &[&str], input: &str) -> Called {
    let mut command = Command::new("/usr/bin/automdev");
    call(command.arg("plan").args(arguments), input.as_bytes())
}

#[test]
fn what_is_planned_is_what_happens() {
    let host = Host::without_libvirt();
    // What is missing does not come; what is slow here is the host.
    host.settings("[timeouts]\nparent = 0\nparent_at_boot = 0\nhook = 600\nwrite = 60\nnode = 60\n");
    let mut verdicts: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..COMBINATIONS {
        let world = World::new(&host, seed);
        *verdicts.entry(world.try_out()).or_default() += 1;
        world.clean();
    }
    host.assert_clean();
    println!("{COMBINATIONS} combinations: {verdicts:?}");
    let count = |start: &str| -> u32 {
        let fitting = verdicts.iter().filter(|(verdict, _)| verdict.starts_with(start));
        fitting.map(|(_, count)| count).sum()
    };
    assert!(count("yes") >= 12 && count("no") >= 12, "{verdicts:?}");
    assert!(u64::from(count("uncertain")) <= COMBINATIONS / 3, "{verdicts:?}");
}

/// xorshift64*, by Vigna.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound;
        usize::try_from(number).expect("small")
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64)]
    }

    fn some(&mut self, most: u64) -> BTreeSet<&'static str> {
        let count = 1 + self.below(most);
        let mut devices = BTreeSet::new();
        while devices.len() < count {
            devices.insert(self.pick(&DEVICES));
        }
        devices
    }
}

/// The host in some state, and a domain that is to start.
struct World<'a> {
    host: &'a Host,
    /// The domain's XML.
    xml: String,
    /// How it came to be.
    told: Vec<String>,
}

impl<'a> World<'a> {
    fn new(host: &'a Host, seed: u64) -> Self {
        let mut random = Random((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut world = World {
            host,
            xml: String::new(),
            told: vec![format!("seed {seed}")],
        };
        for uuid in DEVICES {
            world.define(&mut random, uuid);
        }
        // What somebody else made: it fills the parents, and may be what the domain wants.
        let strangers =
            ["11", "12", "13", "14", "15"].map(|end| format!("0f000000-0000-4000-8000-0000000000{end}"));
        let count = random.below(6);
        for uuid in strangers.iter().take(count) {
            world.make(&mut random, uuid);
        }
        if random.below(3) == 0 {
            let uuid = random.pick(&DEVICES);
            world.make(&mut random, uuid);
        }
        if random.below(3) == 0 {
            let wanted = random.some(2);
            let earlier = domain(&wanted);
            let called = hook("vm", "prepare begin", &earlier);
            world
                .told
                .push(format!("an earlier start with {wanted:?}: {called:?}"));
        }
        let wanted = random.some(3);
        world.told.push(format!("it wants {wanted:?}"));
        world.xml = domain(&wanted);
        if random.below(12) == 0 {
            world.xml = world.xml.replacen("vfio-pci", "vfio-ap", 1);
        }
        world
    }

    fn define(&mut self, random: &mut Random, uuid: &str) {
        let (parent, mdev_type) = random.pick(&TYPES);
        let definition = match random.below(20) {
            0 => {
                self.told.push(format!("{uuid} is not defined"));
                return;
            }
            1 => {
                self.host.define_raw(parent, uuid, "{");
                self.told.push(format!("{uuid} is broken"));
                return;
            }
            2 => Definition::new("mttyy", mdev_type),
            3 => Definition::new(parent, "mtty-9"),
            4 | 5 => {
                let (other, its) = random.pick(&TYPES);
                self.host.define(uuid, &Definition::new(other, its));
                self.told.push(format!("{uuid} is {its} on {other}"));
                Definition::new(parent, mdev_type)
            }
            _ => Definition {
                parent,
                mdev_type,
                attributes: &[("power/control", "on")],
            },
        };
        self.host.define(uuid, &definition);
        let Definition {
            parent, mdev_type, ..
        } = definition;
        self.told.push(format!("{uuid} is {mdev_type} on {parent}"));
    }

    fn make(&mut self, random: &mut Random, uuid: &str) {
        let (parent, mdev_type) = random.pick(&TYPES);
        let left = files::counts().remove(mdev_type);
        if left.is_some_and(|left| left != "0") {
            self.host.create_by_hand(parent, mdev_type, uuid);
            self.told
                .push(format!("somebody made {uuid}, {mdev_type} on {parent}"));
        }
    }

    /// Plans, starts, compares; gives the verdict and how it ended.
    fn try_out(&self) -> String {
        let before = devices();
        let planned = plan(&["--format", "json"], &self.xml);
        assert_eq!(devices(), before, "a plan changes nothing");
        let answer: Value = serde_json::from_str(&planned.stdout).expect("JSON");
        let startable = answer["startable"].as_str().expect("a word");
        let status = if startable == "no" { 3 } else { 0 };
        assert_eq!(
            (planned.status, planned.stderr.as_str()),
            (Some(status), ""),
            "{answer}"
        );
        let called = hook("vm", "prepare begin", &self.xml);
        let told = || format!("{answer}\n{called:?}\n{}", self.told.join("\n"));
        let ended = if called.status == Some(0) {
            "started"
        } else {
            "refused"
        };
        let planned = || answer["devices"].as_array().expect("a list").iter();
        let text = |device: &Value, key: &str| device[key].as_str().unwrap_or_default().to_owned();
        match (startable, ended) {
            ("yes" | "uncertain", "started") => {
                called.assert_fine();
                let now = devices();
                for device in planned() {
                    let uuid = text(device, "uuid");
                    let place = (text(device, "parent"), text(device, "type"));
                    let (parent, mdev_type, inode) = now.get(&uuid).unwrap_or_else(|| panic!("{}", told()));
                    assert_eq!((parent, mdev_type), (&place.0, &place.1), "{}", told());
                    let is_old = before.get(&uuid).is_some_and(|(_, _, old)| old == inode);
                    assert_eq!(is_old, device["action"] == "adopt", "{}", told());
                    for pair in device["attributes"].as_array().into_iter().flatten() {
                        let (file, value) = (pair[0].as_str(), pair[1].as_str());
                        let file = files::device(parent, &uuid).join(file.expect("a path"));
                        let found = fs::read_to_string(file).expect("an attribute");
                        assert_eq!(Some(found.trim()), value, "{}", told());
                    }
                }
            }
            ("no", "refused") => {
                let is_told = |device: &Value| {
                    let (uuid, reason) = (text(device, "uuid"), text(device, "reason"));
                    device["action"] == "refuse"
                        && called.stderr.contains(&uuid)
                        && called.stderr.ends_with(&format!(": {reason}\n"))
                };
                assert!(planned().any(is_told), "{}", told());
            }
            ("uncertain", "refused") => {
                let reasons = ["has no room left for", "no instance of"];
                assert!(
                    reasons.iter().any(|reason| called.stderr.contains(reason)),
                    "{}",
                    told()
                );
            }
            _ => panic!("{}", told()),
        }
        if ended == "refused" {
            let now = devices();
            assert!(now.keys().all(|uuid| before.contains_key(uuid)), "{}", told());
        }
        format!("{startable}, {ended}")
    }

    /// Gives back what the domain has, and takes away what was made by hand.
    fn clean(&self) {
        hook("vm", "release end", &self.xml).assert_fine();
        assert_eq!(files::ledger(), Vec::<String>::new(), "{:?}", self.told);
        for uuid in files::active() {
            self.host.remove_by_hand(&uuid);
        }
        let parents = fs::read_dir("/etc/mdevctl.d").expect("a folder").flatten();
        for parent in parents.filter(|parent| parent.file_name() != "scripts.d") {
            fs::remove_dir_all(parent.path()).expect("removed");
        }
    }
}

fn domain(wanted: &BTreeSet<&'static str>) -> String {
    wanted
        .iter()
        .fold(DomainXml::new("vm"), |domain, uuid| domain.with(uuid))
        .xml()
}

/// The active devices: parent, type, inode.
fn devices() -> BTreeMap<String, (String, String, u64)> {
    let each = files::active().into_iter().map(|uuid| {
        let folder = fs::canonicalize(Path::new("/sys/bus/mdev/devices").join(&uuid)).expect("a device");
        let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
        let parent = name(folder.parent().expect("a parent"));
        let mdev_type = name(&fs::read_link(folder.join("mdev_type")).expect("a type"));
        let inode = files::inode(&parent, &uuid);
        (uuid, (parent, mdev_type, inode))
    });
    each.collect()
}

#[test]
fn an_ordinary_user_may_ask() {
    let host = Host::without_libvirt();
    host.define(A, &Definition::new("mtty", "mtty-2"));
    // From now on there is a ledger, which is root's.
    let other = DomainXml::new("other").with(A).xml();
    hook("other", "prepare begin", &other).assert_fine();
    hook("other", "release end", &other).assert_fine();
    let mut command = Command::new("/usr/bin/automdev");
    command.args(["plan", "-"]).uid(65534).gid(65534);
    let called = call(&mut command, DomainXml::new("vm").with(A).xml().as_bytes());
    let note = |what: &str| {
        format!(
            "automdev: note: cannot read /run/automdev/{what}/{A}: Permission denied (os error 13); the plan was made \
             without it (root may read it)\n"
        )
    };
    let expected = Called {
        status: Some(0),
        stdout: format!("standard input: vm would start\n  create  {A}  mtty-2 on mtty\n"),
        stderr: note("claims") + &note("devices"),
    };
    assert_eq!(called, expected);
    host.assert_clean();
}

#[test]
fn nothing_needs_to_be_writable() {
    let host = Host::without_libvirt();
    host.define(A, &Definition::new("mtty", "mtty-2"));
    fs::write("/tmp/vm.xml", DomainXml::new("vm").with(A).xml()).expect("a file");
    let script = "set -e\n\
                  for mount in / /run /sys /dev /tmp; do\n\
                  ! mountpoint -q $mount || mount -o remount,bind,ro $mount\n\
                  if touch $mount/new 2>/dev/null; then echo \"$mount can be written\"; exit 9; fi\n\
                  done\n\
                  exec automdev plan /tmp/vm.xml\n";
    fs::write("/tmp/read-only.sh", script).expect("a file");
    let mut command = Command::new("unshare");
    let called = call(command.args(["--mount", "sh", "/tmp/read-only.sh"]), b"");
    let expected = Called {
        status: Some(0),
        stdout: format!("/tmp/vm.xml: vm would start\n  create  {A}  mtty-2 on mtty\n"),
        stderr: String::new(),
    };
    assert_eq!(called, expected);
    host.assert_clean();
}
