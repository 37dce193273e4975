//! What is about numbers and combinations: the hook on the real kernel, called as libvirt calls it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::run::qemu::all_of;
use crate::support::vfio::Group;
use crate::support::{
    A, B, C, Called, Definition, DomainXml, Host, Left, Virsh, call, eventually, files, hook, hook_as,
    open_files,
};

#[test]
fn the_second_device_that_cannot_be_had_costs_the_first() {
    let host = Host::without_libvirt();
    host.settings("[timeouts]\nparent = 0\nparent_at_boot = 0\n");
    host.define(A, &Definition::new("mtty", "mtty-1"));
    let xml = DomainXml::new("vm").with(A).with(B).printed();
    let full = "there: mbochs-large 0f000000-0000-4000-8000-000000000000, mbochs-large 0f000000-0000-4000-8000-000000000001, mbochs-large 0f000000-0000-4000-8000-000000000002, mbochs-large 0f000000-0000-4000-8000-000000000003";
    for (parent, mdev_type, reason) in [
        ("mtty", "mtty-3", "mtty offers no type mtty-3, only mtty-1, mtty-2; correct the definition".to_owned()),
        ("mttyy", "mtty-1", "this host has no device mttyy (did you mean mtty?); load its driver, or move the definition to another parent".to_owned()),
        ("mbochs", "mbochs-large", format!("no instance of mbochs-large is left on mbochs ({full}); stop one of them or move this definition to another parent")),
    ] {
        let others: Vec<String> = (0..4).map(|number| format!("0f000000-0000-4000-8000-{number:012}")).collect();
        if parent == "mbochs" {
            for uuid in &others {
                host.create_by_hand("mbochs", "mbochs-large", uuid);
            }
        }
        host.define(B, &Definition::new(parent, mdev_type));
        hook("vm", "prepare begin", &xml).assert_refused(&format!("automdev: vm: cannot create {B} ({mdev_type} on {parent}): {reason}"));
        host.assert_no_device(A);
        hook("vm", "release end", &xml).assert_fine();
        if parent == "mbochs" {
            for uuid in &others {
                host.remove_by_hand(uuid);
            }
        }
        fs::remove_file(format!("/etc/mdevctl.d/{parent}/{B}")).expect("a definition");
        host.assert_clean();
    }
}

/// The plan counts each type alone; that two types share the room, only the driver knows.
#[test]
fn what_the_kernel_refuses_after_all_is_undone() {
    let host = Host::without_libvirt();
    // 256 MB in all: three of 64, then a medium one of 16, then one more of 64 that has no room left.
    let larges = [
        "1a000000-0000-4000-8000-000000000001",
        "1a000000-0000-4000-8000-000000000002",
        "1a000000-0000-4000-8000-000000000003",
    ];
    for uuid in larges {
        host.define(uuid, &Definition::new("mbochs", "mbochs-large"));
    }
    host.define(B, &Definition::new("mbochs", "mbochs-medium"));
    host.define(C, &Definition::new("mbochs", "mbochs-large"));
    let mut domain = DomainXml::new("vm");
    for uuid in larges {
        domain = domain.with(uuid);
    }
    let xml = domain.with(B).with(C).printed();
    hook("vm", "prepare begin", &xml).assert_refused(&format!(
        "automdev: vm: cannot create {C} (mbochs-large on mbochs): mbochs has no room left for mbochs-large (No space left on device); stop a domain that has a device there, or move this definition to another parent"
    ));
    host.assert_clean();
}

#[test]
fn each_refusal_has_its_own_line() {
    let host = Host::without_libvirt();
    let xml = DomainXml::new("vm").with(A).printed();
    let file = format!("/etc/mdevctl.d/mtty/{A}");
    hook("vm", "prepare begin", &xml).assert_refused(&format!(
        "automdev: vm: cannot create {A}: this host has no definition of it; make one with automdev define --uuid UUID --parent PARENT --type TYPE"
    ));
    for (text, why) in [
        ("{", "line 1, column 1: the JSON ends too early"),
        (
            r#"{"mdev_type":7}"#,
            "line 1, column 14: this is the number 7, where a string is needed",
        ),
        (
            r#"{"mdev_type":"a/b"}"#,
            "line 1, column 19: \"a/b\" is not a type's name: a slash may not be in it",
        ),
        (
            r#"{"mdev_type":".."}"#,
            "line 1, column 18: \"..\" is not a type's name: it would be another folder",
        ),
    ] {
        host.define_raw("mtty", A, text);
        hook("vm", "prepare begin", &xml).assert_refused(&format!(
            "automdev: vm: cannot create {A}: its definition {file} is broken: {why}; mend the file"
        ));
    }
    host.define(A, &Definition::new("mtty", "mtty-1"));
    hook("vm", "prepare begin", xml.replace("vfio-pci", "vfio-ccw")).assert_refused(&format!(
        "automdev: vm: cannot create {A} (mtty-1 on mtty): the domain says model=\"vfio-ccw\", but mtty-1 is vfio-pci; correct the domain's model or the definition's type"
    ));
    for (parent, mdev_type) in [("mtty", "mtty-2"), ("mdpy", "mdpy-vga")] {
        host.create_by_hand(parent, mdev_type, A);
        hook("vm", "prepare begin", &xml).assert_refused(&format!(
            "automdev: vm: cannot use {A}: it is active as {mdev_type} on {parent}, which automdev did not make and will not remove; remove it or correct its definition, which says mtty-1 on mtty"
        ));
        host.assert_device(A, parent, mdev_type);
        host.remove_by_hand(A);
    }
    host.define(
        A,
        &Definition {
            parent: "mtty",
            mdev_type: "mtty-1",
            attributes: &[("power/control", "maybe")],
        },
    );
    hook("vm", "prepare begin", &xml).assert_refused(&format!(
        "automdev: vm: cannot create {A} (mtty-1 on mtty): its attribute power/control does not take \"maybe\": the driver answers Invalid argument (EINVAL); correct the definition"
    ));
    host.define(
        A,
        &Definition {
            parent: "mtty",
            mdev_type: "mtty-1",
            attributes: &[("driver/unbind", "x")],
        },
    );
    hook("vm", "prepare begin", &xml).assert_refused(&format!(
        "automdev: vm: cannot create {A} (mtty-1 on mtty): its attribute driver/unbind does not take \"x\": the device has no such attribute; correct the definition"
    ));
    host.assert_clean();
}

#[test]
fn attributes_are_written_in_their_order() {
    let host = Host::without_libvirt();
    let attributes = &[
        ("power/control", "on"),
        ("power/control", "auto"),
        ("power/control", "on"),
    ];
    host.define(
        A,
        &Definition {
            parent: "mtty",
            mdev_type: "mtty-1",
            attributes,
        },
    );
    let xml = DomainXml::new("vm").with(A).printed();
    let traced = call(
        Command::new("strace")
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
            .args(["/usr/bin/automdev", "hook", "vm", "prepare", "begin", "-"]),
        xml.as_bytes(),
    );
    traced.assert_fine();
    let writes = fs::read_to_string("/tmp/writes").expect("a trace");
    let writes: Vec<&str> = writes
        .lines()
        .filter(|line| line.contains("</sys/"))
        .map(|line| {
            line.split_once("</sys/")
                .expect("just seen")
                .1
                .rsplit_once(" = ")
                .expect("a result")
                .0
        })
        .collect();
    let device = format!("devices/virtual/mtty/mtty/{A}/power/control");
    assert_eq!(
        writes,
        [
            format!("devices/virtual/mtty/mtty/mdev_supported_types/mtty-1/create>, \"{A}\", 36)"),
            format!("{device}>, \"on\", 2)"),
            format!("{device}>, \"auto\", 4)"),
            format!("{device}>, \"on\", 2)"),
        ]
    );
    hook("vm", "release end", &xml).assert_fine();
    host.assert_clean();
}

#[test]
fn a_device_without_a_definition_is_adopted_with_a_warning() {
    let host = Host::without_libvirt();
    host.create_by_hand("mtty", "mtty-1", A);
    let xml = DomainXml::new("stranger").with(A).printed();
    hook("stranger", "prepare begin", &xml).assert_fine();
    hook("stranger", "release end", &xml).assert_fine();
    host.assert_device(A, "mtty", "mtty-1");
    host.remove_by_hand(A);
    host.assert_clean();
    let journal = || {
        let output = Command::new("journalctl")
            .args(["-t", "automdev", "-p", "warning", "-o", "cat"])
            .output();
        String::from_utf8(output.expect("journalctl").stdout).expect("UTF-8")
    };
    let line = format!(
        "stranger: {A} (mtty-1 on mtty) was there before, and this host has no definition of it; stranger uses it and leaves it standing"
    );
    eventually("the journal has the warning", || {
        journal().lines().any(|read| read == line)
    });
}

#[test]
fn what_a_kill_left_half_made_is_made_anew() {
    let host = Host::without_libvirt();
    let attributes = &[("power/control", "on")];
    host.define(
        A,
        &Definition {
            parent: "mtty",
            mdev_type: "mtty-1",
            attributes,
        },
    );
    let xml = DomainXml::new("vm").with(A).printed();
    let prepare = |inject: &str| {
        let mut traced = Command::new("strace");
        traced.args(["-o", "/tmp/answers", "-e", "trace=recvfrom"]);
        if !inject.is_empty() {
            traced.args(["-e", inject]);
        }
        traced.args(["/usr/bin/automdev", "hook", "vm", "prepare", "begin", "-"]);
        call(&mut traced, xml.as_bytes())
    };
    // Whoever asks the driver answers it: the last time that the attribute is written, and before, that the device has
    // been made.
    prepare("").assert_fine();
    let answers = fs::read_to_string("/tmp/answers").expect("a trace");
    let answers = answers
        .lines()
        .filter(|line| line.starts_with("recvfrom("))
        .count();
    hook("vm", "release end", &xml).assert_fine();
    let killed = prepare(&format!("inject=recvfrom:signal=SIGKILL:when={}", answers - 1));
    assert_ne!(killed.status, Some(0), "{killed:?}");
    host.assert_device(A, "mtty", "mtty-1");
    let control = files::device("mtty", A).join("power/control");
    assert_eq!(
        fs::read_to_string(&control).expect("an attribute"),
        "auto\n",
        "it was killed too late"
    );
    let inode = files::inode("mtty", A);
    hook("vm", "prepare begin", &xml).assert_fine();
    assert_ne!(files::inode("mtty", A), inode, "the half-made device was adopted");
    assert_eq!(fs::read_to_string(&control).expect("an attribute"), "on\n");
    hook("vm", "release end", &xml).assert_fine();
    host.assert_clean();
}

#[test]
fn a_device_that_somebody_made_again_is_not_ours_any_more() {
    let host = Host::without_libvirt();
    host.define(A, &Definition::new("mtty", "mtty-1"));
    let xml = DomainXml::new("vm").with(A).printed();
    hook("vm", "prepare begin", &xml).assert_fine();
    host.remove_by_hand(A);
    host.create_by_hand("mtty", "mtty-1", A);
    hook("vm", "release end", &xml).assert_fine();
    host.assert_device(A, "mtty", "mtty-1");
    assert_eq!(files::ledger(), Vec::<String>::new());
    host.remove_by_hand(A);
    host.assert_clean();
}

#[test]
fn prepare_may_come_twice() {
    let host = Host::without_libvirt();
    for uuid in [A, B, C] {
        host.define(uuid, &Definition::new("mtty", "mtty-1"));
    }
    let first = DomainXml::new("vm").with(A).with(B).printed();
    let second = DomainXml::new("vm").with(B).with(C).printed();
    hook("vm", "prepare begin", &first).assert_fine();
    let inode = files::inode("mtty", B);
    hook("vm", "prepare begin", &first).assert_fine();
    assert_eq!(files::inode("mtty", B), inode);
    hook("vm", "prepare begin", &second).assert_fine();
    host.assert_no_device(A);
    assert_eq!(
        files::inode("mtty", B),
        inode,
        "a device that is still wanted was made anew"
    );
    host.assert_device(C, "mtty", "mtty-1");
    // The XML of release is not what counts.
    hook("vm", "release end", DomainXml::new("vm").printed()).assert_fine();
    host.assert_clean();
}

#[test]
fn release_needs_the_name_alone() {
    let host = Host::without_libvirt();
    host.define(A, &Definition::new("mtty", "mtty-1"));
    let xml = DomainXml::new("vm").with(A).printed();
    for input in ["", "<domain>", "no XML", "<domain><name>vm</name></domain>"] {
        hook("vm", "prepare begin", &xml).assert_fine();
        hook("other", "release end", input).assert_fine();
        host.assert_device(A, "mtty", "mtty-1");
        hook("vm", "release end", input).assert_fine();
        host.assert_clean();
        hook("vm", "release end", input).assert_fine();
    }
}

#[test]
fn a_domain_with_no_marks_costs_nothing() {
    let host = Host::without_libvirt();
    host.define(A, &Definition::new("mtty", "mtty-1"));
    let _ = fs::remove_dir_all("/run/automdev");
    for (name, xml) in [
        ("none", DomainXml::new("none").printed()),
        ("other", DomainXml::new("other").with_unmarked(A).printed()),
    ] {
        for operation in [
            "prepare begin",
            "start begin",
            "started begin",
            "stopped end",
            "release end",
        ] {
            hook(name, operation, &xml).assert_fine();
            hook_as(65534, name, operation, &xml).assert_fine();
        }
        assert!(
            !std::path::Path::new("/run/automdev").exists(),
            "a folder was made"
        );
    }
    let traced = call(
        Command::new("strace")
            .args([
                "-f",
                "-e",
                "trace=openat,open,openat2,mkdir,mkdirat",
                "-e",
                "signal=none",
                "-o",
                "/tmp/opens",
            ])
            .args(["/usr/bin/automdev", "hook", "none", "prepare", "begin", "-"]),
        DomainXml::new("none").printed().as_bytes(),
    );
    traced.assert_fine();
    let opens = fs::read_to_string("/tmp/opens").expect("a trace");
    let ours: Vec<&str> = opens
        .lines()
        .filter(|line| {
            ["/etc/", "/run/", "/sys/", "/dev/vfio"]
                .iter()
                .any(|path| line.contains(path))
        })
        .collect();
    // The dynamic linker's cache and the C library's look at the machine are none of our reading.
    let ours: Vec<&&str> = ours
        .iter()
        .filter(|line| !line.contains("/etc/ld.so") && !line.contains("/sys/devices/system/cpu"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
    host.assert_clean();
}

/// The uses that the kernel counts of VFIO's module beyond those of the modules that build on it.
fn uses() -> usize {
    let module = Path::new("/sys/module/vfio");
    let count = fs::read_to_string(module.join("refcnt")).expect("the module can be unloaded");
    let holders = fs::read_dir(module.join("holders")).expect("its holders").count();
    assert!(holders >= 2, "drivers build on it: {holders}");
    let count: usize = count.trim_end().parse().expect("a number");
    count.checked_sub(holders).expect("each counts once")
}

/// Nobody is looked for among the processes where there is at most one such use.
#[test]
fn the_kernel_counts_who_has_a_device_open_as_more_than_one_use_of_vfio() {
    let host = Host::without_libvirt();
    assert_eq!(uses(), 0, "there is no device");
    host.define(A, &Definition::new("mtty", "mtty-1"));
    let xml = DomainXml::new("vm").with(A).printed();
    hook("vm", "prepare begin", &xml).assert_fine();
    let idle = uses();
    assert!(idle <= 1, "nothing is open, but there are {idle} uses");
    let group = Group::of(A);
    assert!(uses() >= 2, "the group is open: {}", uses());
    let device = group.device(A);
    assert!(uses() >= 2, "the device is open: {}", uses());
    // As little as can be: of the device alone.
    drop(group);
    assert!(uses() >= 2, "the device is still open: {}", uses());
    drop(device);
    assert_eq!(uses(), idle, "nothing is open");
    hook("vm", "release end", &xml).assert_fine();
    assert_eq!(uses(), 0, "there is no device");
    host.assert_clean();
}

#[test]
fn a_user_without_rights_is_refused_clearly() {
    let host = Host::without_libvirt();
    host.define(A, &Definition::new("mtty", "mtty-1"));
    let _ = fs::remove_dir_all("/run/automdev");
    let xml = DomainXml::new("vm").with(A).printed();
    hook_as(65534, "vm", "prepare begin", &xml).assert_refused(
        "automdev: vm: cannot create its mediated devices: only root may; start the domain under qemu:///system",
    );
    hook_as(65534, "vm", "release end", &xml).assert_fine();
    // The same where root's folder is there already.
    hook("vm", "prepare begin", &xml).assert_fine();
    hook("vm", "release end", &xml).assert_fine();
    hook_as(65534, "vm", "prepare begin", &xml).assert_refused(
        "automdev: vm: cannot create its mediated devices: only root may; start the domain under qemu:///system",
    );
    hook_as(65534, "vm", "release end", &xml).assert_fine();
    host.assert_clean();
}

#[test]
fn bad_input_is_refused_at_prepare_and_never_at_reconnect() {
    let host = Host::without_libvirt();
    let deep = format!(
        "<domain>{}{}</domain>",
        "<a>".repeat(100_000),
        "</a>".repeat(100_000)
    );
    let large = format!("<domain>{}</domain>", " ".repeat(8 << 20));
    let xml = DomainXml::new("vm").printed();
    let truncated = &xml[..xml.len() / 2];
    for (input, reason) in [
        ("", Some("line 1, column 1: there is no XML, only an empty text")),
        (truncated, Some("the XML is not well-formed")),
        ("no XML", Some("the XML is not well-formed")),
        (large.as_str(), Some("larger than 8 MiB")),
        (deep.as_str(), None),
    ] {
        let start: String = input.chars().take(40).collect();
        for operation in [
            "reconnect begin",
            "start begin",
            "started begin",
            "stopped end",
            "migrate begin",
            "attach begin",
        ] {
            hook("vm", operation, input).assert_fine();
        }
        let Called {
            status,
            stdout,
            stderr,
        } = hook("vm", "prepare begin", input);
        assert_eq!(stdout, "", "{start}");
        match reason {
            Some(reason) => {
                assert_eq!(status, Some(1), "{start}: {stderr}");
                assert!(
                    stderr.starts_with("automdev: vm: ") && stderr.contains(reason),
                    "{start}: {stderr}"
                );
                assert_eq!(stderr.lines().count(), 1, "{start}: {stderr}");
            }
            // Read, or refused: either way without a crash.
            None => assert!(matches!(status, Some(0 | 1)), "{start}: {status:?} {stderr}"),
        }
    }
    host.assert_clean();
}

/// Starts and stops a domain a hundred times; nothing of it is left, not even an open file.
fn a_hundred_times(xml: &str, is_there: impl Fn()) {
    let (before, open) = (Left::now(), open_files());
    let begun = Instant::now();
    for _ in 0..100 {
        hook("vm", "prepare begin", xml).assert_fine();
        is_there();
        hook("vm", "release end", xml).assert_fine();
    }
    println!(
        "a hundred starts and stops in {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    before.assert_unchanged("after a hundred starts");
    assert!(all_of("automdev").is_empty());
    let more = open_files().saturating_sub(open);
    assert!(more < 80, "{more} files more are open");
}

#[test]
fn a_hundred_starts_and_stops_leave_the_host_as_it_was() {
    let host = Host::without_libvirt();
    host.define(A, &Definition::new("mtty", "mtty-1"));
    let xml = DomainXml::new("vm").with(A).xml();
    a_hundred_times(&xml, || host.assert_device(A, "mtty", "mtty-1"));
    host.assert_clean();
}

/// The same with several devices, one of which has an attribute.
#[test]
#[ignore = "long: a hundred starts; cargo xtask test --full runs it"]
fn a_hundred_starts_and_stops_with_several_devices_leave_the_host_as_it_was() {
    let host = Host::without_libvirt();
    let attributes = &[("power/control", "on")];
    host.define(
        A,
        &Definition {
            parent: "mtty",
            mdev_type: "mtty-2",
            attributes,
        },
    );
    host.define(B, &Definition::new("mdpy", "mdpy-vga"));
    host.define(C, &Definition::new("mbochs", "mbochs-large"));
    let xml = DomainXml::new("vm").with(A).with(B).with(C).printed();
    a_hundred_times(&xml, || {
        host.assert_device(A, "mtty", "mtty-2");
        host.assert_device(B, "mdpy", "mdpy-vga");
        host.assert_device(C, "mbochs", "mbochs-large");
    });
    host.assert_clean();
}
