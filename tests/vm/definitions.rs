//! Definitions, mdevctl and libvirt's node devices on a real host: what one of them writes, the others read.

mod callouts;
mod late;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{A, B, C, Called, Definition, DomainXml, Host, call, eventually, files, hook, virsh};

/// Runs automdev as a person would, and returns what it prints; it must succeed.
#[track_caller]
fn automdev(line: &str) -> String {
    let Called {
        status,
        stdout,
        stderr,
    } = automdev_with(line, "");
    assert_eq!(status, Some(0), "{line}: {stderr}");
    stdout
}

fn automdev_with(line: &str, input: &str) -> Called {
    call(
        Command::new("/usr/bin/automdev").args(line.split(' ')),
        input.as_bytes(),
    )
}

/// Runs mdevctl; it must succeed.
#[track_caller]
fn mdevctl(line: &str) -> String {
    let output = Command::new("mdevctl")
        .args(line.split(' '))
        .output()
        .expect("mdevctl is there");
    assert!(output.status.success(), "mdevctl {line}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// libvirt's name of a device: it has the parent's name at its end.
fn node_device(uuid: &str, parent: &str) -> String {
    format!("mdev_{}_{parent}", uuid.replace('-', "_"))
}

fn start_and_stop(uuid: &'static str, check: impl FnOnce()) {
    let xml = DomainXml::new("vm").with(uuid).xml();
    hook("vm", "prepare begin", &xml).assert_fine();
    check();
    hook("vm", "release end", &xml).assert_fine();
}

#[test]
fn what_mdevctl_defines_automdev_starts_and_shows() {
    let host = Host::without_libvirt();
    mdevctl(&format!("define --uuid {A} --parent mtty --type mtty-2 --auto"));
    mdevctl(&format!("modify --uuid {A} --addattr power/control --value on"));
    mdevctl(&format!("modify --uuid {A} --addattr power/control --value auto"));
    let row: serde_json::Value = serde_json::from_str(&automdev("list --format json")).expect("one row");
    assert_eq!(row["uuid"], A);
    assert_eq!(row["defined"]["start"], "auto");
    assert_eq!(
        row["defined"]["attributes"],
        serde_json::json!([["power/control", "on"], ["power/control", "auto"]])
    );
    start_and_stop(A, || host.assert_device(A, "mtty", "mtty-2"));
    host.assert_clean();
}

#[test]
fn what_automdev_defines_mdevctl_and_libvirt_see() {
    let host = Host::new();
    let line = format!(
        "--uuid {A} --parent mtty --type mtty-1 --attribute power/control=on --attribute power/control=auto"
    );
    automdev(&format!("define {line} --start auto"));
    assert_eq!(mdevctl("list -d").trim(), format!("{A} mtty mtty-1 auto"));
    // Byte for byte what mdevctl writes.
    let by_automdev = fs::read(format!("/etc/mdevctl.d/mtty/{A}")).expect("a definition");
    let json = mdevctl(&format!("list -d --uuid {A} --dumpjson"));
    fs::write("/tmp/definition.json", &json).expect("a file");
    mdevctl(&format!(
        "define --uuid {B} --parent mtty --jsonfile /tmp/definition.json"
    ));
    let by_mdevctl = fs::read(format!("/etc/mdevctl.d/mtty/{B}")).expect("a definition");
    assert_eq!(String::from_utf8(by_automdev), String::from_utf8(by_mdevctl));
    mdevctl(&format!("undefine --uuid {B}"));

    mdevctl(&format!("start --uuid {A}"));
    host.assert_device(A, "mtty", "mtty-1");
    mdevctl(&format!("stop --uuid {A}"));

    let name = node_device(A, "mtty");
    eventually("libvirt has it", || {
        virsh(&["nodedev-list", "--all", "--cap", "mdev"]).contains(&name)
    });
    let xml = virsh(&["nodedev-dumpxml", &name]);
    for part in [
        "<type id='mtty-1'/>",
        "<attr name='power/control' value='on'/>\n    <attr name='power/control' value='auto'/>",
    ] {
        assert!(xml.contains(part), "{xml}");
    }
    automdev(&format!("undefine {A}"));
    eventually("libvirt has it no more", || {
        !virsh(&["nodedev-list", "--all", "--cap", "mdev"]).contains(&name)
    });
    assert_eq!(mdevctl("list -d").trim(), "");
    host.assert_clean();
}

#[test]
fn what_virsh_defines_automdev_starts_and_prints_again() {
    let host = Host::new();
    let xml = format!(
        "<device><parent>mtty_mtty</parent><capability type='mdev'><type id='mtty-2'/><uuid>{A}</uuid>\
         <attr name='power/control' value='on'/></capability></device>"
    );
    fs::write("/tmp/device.xml", xml).expect("a file");
    virsh(&["nodedev-define", "/tmp/device.xml"]);
    start_and_stop(A, || {
        host.assert_device(A, "mtty", "mtty-2");
        let control = files::device("mtty", A).join("power/control");
        assert_eq!(fs::read_to_string(control).expect("an attribute"), "on\n");
    });

    // There and back again, each way.
    let stored = || fs::read_to_string(format!("/etc/mdevctl.d/mtty/{A}")).expect("a definition");
    let before = stored();
    let printed = automdev(&format!("show {A} --format nodedev"));
    fs::write("/tmp/device.xml", &printed).expect("a file");
    virsh(&["nodedev-undefine", &node_device(A, "mtty")]);
    virsh(&["nodedev-define", "/tmp/device.xml"]);
    assert_eq!(stored(), before);
    let dumped = virsh(&["nodedev-dumpxml", &node_device(A, "mtty")]);
    automdev(&format!("undefine {A}"));
    automdev_with("define -", &dumped);
    assert_eq!(stored(), before);
    let json = automdev(&format!("show {A} --format mdevctl"));
    fs::write("/tmp/definition.json", json).expect("a file");
    automdev(&format!("undefine {A}"));
    mdevctl(&format!(
        "define --uuid {A} --parent mtty --jsonfile /tmp/definition.json"
    ));
    assert_eq!(stored(), before);
    host.assert_clean();
}

#[test]
fn both_make_the_same_device_by_the_same_writes() {
    let host = Host::without_libvirt();
    for (uuid, parent, mdev_type, attributes) in [
        (A, "mtty", "mtty-1", &[][..]),
        (
            B,
            "mtty",
            "mtty-2",
            &["power/control=on", "power/control=auto", "power/control=on"][..],
        ),
        (C, "mdpy", "mdpy-vga", &["power/control=on"][..]),
    ] {
        let attributes: Vec<String> = attributes
            .iter()
            .map(|text| format!(" --attribute {text}"))
            .collect();
        automdev(&format!(
            "define --uuid {uuid} --parent {parent} --type {mdev_type}{}",
            attributes.concat()
        ));
        let xml = DomainXml::new("vm").with(uuid).xml();

        let ours = writes(
            Command::new("/usr/bin/automdev").args(["hook", "vm", "prepare", "begin", "-"]),
            &xml,
        );
        let by_automdev = tree(&files::device(parent, uuid));
        hook("vm", "release end", &xml).assert_fine();

        let theirs = writes(Command::new("mdevctl").args(["start", "--uuid", uuid]), "");
        let by_mdevctl = tree(&files::device(parent, uuid));
        mdevctl(&format!("stop --uuid {uuid}"));

        assert_eq!(by_automdev, by_mdevctl);
        assert!(by_automdev.len() > 10, "{by_automdev:?}");
        assert_eq!(ours, theirs);
        assert_eq!(ours.len(), 1 + attributes.len());
    }
    host.assert_clean();
}

/// What a command writes into sysfs, in its order: `PATH "VALUE"`.
fn writes(command: &mut Command, input: &str) -> Vec<String> {
    let mut traced = Command::new("strace");
    traced
        .args([
            "-f",
            "-e",
            "trace=write",
            "-e",
            "signal=none",
            "-y",
            "-s",
            "99",
            "-o",
            "/tmp/writes",
        ])
        .arg(command.get_program())
        .args(command.get_args());
    let Called { status, stderr, .. } = call(&mut traced, input.as_bytes());
    assert_eq!(status, Some(0), "{stderr}");
    let trace = fs::read_to_string("/tmp/writes").expect("a trace");
    let writes = trace.lines().filter_map(|line| {
        let (path, rest) = line.split_once("</sys/")?.1.split_once(">, ")?;
        let value = rest.rsplit_once("\", ")?.0;
        // By whichever way it goes there.
        let path = fs::canonicalize(Path::new("/sys").join(path)).unwrap_or_default();
        Some(format!("{} {value}\"", path.display()))
    });
    writes.collect()
}

/// Every file of a device and what it says, links and where they lead; without what differs between two devices
/// that are the same.
fn tree(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    collect(folder, folder, &mut lines);
    lines.sort();
    lines
}

fn collect(top: &Path, folder: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder of sysfs") {
        let path = entry.expect("an entry").path();
        let name = path.strip_prefix(top).expect("below it").display().to_string();
        // Counters, clocks, and numbers that are given anew each time.
        let changes = ["power/runtime_", "vfio-dev/", "iommu_group"];
        if changes.iter().any(|start| name.starts_with(start)) {
            lines.push(name.split('/').next().unwrap_or_default().to_owned());
        } else if path.is_symlink() {
            let target = fs::read_link(&path).expect("a link");
            lines.push(format!("{name} -> {}", target.display()));
        } else if path.is_dir() {
            collect(top, &path, lines);
        } else {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| format!("{:?}", error.kind()));
            lines.push(format!("{name} = {text}"));
        }
    }
    lines.sort();
    lines.dedup();
}

#[test]
fn what_the_host_can_do_is_shown_as_mdevctl_shows_it() {
    let host = Host::without_libvirt();
    host.create_by_hand("mtty", "mtty-1", A);
    let mut ours: Vec<String> = Vec::new();
    for line in automdev("types --format json").lines() {
        let parent: serde_json::Value = serde_json::from_str(line).expect("JSON");
        for one in parent["types"].as_array().expect("types") {
            ours.push(format!(
                "{} {} {} {}",
                parent["parent"], one["type"], one["available"], one["device_api"]
            ));
        }
    }
    let mut theirs = Vec::new();
    let listed: serde_json::Value = serde_json::from_str(&mdevctl("types --dumpjson")).expect("JSON");
    for (parent, types) in listed[0].as_object().expect("parents") {
        for one in types.as_array().expect("types") {
            for (name, rest) in one.as_object().expect("a type") {
                let (available, api) = (&rest["available_instances"], &rest["device_api"]);
                theirs.push(format!("\"{parent}\" \"{name}\" {available} {api}"));
            }
        }
    }
    theirs.sort();
    ours.sort();
    assert_eq!(ours, theirs);
    let text = automdev("list");
    assert!(text.contains(&format!("{A}  mtty-1  -        other")), "{text}");
    host.remove_by_hand(A);
    host.assert_clean();
}

#[test]
fn one_lookup_opens_one_file_of_ten_thousand() {
    let host = Host::without_libvirt();
    let opens = |uuid: &str| {
        let xml = DomainXml::new("vm").with(A).xml();
        let mut traced = Command::new("strace");
        traced
            .args([
                "-f",
                "-e",
                "trace=open,openat,getdents64",
                "-e",
                "signal=none",
                "-y",
                "-o",
                "/tmp/opens",
            ])
            .args(["/usr/bin/automdev", "hook", "vm", "prepare", "begin", "-"]);
        call(&mut traced, xml.as_bytes()).assert_fine();
        hook("vm", "release end", &xml).assert_fine();
        let trace = fs::read_to_string("/tmp/opens").expect("a trace");
        let ours = trace.lines().filter(|line| line.contains("/etc/mdevctl.d/mtty"));
        assert!(ours.clone().all(|line| line.contains(uuid)), "{trace}");
        (
            ours.count(),
            trace
                .lines()
                .filter(|line| line.contains("/etc/mdevctl.d"))
                .count(),
        )
    };
    host.define(A, &Definition::new("mtty", "mtty-1"));
    let few = opens(A);
    let files: Vec<String> = (0..10_000)
        .map(|number| format!("/etc/mdevctl.d/mtty/0d000000-0000-4000-8000-{number:012}"))
        .collect();
    for file in &files {
        fs::write(file, r#"{"mdev_type":"mtty-1","start":"manual","attrs":[]}"#).expect("a definition");
    }
    let many = opens(A);
    for file in &files {
        fs::remove_file(file).expect("a definition");
    }
    assert_eq!(many, few);
    assert_eq!(few.0, 1);
    host.assert_clean();
}
