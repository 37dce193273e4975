//! The main job, with nothing faked: a real libvirtd calls the hook, the real kernel makes the device, a real
//! QEMU opens it. A start takes up to 20 seconds under software emulation, so each shows several things.

use std::fs;
use std::process::Command;

use crate::support::{
    A, B, Definition, DomainXml, Guest, Host, Install, Virsh, call, eventually, files, libvirt, our_line,
    virsh, virsh_fails,
};

/// What the hook is given in the other tests is what libvirt gives it: arguments, environment, and the parts of
/// the XML that it reads.
fn assert_captured(name: &str, operation: &str, arguments: &str) {
    let captured = |kind: &str| {
        fs::read_to_string(format!("/tmp/captured-{operation}.{kind}")).expect("libvirt called its hooks")
    };
    assert_eq!(captured("args"), arguments);
    let environment = captured("env");
    assert!(
        environment.lines().any(|line| line == "LC_ALL=C"),
        "{environment}"
    );
    let known = [
        "LC_ALL", "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "PWD", "_", "SHLVL", "OLDPWD",
    ];
    let name_of = |line: &str| line.split('=').next().unwrap_or_default().to_owned();
    let strange: Vec<String> = environment
        .lines()
        .map(name_of)
        .filter(|name| !known.contains(&name.as_str()))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    let part = |xml: &str, start: &str, end: &str| {
        let from = xml.find(start).unwrap_or_else(|| panic!("no {start}: {xml}"));
        let length = xml[from..].find(end).unwrap_or_else(|| panic!("no {end}: {xml}"));
        // How far it is indented depends on what it is a part of.
        xml[from..from + length]
            .lines()
            .map(str::trim)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let (given, printed) = (
        captured("xml"),
        virsh(&["dumpxml", "--inactive", "--security-info", name]),
    );
    for (start, end) in [
        ("<uuid>", "</uuid>"),
        ("<metadata>", "</metadata>"),
        ("<hostdev", "</source>"),
    ] {
        assert_eq!(part(&given, start, end), part(&printed, start, end));
    }
}

#[test]
fn a_marked_domain_gets_its_device_and_gives_it_back() {
    let host = Host::new();
    host.script(
        "10-capture",
        "#!/bin/sh\ncat > /tmp/captured-$2.xml\nenv > /tmp/captured-$2.env\necho \"$@\" > /tmp/captured-$2.args\n",
    );
    let attributes = &[("power/control", "auto"), ("power/control", "on")];
    host.define(
        A,
        &Definition {
            parent: "mtty",
            mdev_type: "mtty-2",
            attributes,
        },
    );
    let domain = DomainXml::new("first").with(A);
    domain.define();
    host.assert_no_device(A);

    virsh(&["start", "first"]);
    host.assert_device(A, "mtty", "mtty-2");
    let control = fs::read_to_string(files::device("mtty", A).join("power/control")).expect("an attribute");
    assert_eq!(control, "on\n");
    assert!(
        files::holds_open(files::qemu_pid("first"), "mtty", A),
        "QEMU does not hold the device open"
    );
    let uuid = domain.uuid;
    let expected = [
        format!("devices/{A}"),
        format!("claims/{A}"),
        format!("claimants/domain-{uuid}"),
    ];
    assert_eq!(files::ledger(), expected);
    assert_captured("first", "prepare", "first prepare begin -\n");

    // Another domain may not have it, and its release harms nobody.
    let second = DomainXml::new("second").with(A);
    second.define();
    let complaint = virsh_fails(&["start", "second"]);
    assert_eq!(
        our_line(&complaint),
        format!(
            "automdev: second: cannot use {A}: it belongs to first, which is running; stop that one first or give this domain another device"
        )
    );
    assert!(files::holds_open(files::qemu_pid("first"), "mtty", A));
    assert_eq!(files::ledger(), expected);

    // The daemon may come and go.
    let pid = files::qemu_pid("first");
    let restarted = Command::new("systemctl")
        .args(["restart", "libvirtd"])
        .status()
        .expect("systemctl");
    assert!(restarted.success());
    libvirt::wait_until_taken_up("first");
    assert_eq!(files::qemu_pid("first"), pid);
    host.assert_device(A, "mtty", "mtty-2");

    virsh(&["destroy", "first"]);
    host.assert_clean();
}

#[test]
fn a_transient_domain_that_shuts_itself_down_leaves_nothing() {
    let host = Host::new();
    host.define(A, &Definition::new("mdpy", "mdpy-vga"));
    DomainXml::new("transient")
        .with(A)
        .guest(Guest::ShutsDown)
        .create();
    // It may be over by now: what it had, QEMU's log says.
    files::wait_until_stopped("transient");
    let log = fs::read_to_string("/var/log/libvirt/qemu/transient.log").expect("a log");
    assert!(
        log.contains(&format!("/sys/bus/mdev/devices/{A}")) && log.contains("shutting down, reason=shutdown"),
        "{log}"
    );
    eventually("libvirt has called the hook", || files::ledger().is_empty());
    host.assert_clean();
}

#[test]
fn a_killed_qemu_leaves_nothing() {
    let host = Host::new();
    host.define(A, &Definition::new("mbochs", "mbochs-small"));
    host.define(B, &Definition::new("mtty", "mtty-1"));
    DomainXml::new("killed").with(A).with(B).define();
    virsh(&["start", "killed"]);
    host.assert_device(A, "mbochs", "mbochs-small");
    host.assert_device(B, "mtty", "mtty-1");
    let pid = files::qemu_pid("killed");
    let pid = nix::unistd::Pid::from_raw(pid.try_into().expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("killed");
    files::wait_until_stopped("killed");
    eventually("libvirt has called the hook", || files::ledger().is_empty());
    host.assert_clean();
}

#[test]
fn a_refused_start_shows_the_reason_and_leaves_nothing() {
    let host = Host::new();
    host.settings("[timeouts]\nparent = 0\nparent_at_boot = 0\n");
    host.define(A, &Definition::new("mtty", "mtty-1"));
    host.define(B, &Definition::new("mtty", "mtty-9"));
    DomainXml::new("refused").with(A).with(B).define();
    let complaint = virsh_fails(&["start", "refused"]);
    assert_eq!(
        our_line(&complaint),
        format!(
            "automdev: refused: cannot create {B} (mtty-9 on mtty): mtty offers no type mtty-9, only mtty-1, mtty-2; correct the definition"
        )
    );
    host.assert_clean();
}

#[test]
fn a_sibling_hook_that_fails_costs_the_device() {
    let host = Host::new();
    host.script(
        "90-fails",
        "#!/bin/sh\n[ \"$2\" != prepare ] || { ls /sys/bus/mdev/devices > /tmp/seen; exit 1; }\n",
    );
    host.define(A, &Definition::new("mtty", "mtty-1"));
    DomainXml::new("sibling").with(A).define();
    virsh_fails(&["start", "sibling"]);
    assert_eq!(
        fs::read_to_string("/tmp/seen").expect("the sibling ran"),
        format!("{A}\n")
    );
    host.assert_clean();
}

#[test]
fn a_device_that_was_there_is_adopted_and_left_standing() {
    let host = Host::new();
    host.define(A, &Definition::new("mtty", "mtty-2"));
    host.create_by_hand("mtty", "mtty-2", A);
    let inode = files::inode("mtty", A);
    DomainXml::new("adopts").with(A).define();
    virsh(&["start", "adopts"]);
    assert!(files::holds_open(files::qemu_pid("adopts"), "mtty", A));
    virsh(&["destroy", "adopts"]);
    assert_eq!(
        files::inode("mtty", A),
        inode,
        "the device is not the one that was there"
    );
    assert_eq!(files::ledger(), Vec::<String>::new());
    host.remove_by_hand(A);
    host.assert_clean();
}

#[test]
fn the_hook_works_in_each_place_and_form() {
    let host = Host::without_hook();
    host.define(A, &Definition::new("mtty", "mtty-1"));
    DomainXml::new("places").with(A).define();
    for (name, how) in [
        ("qemu", Install::Link),
        ("qemu", Install::Copy),
        ("qemu.d/50-automdev", Install::Copy),
    ] {
        host.install_hook(name, how);
        virsh(&["start", "places"]);
        host.assert_device(A, "mtty", "mtty-1");
        virsh(&["destroy", "places"]);
        host.assert_clean();
        host.uninstall_hook(name);
    }
    // The test can fail: without the hook there is no device.
    let complaint = virsh_fails(&["start", "places"]);
    assert!(complaint.contains(A), "{complaint}");
}

#[test]
fn a_users_own_libvirt_is_not_disturbed_unless_a_domain_is_marked() {
    let host = Host::new();
    host.define(A, &Definition::new("mtty", "mtty-1"));
    let session = |arguments: &[&str]| {
        let output = Command::new("runuser")
            .args([
                "-u",
                "tester",
                "--",
                "virsh",
                "--quiet",
                "--connect",
                "qemu:///session",
            ])
            .args(arguments)
            .output()
            .expect("runuser");
        (
            output.status.success(),
            String::from_utf8(output.stderr).expect("UTF-8"),
        )
    };
    if !Command::new("id")
        .arg("tester")
        .output()
        .expect("id")
        .status
        .success()
    {
        let made = Command::new("useradd")
            .args(["--create-home", "tester"])
            .status()
            .expect("useradd");
        assert!(made.success());
    }
    let plain = DomainXml::new("plain").file();
    let marked = DomainXml::new("marked").with(A).file();
    let (started, complaint) = session(&["create", &plain]);
    assert!(started, "{complaint}");
    let (started, complaint) = session(&["create", &marked]);
    assert!(!started);
    assert_eq!(
        our_line(&complaint),
        "automdev: marked: cannot create its mediated devices: only root may; start the domain under qemu:///system"
    );
    // The user's daemon is none of the host's.
    let reloaded = call(Command::new("automdev").args(["install-hook", "--reload"]), b"");
    assert_eq!((reloaded.status, reloaded.stderr.as_str()), (Some(0), ""));
    let said = |text: &str| reloaded.stdout.matches(text).count();
    assert_eq!(said("reloaded libvirtd ("), said("reloaded "), "{reloaded:?}");
    assert!(said("reloaded ") <= 1, "{reloaded:?}");
    assert!(session(&["destroy", "plain"]).0);
    host.assert_clean();
}

/// As where both have just been installed: while its drivers start, it pays a reload no heed.
#[test]
fn a_libvirt_that_has_only_just_started_is_waited_for() {
    let host = Host::new();
    host.define(A, &Definition::new("mtty", "mtty-2"));
    libvirt::start();
    let called = call(Command::new("automdev").args(["install-hook", "--reload"]), b"");
    assert_eq!((called.status, called.stderr.as_str()), (Some(0), ""));
    assert!(called.stdout.contains("\nreloaded libvirtd ("), "{called:?}");

    DomainXml::new("early").with(A).define();
    virsh(&["start", "early"]);
    host.assert_device(A, "mtty", "mtty-2");
    virsh(&["destroy", "early"]);
    host.assert_no_device(A);
    virsh(&["undefine", "early"]);
    host.assert_clean();
}
