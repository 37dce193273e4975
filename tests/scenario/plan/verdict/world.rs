//! A host in some state, and a domain that is to start on it.

use std::fs;

use super::random::Random;
use crate::hook::domain::Domain;
use crate::hook::host::Host;
use crate::support::FaultKind;

/// Devices that may be defined, and wanted.
const DEVICES: [&str; 6] = [
    "a0000000-0000-4000-8000-000000000001",
    "b0000000-0000-4000-8000-000000000002",
    "c0000000-0000-4000-8000-000000000003",
    "d0000000-0000-4000-8000-000000000004",
    "e0000000-0000-4000-8000-000000000005",
    "f0000000-0000-4000-8000-000000000006",
];

/// Devices that nobody asks for.
const STRANGERS: [&str; 6] = [
    "00000000-0000-4000-8000-000000000011",
    "00000000-0000-4000-8000-000000000012",
    "00000000-0000-4000-8000-000000000013",
    "00000000-0000-4000-8000-000000000014",
    "00000000-0000-4000-8000-000000000015",
    "00000000-0000-4000-8000-000000000016",
];

/// A GPU whose driver has none, a function whose driver has no more, and one that is not there.
const NO_PARENTS: [&str; 3] = ["0000:00:04.0", "0000:81:00.4", "0000:99:00.0"];

pub(super) struct World {
    pub(super) host: Host,
    pub(super) domain: Domain,
    /// How it came to be.
    pub(super) told: Vec<String>,
    random: Random,
    parents: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let host = Host::new();
        // What goes on in the background would be in the way.
        host.timeouts("claim = 0.05\nidle = 0.05\nparent = 0\ngone = 0\nretry = 0");
        let mut world = World {
            host,
            domain: Domain::new("vm", 1),
            told: vec![format!("seed {seed}")],
            random: Random::new(seed),
            parents: Vec::new(),
        };
        world.add_parents();
        world.define_all();
        world.add_strangers();
        world.add_another_domain();
        world.add_own_past();
        world.choose_devices();
        world
    }

    fn tell(&mut self, what: impl Into<String>) {
        self.told.push(what.into());
    }

    fn add_parents(&mut self) {
        let host = &self.host;
        match self.random.below(4) {
            0 => {
                let count = u32::try_from(2 + self.random.below(3)).expect("small");
                host.mtty().mdpy_of(count).mbochs_of(64 * count);
            }
            1 => {
                host.nvidia("0000:41:00.0")
                    .nvidia("0000:42:00.0")
                    .nvidia_sriov("0000:43:00.0", 4);
            }
            2 => {
                host.gvtg().mdpy_of(2);
            }
            _ => {
                host.matrix().subchannel("0.0.0052").subchannel("0.0.0053");
            }
        }
        let bare = "sys/devices/pci0000:00/0000:00:04.0";
        let left = "sys/devices/pci0000:80/0000:81:00.4";
        host.file(&format!("{bare}/vendor"), "0x8086\n")
            .link("sys/bus/pci/devices/0000:00:04.0", bare)
            .file(&format!("{left}/nvidia/current_vgpu_type"), "0\n")
            .link("sys/bus/pci/devices/0000:81:00.4", left);
        self.parents = host.names("sys/class/mdev_bus");
    }

    fn types(&self, parent: &str) -> Vec<String> {
        self.host
            .names(format!("sys/class/mdev_bus/{parent}/mdev_supported_types"))
    }

    fn has_room(&self, parent: &str, type_name: &str) -> bool {
        let folder = format!("sys/class/mdev_bus/{parent}/mdev_supported_types/{type_name}");
        let left = self.host.read(format!("{folder}/available_instances"));
        left.is_some_and(|left| left != "0")
    }

    /// A parent and one of its types.
    fn place(&mut self) -> (String, String) {
        let parent = self.random.pick(&self.parents).clone();
        let types = self.types(&parent);
        let type_name = self.random.pick(&types).clone();
        (parent, type_name)
    }

    fn define_all(&mut self) {
        for uuid in DEVICES {
            match self.random.below(100) {
                0..3 => self.tell(format!("{uuid} is not defined")),
                3..6 => {
                    let (parent, _) = self.place();
                    self.host
                        .file(&format!("etc/mdevctl.d/{parent}/{uuid}"), "{\"mdev_type\":[]}");
                    self.tell(format!("{uuid} is broken under {parent}"));
                }
                6..11 => {
                    let parent = *self.random.pick(&NO_PARENTS);
                    self.define(parent, uuid, "nvidia-222");
                }
                11..13 => {
                    let (parent, _) = self.place();
                    self.define(&parent, uuid, "other-9");
                }
                13..28 => {
                    let nowhere = *self.random.pick(&NO_PARENTS);
                    if self.random.percent(50) {
                        self.define(nowhere, uuid, "nvidia-231");
                    }
                    for _ in 0..2 {
                        let (parent, type_name) = self.place();
                        self.define(&parent, uuid, &type_name);
                    }
                }
                _ => {
                    let (parent, type_name) = self.place();
                    self.define(&parent, uuid, &type_name);
                }
            }
        }
    }

    fn define(&mut self, parent: &str, uuid: &str, type_name: &str) {
        let attributes: &[(&str, &str)] = match (type_name.split('-').next(), self.random.below(3)) {
            (_, 0) => &[],
            (Some("nvidia"), 1) => &[("nvidia/vgpu_params", "frame_rate_limiter=0\n")],
            (Some("vfio_ap"), _) => &[("assign_adapter", "5"), ("assign_domain", "0xab")],
            (_, 1) => &[("power/control", "on")],
            _ => &[("power/control", "auto"), ("power/control", "on")],
        };
        self.host.definition(parent, uuid, type_name, attributes);
        self.tell(format!("{uuid} is {type_name} on {parent}, {attributes:?}"));
    }

    /// Devices that somebody else made.
    fn add_strangers(&mut self) {
        let some = self.random.below(3);
        for stranger in STRANGERS.iter().take(usize::try_from(some).expect("small")) {
            let (parent, type_name) = self.place();
            if self.has_room(&parent, &type_name) {
                self.make(&parent, &type_name, stranger);
            }
        }
        if self.random.percent(25) {
            let uuid = *self.random.pick(&DEVICES);
            let (mut parent, mut type_name) = self.place();
            if self.random.percent(60) {
                (parent, type_name) = self.first_definition(uuid).unwrap_or((parent, type_name));
            }
            if self.has_room(&parent, &type_name) {
                self.make(&parent, &type_name, uuid);
            }
        }
    }

    fn make(&mut self, parent: &str, type_name: &str, uuid: &str) {
        self.host.active(parent, type_name, uuid);
        self.tell(format!("somebody made {uuid}, {type_name} on {parent}"));
    }

    fn first_definition(&self, uuid: &str) -> Option<(String, String)> {
        self.host.names("etc/mdevctl.d").into_iter().find_map(|parent| {
            let definition = self.host.json(&format!("etc/mdevctl.d/{parent}/{uuid}"));
            Some((parent, definition["mdev_type"].as_str()?.to_owned()))
        })
    }

    /// The interface that a guest would be right to expect.
    fn model(&self, uuid: &str) -> &'static str {
        match self.first_definition(uuid) {
            Some((_, name)) if name.starts_with("vfio_ap") => "vfio-ap",
            Some((_, name)) if name.starts_with("vfio_ccw") => "vfio-ccw",
            _ => "vfio-pci",
        }
    }

    fn with(&self, domain: Domain, uuid: &str) -> Domain {
        domain.with(uuid).model(self.model(uuid))
    }

    fn some_devices(&mut self, most: u64) -> Vec<&'static str> {
        let count = 1 + self.random.below(most).min(self.random.below(most));
        let mut devices = Vec::new();
        while (devices.len() as u64) < count {
            let uuid = *self.random.pick(&DEVICES);
            if !devices.contains(&uuid) {
                devices.push(uuid);
            }
        }
        devices
    }

    fn add_another_domain(&mut self) {
        if !self.random.percent(40) {
            return;
        }
        let devices = self.some_devices(2);
        let other = Domain::new("other", 2);
        let other = devices.iter().fold(other, |domain, uuid| self.with(domain, uuid));
        if self.host.prepare(&other).status != Some(0) {
            self.host.release(&other);
            return;
        }
        self.tell(format!("other has {devices:?}"));
        match self.random.below(10) {
            0..6 => {
                self.host.domain("other", &other.uuid, 4711);
                self.tell("and runs");
            }
            6 => self.tell("and has not begun to run"),
            7 => self.break_record(devices[0]),
            _ => {
                let group = self.host.group(devices[0]).expect("it is active");
                self.host
                    .link_text("proc/hidden/fd/0", &format!("/dev/vfio/{group}"));
                self.host.release(&other);
                self.tell("and gave them back, but somebody has the first one open");
            }
        }
    }

    fn break_record(&mut self, uuid: &str) {
        let record = self.host.at(format!("run/automdev/devices/{uuid}"));
        if record.exists() {
            fs::write(record, "{").expect("a record");
            self.tell(format!("the record of {uuid} is broken"));
        }
    }

    /// What an earlier start of the domain left.
    fn add_own_past(&mut self) {
        if !self.random.percent(40) {
            return;
        }
        let devices = self.some_devices(2);
        let domain = devices
            .iter()
            .fold(self.domain.clone(), |domain, uuid| self.with(domain, uuid));
        if self.random.percent(40) {
            let at = 1 + self.random.below(14);
            let answer = self.host.prepare_with(at, FaultKind::KillAfter, &domain);
            self.tell(format!(
                "a start with {devices:?} died at {at}: {:?}",
                answer.signal
            ));
        } else {
            let answer = self.host.prepare(&domain);
            self.tell(format!("a start with {devices:?}: {:?}", answer.status));
        }
        let uuid = devices[0];
        let is_active = self.host.group(uuid).is_some();
        if is_active && self.random.percent(20) {
            self.host
                .process(4242, "qemu-system-x86", &["qemu"], 1)
                .open_device(4242, uuid);
            self.tell(format!("somebody has {uuid} open"));
        }
        if self.random.percent(50) {
            for parent in self.host.names("etc/mdevctl.d") {
                drop(fs::remove_file(
                    self.host.at(format!("etc/mdevctl.d/{parent}/{uuid}")),
                ));
            }
            let (parent, type_name) = self.place();
            self.define(&parent, uuid, &type_name);
        }
    }

    fn choose_devices(&mut self) {
        let devices = self.some_devices(4);
        let mut domain = self.domain.clone();
        for uuid in &devices {
            domain = if self.random.percent(8) {
                domain.unmarked(uuid)
            } else {
                domain.with(uuid)
            };
            let model = if self.random.percent(5) {
                "vfio-ccw"
            } else {
                self.model(uuid)
            };
            domain = domain.model(model);
        }
        if self.random.percent(10) {
            let timeouts = "[timeouts]\nclaim = 0.05\nidle = 0.05\n";
            self.host.file(
                "etc/automdev/automdev.toml",
                &format!("select = \"defined\"\n{timeouts}"),
            );
        }
        self.tell(format!("it wants {devices:?}"));
        self.domain = domain;
    }
}
