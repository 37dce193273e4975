//! What domains left that ended while nobody listened, and who gives it back: the command, and systemd's units.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::run::qemu::{Qemu, arguments, kill, runs, state, wait_for_holder, wait_until_ready};
use crate::support::{
    A, B, Called, Definition, DomainXml, Host, Virsh, call, eventually, files, hook, libvirt, virsh,
};

fn reconcile(arguments: &[&str]) -> Called {
    call(
        Command::new("/usr/bin/automdev").arg("reconcile").args(arguments),
        b"",
    )
}

fn systemctl(arguments: &[&str]) -> String {
    let output = Command::new("systemctl")
        .args(arguments)
        .output()
        .expect("systemctl");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// systemd's units, as they are installed.
struct Units;

impl Units {
    const FILES: [(&str, &str); 2] = [
        (
            "/etc/systemd/system/automdev-reconcile.service",
            include_str!("../../hooks/automdev-reconcile.service"),
        ),
        (
            "/etc/systemd/system/automdev-reconcile.timer",
            include_str!("../../hooks/automdev-reconcile.timer"),
        ),
    ];

    fn install() -> Self {
        for (path, text) in Self::FILES {
            fs::write(path, text).expect("a unit");
        }
        systemctl(&["daemon-reload"]);
        systemctl(&["enable", "--quiet", "automdev-reconcile.service"]);
        systemctl(&["enable", "--quiet", "--now", "automdev-reconcile.timer"]);
        Units
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        systemctl(&["disable", "--quiet", "automdev-reconcile.service"]);
        systemctl(&["disable", "--quiet", "--now", "automdev-reconcile.timer"]);
        for (path, _) in Self::FILES {
            fs::remove_file(path).expect("a unit");
        }
        systemctl(&["daemon-reload"]);
    }
}

#[test]
fn what_a_lost_domain_left_goes_when_libvirt_starts_again() {
    let host = Host::new();
    let units = Units::install();
    let complaints = Command::new("systemd-analyze")
        .args(["verify", "--man=no", Units::FILES[0].0, Units::FILES[1].0])
        .output()
        .expect("systemd-analyze");
    let complaints = String::from_utf8_lossy(&complaints.stderr).into_owned();
    assert!(!complaints.contains("automdev"), "{complaints}");
    let next = systemctl(&[
        "show",
        "automdev-reconcile.timer",
        "--property=NextElapseUSecMonotonic",
    ]);
    assert!(!next.trim().ends_with(['=', '0']), "{next}");

    host.define(A, &Definition::new("mtty", "mtty-1"));
    host.define(B, &Definition::new("mdpy", "mdpy-vga"));
    DomainXml::new("lost").with(A).create();
    DomainXml::new("lives").with(B).create();
    let lives = files::qemu_pid("lives");
    // Nobody hears of its end: neither libvirt nor, through it, the hook.
    libvirt::stop();
    kill(files::qemu_pid("lost"), Signal::SIGKILL);
    for ending in ["xml", "pid"] {
        drop(fs::remove_file(format!("/run/libvirt/qemu/lost.{ending}")));
    }
    assert_eq!(files::active(), [A, B]);
    libvirt::start();
    libvirt::wait_until_taken_up("lives");
    eventually("the lost domain's device is gone", || files::active() == [B]);
    eventually("the service has ended", || {
        systemctl(&["show", "automdev-reconcile.service", "--property=ActiveState"])
            == "ActiveState=inactive\n"
    });
    assert_eq!(
        systemctl(&["show", "automdev-reconcile.service", "--property=Result"]),
        "Result=success\n"
    );
    assert!(files::holds_open(lives, "mdpy", B));
    assert!(
        !files::ledger().iter().any(|entry| entry.contains(A)),
        "{:?}",
        files::ledger()
    );
    virsh(&["destroy", "lives"]);
    drop(units);
    host.assert_clean();
}

/// A process that does not outlive its test: as long as it lives, nobody gets its device away.
struct Ended(u32);

impl Drop for Ended {
    fn drop(&mut self) {
        if runs(self.0) {
            kill(self.0, Signal::SIGKILL);
        }
    }
}

/// A process that has been stopped does not let go of its device, whoever asks it.
#[test]
fn a_stopped_qemu_holds_up_nobody() {
    let host = Host::new();
    host.settings("[timeouts]\nidle = 2\nretry = 1\n");
    host.define(A, &Definition::new("mtty", "mtty-1"));
    host.define(B, &Definition::new("mdpy", "mdpy-vga"));
    let xml = DomainXml::new("stopped").with(A).xml();
    hook("stopped", "prepare begin", &xml).assert_fine();
    // Not under the wrapper: the device is the domain's.
    let mut command = Command::new("qemu-system-x86_64");
    let device = format!("vfio-pci,sysfsdev=/sys/bus/mdev/devices/{A}");
    let qemu = Qemu::of(command.args(&arguments(&["-device", &device])[1..]));
    let pid = wait_for_holder(A);
    let _ended = Ended(pid);
    wait_until_ready(pid);
    kill(pid, Signal::SIGSTOP);
    eventually("it has been stopped", || state(pid) == 'T');

    let begin = Instant::now();
    let released = hook("stopped", "release end", &xml);
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    // libvirt notes what release says, and goes on.
    assert_eq!(released.status, Some(1), "{released:?}");
    assert!(
        released.stderr.contains("is in use by qemu-system-x86") && released.stderr.lines().count() == 1,
        "{released:?}"
    );
    host.assert_device(A, "mtty", "mtty-1");
    let known = files::ledger();
    assert!(known.contains(&format!("devices/{A}")), "{known:?}");
    assert!(
        !known.iter().any(|entry| entry.starts_with("claims/")),
        "{known:?}"
    );
    // libvirt goes on, and so does everybody else.
    DomainXml::new("next").with(B).create();
    assert!(files::holds_open(files::qemu_pid("next"), "mdpy", B));
    virsh(&["destroy", "next"]);
    // In use, it stays whoever looks.
    let kept = reconcile(&[]);
    host.assert_device(A, "mtty", "mtty-1");
    assert!(
        kept.stdout.contains(A) && kept.stdout.contains("qemu"),
        "{kept:?}"
    );

    kill(pid, Signal::SIGKILL);
    drop(qemu.end());
    let dry = reconcile(&["--dry-run"]);
    assert!(dry.stdout.contains(A), "{dry:?}");
    host.assert_device(A, "mtty", "mtty-1");
    let done = reconcile(&[]);
    assert_eq!(done.status, Some(0), "{done:?}");
    host.assert_clean();
}
