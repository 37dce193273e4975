//! One of the two hosts. What is done there is done by the same shell on both, once here and once over ssh.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Called, Definition, DomainXml, IDLE_FIRMWARE, call, idle_firmware, within};

/// Takes away what an earlier test left, and puts the hook in place, beside one that writes down each call of libvirt's, with
/// the devices that there are just before automdev is called. The folders that libvirtd watches stay.
const CLEAR: &str = r#"
set -eu
for name in $(virsh list --name); do virsh --quiet destroy "$name"; done
for name in $(virsh list --all --name); do virsh --quiet undefine "$name"; done
for file in /sys/bus/mdev/devices/*/remove; do [ ! -e "$file" ] || echo 1 > "$file"; done
rm -rf /etc/automdev /run/automdev /tmp/operations
cd /etc/mdevctl.d
mkdir -p /etc/automdev/pools.d mtty otty mdpy /etc/libvirt/hooks/qemu.d
rm -f mtty/* otty/* mdpy/*
cd /etc/libvirt/hooks/qemu.d
rm -f 90-fails
ln -sf /usr/bin/automdev 50-automdev
echo '#!/bin/sh' > 10-watch
echo 'echo $2 $4: $(ls /sys/bus/mdev/devices) >> /tmp/operations' >> 10-watch
chmod 0755 10-watch
virsh list > /dev/null
systemctl reload libvirtd.service
virsh list > /dev/null
"#;

/// Takes a host's card down, and up again `$seconds` later: nobody can tell it to.
const GO_OFF: &str = r#"
card=$(basename /sys/class/net/e*)
script="sleep 1; ip link set $card down; sleep $seconds; ip link set $card up"
setsid sh -c "$script" > /dev/null 2>&1 < /dev/null &
"#;

/// Waits, on the other host, until far does not answer any more. Who asks only once might be too early.
const IS_OFF: &str = r#"
tries=0
while timeout 5 bash -c ": < /dev/tcp/far/22" 2> /dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || exit 1
    sleep 0.2
done
ip neighbour flush all
"#;

/// All that has to be right, one thing a line: devices, records and claims, who has a device open, domains.
const STATE: &str = r#"
for device in /sys/bus/mdev/devices/*; do
    [ -e "$device" ] || continue
    parent=$(dirname "$(readlink -f "$device")")
    echo "device ${device##*/} $(basename "$(readlink "$device/mdev_type")") on ${parent##*/}"
    node=/dev/vfio/$(basename "$(readlink "$device/iommu_group")")
    for file in /run/libvirt/qemu/*.pid; do
        ls -l "/proc/$(cat "$file")/fd" 2> /dev/null | grep -q " $node$" && echo "open ${device##*/}"
    done
done
cd /run/automdev 2> /dev/null && find devices claims claimants swaps -type f 2> /dev/null | sort
for name in $(virsh list --all --name); do
    echo "domain $name $(virsh domstate "$name")"
done
true
"#;

/// What all types of all parents have left.
const FREE: &str = "grep . /sys/class/mdev_bus/*/mdev_supported_types/*/available_instances";

/// How long libvirt may take, on these slow machines, for what it does by itself.
const PATIENCE: Duration = Duration::from_secs(240);

/// One of the hosts.
pub(super) struct Side {
    name: &'static str,
    /// What all types had left at the beginning.
    free: String,
}

/// Both, with nothing of an earlier test on them: `near`, where this runs, and `far`.
pub(super) fn sides() -> (Side, Side) {
    (Side::new("near"), Side::new("far"))
}

/// The command that moves a domain to the other host.
pub(super) fn migration(options: &str, name: &str, to: &Side) -> String {
    let to = to.name;
    format!("virsh --quiet migrate {options} {name} qemu+ssh://{to}/system")
}

/// Runs a script in the near one, whatever else is known of it; it must succeed.
fn here(script: &str) {
    let (name, free) = ("near", String::new());
    Side { name, free }.sh(script);
}

impl Side {
    fn new(name: &'static str) -> Self {
        let free = String::new();
        let side = Side { name, free };
        side.sh(CLEAR);
        side.put(IDLE_FIRMWARE, idle_firmware());
        let free = side.sh(FREE);
        Side { name, free }
    }

    /// The command that runs a script there.
    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("timeout");
        command.arg("1500");
        match self.name {
            "near" => command.args(["sh", "-c", script]),
            name => command.args(["ssh", name, script]),
        };
        command
    }

    /// Runs a script there with an input.
    pub(super) fn call(&self, script: &str, input: impl AsRef<[u8]>) -> Called {
        call(&mut self.command(script), input.as_ref())
    }

    /// What a script prints there; it must succeed.
    #[track_caller]
    pub(super) fn sh(&self, script: &str) -> String {
        let called = self.call(script, "");
        assert_eq!(called.status, Some(0), "{}: {script}: {called:?}", self.name);
        called.stdout
    }

    /// What a script complains about there; it must fail.
    #[track_caller]
    pub(super) fn fails(&self, script: &str) -> String {
        let called = self.call(script, "");
        assert_eq!(called.status, Some(1), "{}: {script}: {called:?}", self.name);
        println!("{}: {script}: {}", self.name, called.stderr.trim());
        called.stderr
    }

    /// What a migration complains about; it must fail. libvirt's daemon closes its connection to the other one at last, and
    /// once in a while shows the end of that in the place of the reason.
    #[track_caller]
    pub(super) fn migration_fails(&self, script: &str) -> String {
        const LOST: &str = "End of file while reading data";
        let mut complaints = (0..3).map(|_| self.fails(script));
        let told = complaints.find(|complaint| !complaint.contains(LOST));
        told.unwrap_or_else(|| panic!("{}: {script} never says why", self.name))
    }

    /// Writes a file there.
    #[track_caller]
    pub(super) fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let called = self.call(&format!("cat > {path}"), content);
        assert_eq!(called.status, Some(0), "{}: {path}: {called:?}", self.name);
    }

    /// Puts a definition in place.
    pub(super) fn define(&self, uuid: &str, definition: &Definition<'_>) {
        let path = format!("/etc/mdevctl.d/{}/{uuid}", definition.parent);
        self.put(&path, definition.json());
    }

    /// Puts a pool in place.
    pub(super) fn pool(&self, name: &str, text: &str) {
        self.put(&format!("/etc/automdev/pools.d/{name}.toml"), text);
    }

    /// Starts a domain that is gone when it stops, or only makes it known.
    pub(super) fn virsh_with(&self, verb: &str, domain: &DomainXml) {
        let path = format!("/tmp/{}.xml", domain.name);
        self.put(&path, domain.xml());
        self.sh(&format!("virsh --quiet {verb} --validate {path}"));
    }

    /// Begins a live migration that does not end by itself: its guest writes more than may go over, and it may not be
    /// stopped for the rest. It is half-way when this returns.
    pub(super) fn begin(&self, options: &str, name: &str, to: &Side) -> Begun {
        self.sh(&format!("virsh --quiet migrate-setmaxdowntime {name} 1"));
        let script = migration(&format!("--live --bandwidth 1 {options}"), name, to);
        let mut command = self.command(&script);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut begun = Begun(child.expect("a migration"));
        within(PATIENCE, "memory goes over", || {
            let status = begun.0.try_wait().expect("a child");
            assert_eq!(status, None, "{script} has ended");
            let told = self.call(&format!("virsh domjobinfo {name}"), "");
            told.stdout.contains("Memory processed:")
        });
        begun
    }

    /// Takes it off the network for so many seconds. It is off when this returns.
    pub(super) fn goes_off(&self, seconds: u32) -> Off {
        assert_eq!(self.name, "far", "this runs in the near one");
        let mut command = self.command(&format!("seconds={seconds}{GO_OFF}"));
        // The connection by which it is told so may be cut before it is closed: then it ends when the host is back.
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let told = command.spawn().expect("a command");
        here(IS_OFF);
        Off { told }
    }

    /// What libvirt has called there since it was last asked.
    pub(super) fn operations(&self) -> Vec<String> {
        let text = self.sh("touch /tmp/operations; cat /tmp/operations; : > /tmp/operations");
        text.lines().map(str::to_owned).collect()
    }

    /// Which QEMU a domain has, and which folder its device: what stays the same while it runs on.
    pub(super) fn identity(&self, name: &str, uuid: &str) -> String {
        self.sh(&format!(
            "cat /run/libvirt/qemu/{name}.pid; stat -Lc ' %i' /sys/bus/mdev/devices/{uuid}"
        ))
    }

    /// It runs there, with that device of its own (`TYPE on PARENT`), and nothing else is known.
    #[track_caller]
    pub(super) fn assert_runs(&self, domain: &DomainXml, uuid: &str, place: &str) {
        let claimant = format!("domain-{}", domain.uuid);
        self.assert_state(&[
            format!("device {uuid} {place}"),
            format!("open {uuid}"),
            format!("claimants/{claimant}"),
            format!("claims/{uuid}/{claimant}"),
            format!("devices/{uuid}"),
            format!("domain {} running", domain.name),
        ]);
    }

    /// No device, no record, no claim, all instances given back, and of domains only these, which do not run.
    #[track_caller]
    pub(super) fn assert_clean(&self, domains: &[&str]) {
        let domains = domains.iter().map(|name| format!("domain {name} shut off"));
        self.assert_state(&domains.collect::<Vec<_>>());
        assert_eq!(self.sh(FREE), self.free, "{}", self.name);
    }

    /// As soon as libvirt has done what it does by itself.
    #[track_caller]
    fn assert_state(&self, expected: &[String]) {
        let mut state = String::new();
        within(PATIENCE, &format!("{}: {expected:#?}", self.name), || {
            let now = self.sh(STATE);
            if now != state {
                println!("{}:\n{now}", self.name);
            }
            state = now;
            state.lines().eq(expected)
        });
    }
}

/// A host that is off the network for a while.
pub(super) struct Off {
    told: Child,
}

impl Off {
    /// Waits until it is there again.
    pub(super) fn ends(mut self) {
        here("until ssh -o ConnectTimeout=5 far true; do sleep 1; done");
        self.told.wait().expect("a child");
    }
}

/// A migration that goes on.
pub(super) struct Begun(Child);

impl Begun {
    /// What it complains about; it must fail.
    #[track_caller]
    pub(super) fn fails(self) -> String {
        let output = self.0.wait_with_output().expect("a child");
        let complaint = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        println!("migrate: {}", complaint.trim());
        complaint
    }
}
