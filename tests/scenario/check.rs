//! What `check` says of a host on which all is well, and of hosts that are each broken in one way.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::definitions::automdev;
use crate::plan::reads::Reachable;
use crate::support::Tree;

const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const LINK: &str = "etc/libvirt/hooks/qemu.d/50-automdev";

/// A host on which a start works.
fn healthy() -> Tree {
    let host = Tree::new();
    host.mtty()
        .definition("mtty", A, "mtty-2", &[])
        .file("usr/bin/automdev", "program")
        .link_text(LINK, "/usr/bin/automdev")
        .file("etc/libvirt/qemu/vm1.xml", &domain(&mark()))
        .file("proc/stat", "cpu 1\nbtime 4000000000\n")
        .process(1_200_001, "libvirtd", &["/usr/sbin/libvirtd"], 1000)
        .file("sys/module/apparmor/parameters/enabled", "Y\n")
        .file(
            "sys/kernel/security/apparmor/profiles",
            "virt-aa-helper (enforce)\nlibvirtd (enforce)\n",
        );
    executable(&host, "usr/bin/automdev");
    host
}

fn executable(host: &Tree, path: &str) {
    fs::set_permissions(host.at(path), fs::Permissions::from_mode(0o755)).expect("its mode");
}

fn mark() -> String {
    format!(
        "<metadata><automdev:devices xmlns:automdev='urn:automdev:domain:1'><automdev:mdev uuid='{A}'/>\
         </automdev:devices></metadata>"
    )
}

fn domain(metadata: &str) -> String {
    format!(
        "<domain type='kvm'><name>vm1</name>{metadata}<devices><hostdev mode='subsystem' type='mdev' model='vfio-pci'>\
         <source><address uuid='{A}'/></source></hostdev></devices></domain>"
    )
}

/// The codes of what is wrong; nothing is changed by looking.
#[track_caller]
fn problems(host: &Tree) -> Vec<String> {
    let before = host.snapshot();
    let ended = automdev(host, "check --format json");
    before.assert_unchanged(&host.snapshot());
    assert_eq!(ended.stderr, "");
    let found: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let wrong: Vec<&Value> = found.iter().filter(|one| one["result"] == "problem").collect();
    assert_eq!(ended.status, Some(if wrong.is_empty() { 0 } else { 3 }));
    let code = |one: &&Value| {
        assert_eq!(one["schema"], 1);
        one["code"].as_str().expect("a code").to_owned()
    };
    wrong.iter().map(code).collect()
}

#[test]
fn a_healthy_host_is_told_so() {
    let host = healthy();
    assert_eq!(problems(&host), Vec::<String>::new());
    assert_eq!(
        automdev(&host, "check").printed(),
        "✓ kernel       mediated devices of 2 types on 1 parent\n\
         ✓ definitions  1 defined, 0 there\n\
         ✓ hook         /etc/libvirt/hooks/qemu.d/50-automdev leads to /usr/bin/automdev\n\
         ✓ confinement  AppArmor confines libvirt's daemon, which may execute\n\
         \x20              /usr/bin/automdev\n\
         ✓ ledger       nothing is left over\n\
         ✓ domains      1 domain with marked devices\n\
         no problems\n"
    );
}

/// Breaks a healthy host, and names what is to be found.
type Broken = (&'static str, fn(&Tree));

const BROKEN: [Broken; 27] = [
    ("settings-broken", |host| {
        host.file("etc/automdev/automdev.toml", "selct = 'managed'\n");
    }),
    ("no-vfio", |host| {
        fs::remove_file(host.at("dev/vfio/vfio")).expect("a node");
    }),
    ("nvidia-vfio", |host| {
        let folder = "sys/devices/pci0000:80/0000:81:00.4";
        host.file(&format!("{folder}/nvidia/current_vgpu_type"), "0\n")
            .link("sys/bus/pci/devices/0000:81:00.4", folder);
    }),
    ("definition-broken", |host| {
        host.file("etc/mdevctl.d/mtty/d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b", "{");
    }),
    ("type-unknown", |host| {
        host.definition("mtty", "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b", "mtty-9", &[]);
    }),
    ("parent-absent", |host| {
        host.definition("mttyy", "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b", "mtty-1", &[]);
    }),
    ("no-definition", |host| {
        fs::remove_file(host.at(format!("etc/mdevctl.d/mtty/{A}"))).expect("a definition");
    }),
    ("model-mismatch", |host| {
        host.file(
            "etc/libvirt/qemu/vm1.xml",
            &domain(&mark()).replace("vfio-pci", "vfio-ap"),
        );
    }),
    ("hook-missing", |host| {
        fs::remove_file(host.at(LINK)).expect("a link");
    }),
    ("hook-not-executable", |host| {
        fs::remove_file(host.at("usr/bin/automdev")).expect("a program");
    }),
    ("hook-not-executable", |host| {
        let mode = fs::Permissions::from_mode(0o644);
        fs::set_permissions(host.at("usr/bin/automdev"), mode).expect("its mode");
    }),
    ("hook-twice", |host| {
        host.link_text("etc/libvirt/hooks/qemu", "/usr/bin/automdev");
    }),
    ("hook-elsewhere", |host| {
        fs::remove_file(host.at(LINK)).expect("a link");
        host.link_text(LINK, "/usr/local/bin/automdev");
    }),
    ("hook-copy", |host| {
        fs::remove_file(host.at(LINK)).expect("a link");
        host.file(LINK, "program");
        executable(host, LINK);
    }),
    ("hook-backup", |host| {
        host.file("etc/libvirt/hooks/qemu.d/10-gpu.sh~", "#!/bin/sh\n");
        executable(host, "etc/libvirt/hooks/qemu.d/10-gpu.sh~");
    }),
    ("hook-not-seen", |host| {
        host.file("proc/stat", "btime 1000000000\n");
    }),
    ("selinux", |host| {
        host.file("sys/fs/selinux/enforce", "1")
            .file("sys/fs/selinux/booleans/virt_hooks_unconfined", "0 0");
    }),
    ("mark-missing", |host| {
        host.file("etc/libvirt/qemu/vm1.xml", &domain(""));
    }),
    ("made-at-boot", |host| {
        host.file("usr/lib/udev/rules.d/60-mdevctl.rules", "").file(
            &format!("etc/mdevctl.d/mtty/{A}"),
            r#"{"mdev_type":"mtty-2","start":"auto"}"#,
        );
    }),
    ("no-parents", |host| {
        fs::remove_dir_all(host.at("etc/mdevctl.d/mtty")).expect("the definitions");
        fs::remove_file(host.at("sys/class/mdev_bus/mtty")).expect("the parent");
    }),
    ("pool-broken", |host| {
        host.file("etc/automdev/pools.d/p.toml", "[[member]]\ntyp = 'mtty-2'\n");
    }),
    ("pool-broken", |host| {
        host.file("etc/automdev/pools.d/p.toml", "[[member]]\ntype = 'mtty-2'\n");
        let mode = fs::Permissions::from_mode(0o666);
        fs::set_permissions(host.at("etc/automdev/pools.d/p.toml"), mode).expect("its mode");
    }),
    ("parent-absent", |host| {
        let members = "[[member]]\ntype = 'mtty-2'\nparents = ['mtty', 'mtti*']\n";
        host.file("etc/automdev/pools.d/p.toml", members);
    }),
    ("pool-skipped", |host| {
        host.file("etc/automdev/pools.d/-p.toml", "[[member]]\ntype = 'mtty-2'\n");
    }),
    ("no-pool", |host| {
        let mark = mark().replace("'/>", "' pool='p'/>");
        host.file("etc/libvirt/qemu/vm1.xml", &domain(&mark));
    }),
    ("left-over", |host| {
        let uuid = "00000000-0000-4000-8000-000000000001";
        host.file(
            &format!("run/automdev/claimants/domain-{uuid}"),
            &format!(r#"{{"schema":1,"name":"vm9","devices":["{A}"]}}"#),
        );
    }),
    ("no-mdev", |host| {
        fs::remove_dir_all(host.at("etc/mdevctl.d/mtty")).expect("the definitions");
        fs::remove_file(host.at("sys/class/mdev_bus/mtty")).expect("the parent");
        fs::remove_dir_all(host.at("sys/bus/mdev")).expect("the bus");
    }),
];

#[test]
fn what_is_broken_is_named_and_nothing_else() {
    for (index, (code, breaks)) in BROKEN.into_iter().enumerate() {
        let host = healthy();
        breaks(&host);
        let context = automdev(&host, "check").stdout;
        assert_eq!(problems(&host), [code], "{index}: {context}");
    }
}

#[test]
fn what_only_looks_broken_is_not_named() {
    let fine: [fn(&Tree); 6] = [
        |host| {
            host.file("etc/automdev/pools.d/p.toml", "[[member]]\ntype = 'mtty-2'\n");
        },
        // A hook was there when the daemon began, so it looks at all of them.
        |host| {
            host.file("proc/stat", "btime 3000000000\n")
                .file("etc/libvirt/hooks/qemu", "#!/bin/sh\n");
        },
        // It is not called: it is not executable.
        |host| {
            host.file("etc/libvirt/hooks/qemu.d/10-gpu.sh~", "#!/bin/sh\n");
        },
        // Its device is made by somebody else.
        |host| {
            host.file("etc/libvirt/qemu/vm1.xml", &domain(""))
                .active("mtty", "mtty-2", A);
        },
        |host| {
            host.file("sys/fs/selinux/enforce", "1")
                .file("sys/fs/selinux/booleans/virt_hooks_unconfined", "1 1");
        },
        // No daemon runs; it will look when it starts.
        |host| {
            host.file("proc/stat", "btime 1000000000\n").kill(1_200_001);
        },
    ];
    for (index, makes) in fine.into_iter().enumerate() {
        let host = healthy();
        makes(&host);
        assert_eq!(problems(&host), Vec::<String>::new(), "{index}");
    }
}

#[test]
fn every_problem_says_what_to_do() {
    for (code, breaks) in BROKEN {
        let host = healthy();
        breaks(&host);
        let text = automdev(&host, "check").stdout;
        assert!(text.contains("-> "), "{code}: {text}");
        assert!(text.ends_with("1 problem\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 80), "{text}");
    }
}

/// The parent may be out for its maintenance.
#[test]
fn a_cordon_of_nothing_is_noted() {
    let host = healthy();
    host.file(
        "etc/automdev/automdev.toml",
        "select = 'marked'\ncordon = ['mtty', '0000:4?:*']\n",
    );
    let text = automdev(&host, "check").printed();
    assert!(
        text.contains(
            "· settings     /etc/automdev/automdev.toml: line 2, column 19: 0000:4?:* means\n\
             \x20              no parent of this host\n"
        ),
        "{text}"
    );
    // A domain that it keeps from starting for now is not wrong.
    let domain = format!("· domains      vm1: {A}: mtty is cordoned in\n");
    assert!(text.contains(&domain), "{text}");
    assert!(text.ends_with("no problems\n"), "{text}");
}

/// libvirt before 6.5 calls one hook only, and somebody else's may have to stay.
#[test]
fn a_script_that_calls_automdev_is_a_hook() {
    const SCRIPT: &str = "etc/libvirt/hooks/qemu";
    let host = healthy();
    fs::remove_file(host.at(LINK)).expect("a link");
    host.file(
        SCRIPT,
        "#!/bin/sh\nlogger \"$@\"\nexec /usr/bin/automdev hook \"$@\"\n",
    );
    executable(&host, SCRIPT);
    let text = automdev(&host, "check").printed();
    assert!(
        text.contains("· hook         /etc/libvirt/hooks/qemu is a script of somebody's that calls\n"),
        "{text}"
    );
    assert!(text.ends_with("no problems\n"), "{text}");
    host.file(SCRIPT, "#!/bin/sh\n# exec /usr/bin/automdev hook \"$@\"\n");
    assert_eq!(problems(&host), ["hook-missing"]);
}

#[test]
fn without_libvirt_that_is_only_noted() {
    let host = Tree::of_sample("gvtg");
    let text = automdev(&host, "check").printed();
    assert!(text.contains("· hook         libvirt is not installed"), "{text}");
}

#[test]
fn a_dumb_terminal_gets_letters() {
    let host = healthy();
    for (name, value) in [("TERM", "dumb"), ("LC_ALL", "C")] {
        let output = std::process::Command::new(crate::hook::host::program())
            .arg("--root")
            .arg(host.path())
            .arg("check")
            .envs([("TERM", "xterm"), ("LC_ALL", "C.UTF-8"), (name, value)])
            .output()
            .expect("the program starts");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(text.starts_with("ok  kernel       mediated"), "{name}: {text}");
    }
}

/// What only root may read is no problem of the host's, and what helps is said once.
#[test]
fn an_ordinary_user_is_told_to_ask_as_root() {
    let host = healthy();
    let mode = |path: &str, mode: u32| {
        fs::set_permissions(host.at(path), fs::Permissions::from_mode(mode)).expect("its mode");
    };
    host.folder("run/automdev");
    fs::set_permissions(host.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let program = Reachable::new();
    let ask = |format: &str| {
        let mut command = program.command();
        command
            .arg("--root")
            .arg(host.path())
            .args(["check", "--format", format]);
        let output = command
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let closed = ["etc/libvirt/qemu/vm1.xml", "run/automdev"];
    for path in closed {
        mode(path, 0o000);
    }
    let (text, json) = (ask("text"), ask("json"));
    mode(closed[0], 0o644);
    mode(closed[1], 0o755);

    let found: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let unread: Vec<&Value> = found.iter().filter(|one| one["code"] == "unreadable").collect();
    assert!(unread.len() >= 2, "{json}");
    for one in unread {
        assert_eq!(one["result"], "note");
        assert_eq!(one["mend"], "run this as root", "{one}");
    }
    assert_eq!(text.matches("run this as root").count(), 1, "{text}");
    assert!(
        text.ends_with("\nonly root may read all of it: run this as root\nno problems\n"),
        "{text}"
    );
    assert!(
        !ask("text").contains("as root"),
        "all can be read again, but {text}"
    );
}
