//! Devices for a domain that runs already: made by `automdev create`, plugged in by virsh.

use std::process::Command;

use crate::support::{A, B, Called, Definition, DomainXml, Host, Virsh, call, files, virsh};

fn automdev(arguments: &[&str]) -> Called {
    call(Command::new("/usr/bin/automdev").args(arguments), b"")
}

/// It did this, and said so.
#[track_caller]
fn does(arguments: &[&str], line: &str) {
    let called = automdev(arguments);
    let expected = (Some(0), format!("{line}\n"), String::new());
    assert_eq!((called.status, called.stdout, called.stderr), expected);
}

#[test]
fn a_device_is_plugged_into_a_domain_that_runs() {
    let host = Host::new();
    host.settings("[timeouts]\nidle = 0.5\n");
    host.define(A, &Definition::new("mtty", "mtty-1"));
    host.define(B, &Definition::new("mdpy", "mdpy-vga"));
    automdev(&["create", "--domain", "plugged", B]).assert_refused(
        "automdev: no domain plugged runs on this host; where it is only defined, virsh start makes its devices",
    );
    let domain = DomainXml::new("plugged").with(A).with_free_port();
    domain.define();
    virsh(&["start", "plugged"]);
    let pid = files::qemu_pid("plugged");

    let created = format!("created {B} (mdpy-vga on mdpy)");
    does(&["create", "--domain", domain.uuid, B], &created);
    host.assert_device(B, "mdpy", "mdpy-vga");
    // Nobody has it yet, so it can go as it came.
    let removed = format!("removed {B} (mdpy-vga on mdpy)");
    does(&["remove", "--domain", "plugged", B], &removed);
    host.assert_no_device(B);
    host.assert_device(A, "mtty", "mtty-1");

    does(&["create", "--domain", "plugged", B], &created);
    let hostdev = "/tmp/hostdev.xml";
    std::fs::write(
        hostdev,
        format!("<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='{B}'/></source></hostdev>"),
    )
    .expect("a file");
    virsh(&["attach-device", "--live", "plugged", hostdev]);
    assert!(
        files::holds_open(pid, "mdpy", B),
        "QEMU does not hold the device open"
    );
    automdev(&["remove", "--domain", "plugged", B]).assert_refused(&format!(
        "automdev: {B} is in use by qemu-system-x86 ({pid}); take it from the domain first (virsh detach-device plugged FILE)"
    ));
    host.assert_device(B, "mdpy", "mdpy-vga");
    virsh(&["destroy", "plugged"]);
    host.assert_clean();
}
