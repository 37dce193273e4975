//! What `install-hook` puts in place, and what it leaves to others.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::definitions::automdev;
use crate::support::Tree;

const LINK: &str = "etc/libvirt/hooks/qemu.d/50-automdev";
const SINGLE: &str = "etc/libvirt/hooks/qemu";

/// A host with this libvirt, and automdev where it belongs.
fn host(libvirt: &str) -> Tree {
    let host = Tree::new();
    host.file("usr/bin/automdev", "").folder("etc/libvirt");
    mode(&host, "usr/bin/automdev", 0o755);
    host.file(
        &format!("usr/lib/{}-linux-gnu/{libvirt}", std::env::consts::ARCH),
        "",
    );
    host
}

fn mode(host: &Tree, path: &str, mode: u32) {
    fs::set_permissions(host.at(path), fs::Permissions::from_mode(mode)).expect("its mode");
}

#[track_caller]
fn assert_linked(host: &Tree, path: &str) {
    let target = fs::read_link(host.at(path)).expect(path);
    assert_eq!(target.to_str(), Some("/usr/bin/automdev"));
}

#[test]
fn it_goes_beside_others_where_libvirt_calls_it_there() {
    for (libvirt, path) in [
        ("libvirt.so.0.11003.0", LINK),
        ("libvirt.so.0.6005.0", LINK),
        ("libvirt.so.0.6004.0", SINGLE),
        ("libvirt.so.0", SINGLE),
    ] {
        let host = host(libvirt);
        assert_eq!(
            automdev(&host, "install-hook").printed(),
            format!("/{path} -> /usr/bin/automdev\n"),
            "{libvirt}"
        );
        assert_linked(&host, path);
        let before = host.snapshot();
        assert_eq!(
            automdev(&host, "install-hook").printed(),
            format!("/{path} is in place already\n")
        );
        before.assert_unchanged(&host.snapshot());
        assert_eq!(
            automdev(&host, "uninstall-hook").printed(),
            format!("removed /{path}\n")
        );
        assert_eq!(
            automdev(&host, "uninstall-hook").printed(),
            "there is no hook of automdev in /etc/libvirt/hooks\n"
        );
    }
}

#[test]
fn where_the_version_cannot_be_told_a_folder_tells_it() {
    let host = host("libvirt.so.0");
    host.folder("etc/libvirt/hooks/qemu.d");
    automdev(&host, "install-hook").printed();
    assert_linked(&host, LINK);
}

#[test]
fn the_form_and_the_folder_can_be_chosen() {
    let host = host("libvirt.so.0.11003.0");
    host.folder("opt/libvirt/hooks");
    assert_eq!(
        automdev(&host, "install-hook --as qemu --dir /opt/libvirt/hooks").printed(),
        "/opt/libvirt/hooks/qemu -> /usr/bin/automdev\n"
    );
    assert_linked(&host, "opt/libvirt/hooks/qemu");
    assert_eq!(
        automdev(&host, "uninstall-hook --dir /opt/libvirt/hooks").printed(),
        "removed /opt/libvirt/hooks/qemu\n"
    );
}

#[test]
fn two_hooks_of_ours_would_be_one_too_many() {
    let host = host("libvirt.so.0.11003.0");
    automdev(&host, "install-hook").printed();
    assert_eq!(
        automdev(&host, "install-hook --as qemu").failed(),
        format!(
            "automdev: cannot put the hook in place: /{LINK} is in place already, and libvirt would call both; \
             automdev uninstall-hook takes it away\n"
        )
    );
}

#[test]
fn somebody_elses_hook_is_left_alone() {
    let host = host("libvirt.so.0.11003.0");
    // As VFIO-Tools has it: a dispatcher, and folders with a domain's name in qemu.d.
    let dispatcher = "#!/bin/sh\nfind \"/etc/libvirt/hooks/qemu.d/$1/$2/$3\" -executable\n";
    host.file(SINGLE, dispatcher).file(
        "etc/libvirt/hooks/qemu.d/win10/prepare/begin/bind.sh",
        "#!/bin/sh\n",
    );
    let before = host.snapshot();
    assert_eq!(
        automdev(&host, "install-hook --as qemu").failed(),
        "automdev: cannot put the hook in place: /etc/libvirt/hooks/qemu is a file, and not automdev's; it is left as \
         it is; where libvirt is 6.5 or newer, --as qemu.d puts automdev beside it, else let that hook call automdev \
         hook \"$@\" with its own standard input\n"
            .replace("/etc/", &format!("{}/etc/", host.path().display()))
    );
    before.assert_unchanged(&host.snapshot());
    automdev(&host, "install-hook").printed();
    assert_linked(&host, LINK);
    automdev(&host, "uninstall-hook").printed();
    before.assert_unchanged(&host.snapshot());

    host.link_text(LINK, "/usr/local/bin/automdev");
    let before = host.snapshot();
    let complaint = automdev(&host, "install-hook").failed();
    assert!(
        complaint.contains("50-automdev is a link to /usr/local/bin/automdev, and not automdev's"),
        "{complaint}"
    );
    assert_eq!(
        automdev(&host, "uninstall-hook").printed(),
        "there is no hook of automdev in /etc/libvirt/hooks\n"
    );
    before.assert_unchanged(&host.snapshot());
}

#[test]
fn only_a_program_that_libvirt_can_execute_becomes_the_hook() {
    let host = host("libvirt.so.0.11003.0");
    let refused = |why: &str| {
        let before = host.snapshot();
        let complaint = automdev(&host, "install-hook").failed();
        assert!(
            complaint.starts_with("automdev: cannot put the hook in place: ") && complaint.contains(why),
            "{complaint}"
        );
        before.assert_unchanged(&host.snapshot());
    };
    mode(&host, "usr/bin/automdev", 0o644);
    refused("/usr/bin/automdev is no program that can be executed");
    fs::remove_file(host.at("usr/bin/automdev")).expect("a file");
    refused("there is no /usr/bin/automdev; put this program there first: install -m 755 ");
    host.link_text("usr/bin/automdev", "/opt/automdev");
    refused("/usr/bin/automdev is a link; put the program itself there");
}

#[test]
fn without_libvirt_nothing_is_made() {
    let host = Tree::new();
    host.file("usr/bin/automdev", "");
    mode(&host, "usr/bin/automdev", 0o755);
    let before = host.snapshot();
    let complaint = automdev(&host, "install-hook").failed();
    assert!(
        complaint.contains("/etc/libvirt; install libvirt first"),
        "{complaint}"
    );
    before.assert_unchanged(&host.snapshot());
    assert_eq!(
        automdev(&host, "uninstall-hook").printed(),
        "there is no hook of automdev in /etc/libvirt/hooks\n"
    );
}

#[test]
fn who_has_to_look_again_is_told() {
    let host = host("libvirt.so.0.11003.0");
    host.process(1_200_001, "virtqemud", &["/usr/sbin/virtqemud"], 100)
        .process(1_200_002, "qemu-system-x86", &["libvirtd"], 100);
    assert_eq!(
        automdev(&host, "install-hook").printed(),
        format!(
            "/{LINK} -> /usr/bin/automdev\n\
             virtqemud runs and looks for hooks when it is reloaded: systemctl reload virtqemud\n"
        )
    );
}

#[test]
fn the_last_hook_does_not_go_unnoticed() {
    let host = host("libvirt.so.0.11003.0");
    automdev(&host, "install-hook").printed();
    let uuid = "00000000-0000-4000-8000-000000000001";
    // Another one's, which is left standing.
    host.file(
        "run/automdev/claimants/domain-00000000-0000-4000-8000-000000000002",
        r#"{"schema":1,"name":"vm2","devices":["00000000-0000-4000-8000-000000000003"]}"#,
    );
    host.file(&format!("run/automdev/devices/{uuid}"), "{}").file(
        &format!("run/automdev/claimants/domain-{uuid}"),
        &format!(r#"{{"schema":1,"name":"vm1","devices":["{uuid}"]}}"#),
    );
    assert_eq!(
        automdev(&host, "uninstall-hook").warned(),
        "automdev: warning: these use devices that nobody removes when they stop, unless automdev reconcile is run \
         then: vm1\n"
    );
}
