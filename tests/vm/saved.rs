//! Domains that go into a file and come back: their device is not there meanwhile, and is made anew before QEMU reads
//! what was in it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{
    A, B, Definition, DomainXml, Host, Virsh, empty_qcow2, files, our_line, virsh, virsh_fails,
};

/// Where libvirt's calls are written down.
const OPERATIONS: &str = "/tmp/operations";

/// Whether a driver here can say what is in one of its devices: mtty from Linux 6.7 on.
fn can_be_saved() -> bool {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's release");
    let mut numbers = text.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let release = (
        numbers.next().expect("a number"),
        numbers.next().expect("a number"),
    );
    println!("Linux {}.{}", release.0, release.1);
    release >= (6, 7)
}

/// A host that writes down each call of libvirt's, with the devices that there are just before automdev is called.
fn watched_host() -> Host {
    let host = Host::new();
    host.script(
        "10-watch",
        &format!("#!/bin/sh\necho $2 $4: $(ls /sys/bus/mdev/devices) >> {OPERATIONS}\n"),
    );
    let _ = operations();
    host
}

/// What libvirt has called since it was last asked.
fn operations() -> Vec<String> {
    let text = fs::read_to_string(OPERATIONS).unwrap_or_default();
    fs::write(OPERATIONS, "").expect("a file");
    text.lines().map(str::to_owned).collect()
}

/// It runs, with that device of its own, and nothing else is known.
#[track_caller]
fn assert_runs(host: &Host, domain: &DomainXml, uuid: &str, mdev_type: &str) {
    assert_eq!(virsh(&["domstate", domain.name]).trim(), "running");
    host.assert_device(uuid, "mtty", mdev_type);
    assert!(files::holds_open(files::qemu_pid(domain.name), "mtty", uuid));
    let expected = [
        format!("devices/{uuid}"),
        format!("claims/{uuid}"),
        format!("claimants/domain-{}", domain.uuid),
    ];
    assert_eq!(files::ledger(), expected);
}

/// Where nothing can be saved, a domain that is to be runs on with its device.
fn assert_stays(host: &Host) {
    host.define(A, &Definition::new("mtty", "mtty-2"));
    let domain = DomainXml::new("stays").with(A);
    domain.create();
    let inode = files::inode("mtty", A);
    println!("{}", virsh_fails(&["save", "stays", "/tmp/stays.saved"]));
    assert_runs(host, &domain, A, "mtty-2");
    assert_eq!(files::inode("mtty", A), inode);
    virsh(&["destroy", "stays"]);
    host.assert_clean();
}

/// What is said where nothing defines the device.
fn no_definition(name: &str) -> String {
    format!(
        "automdev: {name}: cannot create {A}: this host has no definition of it; make one with automdev define --uuid UUID --parent PARENT --type TYPE"
    )
}

/// An attribute that every device has, as it is now.
fn control(uuid: &str) -> String {
    fs::read_to_string(files::device("mtty", uuid).join("power/control")).expect("an attribute")
}

fn defined_with<'a>(mdev_type: &'a str, attributes: &'a [(&'a str, &'a str)]) -> Definition<'a> {
    Definition {
        parent: "mtty",
        mdev_type,
        attributes,
    }
}

/// mdpy has no way to say what is in its devices; nor has mtty in Linux 6.1.
#[test]
fn a_domain_that_cannot_be_saved_keeps_its_devices() {
    let host = watched_host();
    host.define(A, &Definition::new("mtty", "mtty-2"));
    host.define(B, &Definition::new("mdpy", "mdpy-vga"));
    let domain = DomainXml::new("stays").with(A).with(B).with_disk();
    fs::write(domain.disk(), empty_qcow2()).expect("a disk");
    domain.define();
    virsh(&["start", "stays"]);
    let state = || {
        (
            files::qemu_pid("stays"),
            files::inode("mtty", A),
            files::inode("mdpy", B),
            files::ledger(),
        )
    };
    let before = state();
    let started = operations();
    assert_eq!(started.len(), 3, "{started:?}");

    let file = "/var/lib/libvirt/images/stays.saved";
    let memory = "file=/var/lib/libvirt/images/stays.memory,snapshot=external";
    for arguments in [
        &["save", "stays", file][..],
        &["managedsave", "stays"],
        &["snapshot-create-as", "stays", "inside"],
        &["snapshot-create-as", "stays", "outside", "--memspec", memory],
    ] {
        let complaint = virsh_fails(arguments);
        println!("{arguments:?}: {complaint}");
        assert!(complaint.contains("igrat"), "{complaint}");
        assert_eq!(virsh(&["domstate", "stays"]).trim(), "running");
        assert_eq!(state(), before, "{arguments:?}");
        let pid = files::qemu_pid("stays");
        assert!(files::holds_open(pid, "mtty", A) && files::holds_open(pid, "mdpy", B));
    }
    assert_eq!(operations(), Vec::<String>::new());
    for left in [file, "/var/lib/libvirt/images/stays.memory"] {
        assert!(!Path::new(left).exists(), "{left}");
    }
    assert_eq!(virsh(&["snapshot-list", "--name", "stays"]).trim(), "");

    virsh(&["destroy", "stays"]);
    host.assert_clean();
    virsh(&["undefine", "stays"]);
}

/// QEMU 10 finds out too late that it cannot follow what an mtty writes into memory: libvirt has stopped the processors by
/// then and begun to write the file. QEMU 7.2 refuses at once.
#[test]
fn a_domain_whose_save_fails_keeps_its_device() {
    let host = watched_host();
    host.define(A, &Definition::new("mtty", "mtty-2"));
    let domain = DomainXml::new("begun").with(A);
    domain.define();
    virsh(&["start", "begun"]);
    let (pid, inode) = (files::qemu_pid("begun"), files::inode("mtty", A));
    let _ = operations();
    println!("{}", virsh_fails(&["managedsave", "begun"]));
    assert_runs(&host, &domain, A, "mtty-2");
    let now = (files::qemu_pid("begun"), files::inode("mtty", A));
    assert_eq!((now, operations()), ((pid, inode), Vec::new()));
    let kept = virsh(&["list", "--all", "--with-managed-save", "--name"]);
    assert_eq!(kept.trim(), "");
    virsh(&["destroy", "begun"]);
    host.assert_clean();
    virsh(&["undefine", "begun"]);
}

/// A transient domain: while it is in the file, libvirt knows nothing of it.
#[test]
fn a_saved_domain_gets_its_device_anew_when_it_is_restored() {
    let host = watched_host();
    if !can_be_saved() {
        return assert_stays(&host);
    }
    let file = "/var/lib/libvirt/images/kept.saved";
    host.define(A, &Definition::new("mtty", "mtty-2"));
    let domain = DomainXml::new("kept").with(A).that_can_move();
    domain.create();
    assert_runs(&host, &domain, A, "mtty-2");
    let inode = files::inode("mtty", A);
    let _ = operations();

    // There is too little room for it: it runs on, with the device that it had.
    fails_for_want_of_room("kept");
    assert_runs(&host, &domain, A, "mtty-2");
    assert_eq!(files::inode("mtty", A), inode);
    assert_eq!(operations(), Vec::<String>::new());

    virsh(&["save", "kept", file]);
    host.assert_clean();
    assert_eq!(virsh(&["list", "--all", "--name"]).trim(), "");
    let stopped = [format!("stopped -: {A}"), format!("release saved: {A}")];
    assert_eq!(operations(), stopped);

    // Nothing says any more what it is.
    fs::remove_file(format!("/etc/mdevctl.d/mtty/{A}")).expect("a definition");
    let complaint = virsh_fails(&["restore", file]);
    assert_eq!(our_line(&complaint), no_definition("kept"));
    host.assert_clean();

    // It is defined as what it was not: its driver does not take what was saved.
    host.define(A, &Definition::new("mtty", "mtty-1"));
    let _ = operations();
    let complaint = virsh_fails(&["restore", file]);
    println!("another type: {complaint}");
    assert!(!complaint.contains("automdev: "), "{complaint}");
    let tried = operations();
    assert!(tried.contains(&format!("start -: {A}")), "{tried:?}");
    host.assert_clean();

    // Another domain has it meanwhile.
    host.define(A, &Definition::new("mtty", "mtty-2"));
    let other = DomainXml::new("other").with(A);
    other.create();
    let complaint = virsh_fails(&["restore", file]);
    assert_eq!(
        our_line(&complaint),
        format!(
            "automdev: kept: cannot use {A}: it belongs to other, which is running; stop that one first or give this domain another device"
        )
    );
    assert_runs(&host, &other, A, "mtty-2");
    virsh(&["destroy", "other"]);
    host.assert_clean();

    // Each of them left the file as it was; what the driver does not mind may have changed.
    host.define(A, &defined_with("mtty-2", &[("power/control", "on")]));
    let _ = operations();
    virsh(&["restore", file]);
    assert_runs(&host, &domain, A, "mtty-2");
    assert_eq!(control(A), "on\n");
    let come_back = [
        "restore -:".to_owned(),
        "prepare -:".to_owned(),
        format!("start -: {A}"),
        format!("started -: {A}"),
    ];
    assert_eq!(operations(), come_back);
    virsh(&["destroy", "kept"]);
    host.assert_clean();

    // The file's XML may name another device.
    host.define(B, &Definition::new("mtty", "mtty-2"));
    let saved = virsh(&["save-image-dumpxml", "--security-info", file]);
    fs::write("/tmp/kept-with-b.xml", saved.replace(A, B)).expect("a file");
    virsh(&["restore", file, "--xml", "/tmp/kept-with-b.xml"]);
    assert_runs(&host, &domain, B, "mtty-2");
    virsh(&["destroy", "kept"]);
    host.assert_clean();
    fs::remove_file(file).expect("a file");
}

/// The file system is full when libvirt has written its own part, and QEMU some of its own.
#[track_caller]
fn fails_for_want_of_room(name: &str) {
    let run = |program: &str, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).status();
        assert!(status.expect("a program").success(), "{program} {arguments:?}");
    };
    let folder = "/mnt/full";
    fs::create_dir_all(folder).expect("a folder");
    run("mount", &["-t", "tmpfs", "-o", "size=128k", "tmpfs", folder]);
    let complaint = virsh_fails(&["save", name, "/mnt/full/saved"]);
    println!("no room: {complaint}");
    run("umount", &[folder]);
}

/// A domain that libvirt keeps, with its state, and a device of a pool.
#[test]
fn a_managed_save_gets_a_pools_device_anew() {
    let host = watched_host();
    if !can_be_saved() {
        return assert_stays(&host);
    }
    host.pool("any", "[[member]]\ntype = 'mtty-2'\n");
    let domain = DomainXml::new("managed").of_pool(A, "any").that_can_move();
    domain.define();
    virsh(&["start", "managed"]);
    assert_runs(&host, &domain, A, "mtty-2");

    let is_kept = || virsh(&["list", "--all", "--with-managed-save", "--name"]).contains("managed");
    virsh(&["managedsave", "managed"]);
    host.assert_clean();
    assert!(is_kept());

    fs::remove_file("/etc/automdev/pools.d/any.toml").expect("a pool");
    let complaint = virsh_fails(&["start", "managed"]);
    assert_eq!(
        our_line(&complaint),
        format!(
            "automdev: managed: cannot create {A}: this host has no pool any; describe it in /etc/automdev/pools.d/any.toml"
        )
    );
    host.assert_clean();
    assert!(is_kept(), "the state is lost");

    // The pool has become another.
    host.pool(
        "any",
        "[[member]]\ntype = 'nvidia-63'\n[[member]]\ntype = 'mtty-2'\nattributes = [['power/control', 'on']]\n",
    );
    let _ = operations();
    virsh(&["start", "managed"]);
    assert_runs(&host, &domain, A, "mtty-2");
    assert_eq!(control(A), "on\n");
    assert_eq!(operations()[0], "restore -:");
    assert!(!is_kept());
    virsh(&["destroy", "managed"]);
    host.assert_clean();
    virsh(&["undefine", "managed"]);
}

#[test]
fn a_snapshot_gets_its_device_anew_when_it_is_gone_back_to() {
    let host = watched_host();
    if !can_be_saved() {
        return assert_stays(&host);
    }
    host.define(A, &Definition::new("mtty", "mtty-2"));
    let domain = DomainXml::new("snapped").with(A).that_can_move().with_disk();
    fs::write(domain.disk(), empty_qcow2()).expect("a disk");
    domain.define();
    virsh(&["start", "snapped"]);
    assert_runs(&host, &domain, A, "mtty-2");
    let (pid, inode) = (files::qemu_pid("snapped"), files::inode("mtty", A));
    let _ = operations();

    // Within the disk's file: it runs on as it was.
    virsh(&["snapshot-create-as", "snapped", "inside"]);
    assert_runs(&host, &domain, A, "mtty-2");
    let now = (files::qemu_pid("snapped"), files::inode("mtty", A));
    assert_eq!((now, operations()), ((pid, inode), Vec::new()));

    // From a domain that runs, and from one that does not.
    virsh(&["snapshot-revert", "snapped", "inside"]);
    let anew = [
        "prepare -:".to_owned(),
        format!("start -: {A}"),
        format!("started -: {A}"),
    ];
    let stopped = [format!("stopped -: {A}"), format!("release from snapshot: {A}")];
    assert_eq!(operations(), [&stopped[..], &anew].concat());
    assert_runs(&host, &domain, A, "mtty-2");
    assert_ne!(files::qemu_pid("snapped"), pid);
    virsh(&["destroy", "snapped"]);
    host.assert_clean();
    let _ = operations();
    virsh(&["snapshot-revert", "snapped", "inside"]);
    assert_eq!(operations(), anew);
    assert_runs(&host, &domain, A, "mtty-2");

    // Into a file of its own, from which the domain is restored.
    let (pid, inode) = (files::qemu_pid("snapped"), files::inode("mtty", A));
    let memory = "/var/lib/libvirt/images/snapped.memory";
    let option = format!("file={memory},snapshot=external");
    virsh(&["snapshot-create-as", "snapped", "outside", "--memspec", &option]);
    assert_runs(&host, &domain, A, "mtty-2");
    let now = (files::qemu_pid("snapped"), files::inode("mtty", A));
    assert_eq!((now, operations()), ((pid, inode), Vec::new()));
    virsh(&["destroy", "snapped"]);
    host.assert_clean();
    virsh(&["restore", memory]);
    assert_runs(&host, &domain, A, "mtty-2");
    virsh(&["destroy", "snapped"]);
    host.assert_clean();
    let _ = operations();
    virsh(&["snapshot-revert", "snapped", "outside"]);
    assert_eq!(operations(), anew);
    assert_runs(&host, &domain, A, "mtty-2");

    // libvirt has ended what ran before it asks for the device: a revert that fails leaves the domain off.
    fs::remove_file(format!("/etc/mdevctl.d/mtty/{A}")).expect("a definition");
    for (snapshot, ran) in [("outside", true), ("outside", false), ("inside", false)] {
        let _ = operations();
        let complaint = virsh_fails(&["snapshot-revert", "snapped", snapshot]);
        assert_eq!(our_line(&complaint), no_definition("snapped"));
        println!("{snapshot}: {:?}", operations());
        assert_eq!(virsh(&["domstate", "snapped"]).trim(), "shut off", "{ran}");
        host.assert_clean();
    }
    host.define(A, &Definition::new("mtty", "mtty-2"));
    virsh(&["snapshot-revert", "snapped", "inside"]);
    assert_runs(&host, &domain, A, "mtty-2");
    virsh(&["destroy", "snapped"]);
    host.assert_clean();
    virsh(&["undefine", "snapped", "--snapshots-metadata"]);
}

/// There is nothing of a device in a snapshot of a domain that is off: any driver's will do.
#[test]
fn a_domain_goes_back_to_when_it_was_off() {
    let host = watched_host();
    host.define(A, &Definition::new("mtty", "mtty-2"));
    let domain = DomainXml::new("rolled").with(A).with_disk();
    fs::write(domain.disk(), empty_qcow2()).expect("a disk");
    domain.define();
    virsh(&["snapshot-create-as", "rolled", "off"]);
    assert_eq!(operations(), Vec::<String>::new());
    let is_off = || virsh(&["domstate", "rolled"]).trim() == "shut off";
    let anew = [
        "prepare -:".to_owned(),
        format!("start -: {A}"),
        format!("started -: {A}"),
    ];
    // libvirt tells why from 10.5 on.
    let left = |calls: &[String]| {
        let why = ["release -: ", "release from snapshot: "].map(|call| format!("{call}{A}"));
        calls.len() == 2 && calls[0] == format!("stopped -: {A}") && why.contains(&calls[1])
    };

    // It is off again, and to be started by hand.
    virsh(&["start", "rolled"]);
    assert_runs(&host, &domain, A, "mtty-2");
    let _ = operations();
    virsh(&["snapshot-revert", "rolled", "off"]);
    assert!(is_off());
    let calls = operations();
    assert!(left(&calls), "{calls:?}");
    host.assert_clean();

    // It is started with that.
    virsh(&["snapshot-revert", "rolled", "off", "--running"]);
    assert_runs(&host, &domain, A, "mtty-2");
    assert_eq!(operations(), anew);
    let pid = files::qemu_pid("rolled");

    // What runs is ended first.
    virsh(&["snapshot-revert", "rolled", "off", "--running"]);
    assert_runs(&host, &domain, A, "mtty-2");
    assert_ne!(files::qemu_pid("rolled"), pid);
    let calls = operations();
    assert!(
        calls.len() == 5 && left(&calls[..2]) && calls[2..] == anew,
        "{calls:?}"
    );

    // Nothing says any more what it is: it ended before that was asked, and is off.
    fs::remove_file(format!("/etc/mdevctl.d/mtty/{A}")).expect("a definition");
    for _ in 0..2 {
        let complaint = virsh_fails(&["snapshot-revert", "rolled", "off", "--running"]);
        assert_eq!(our_line(&complaint), no_definition("rolled"));
        assert!(is_off());
        host.assert_clean();
    }
    virsh(&["snapshot-revert", "rolled", "off"]);
    assert!(is_off());
    host.assert_clean();
    virsh(&["undefine", "rolled", "--snapshots-metadata"]);
}
