//! `automdev check` on a host where all is well, and on one that is broken in one way at a time.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::{A, B, Definition, DomainXml, Host, Virsh, call, hook, libvirt, virsh};

const LINK: &str = "/etc/libvirt/hooks/qemu.d/50-automdev";
const PROGRAM: &str = "/usr/bin/automdev";

/// The program once more, as its own place is one of those that are broken.
const COPY: &str = "/tmp/automdev-check";

/// The codes of what is wrong.
fn problems() -> Vec<String> {
    let called = call(Command::new(COPY).args(["check", "--format", "json"]), b"");
    assert_eq!(called.stderr, "");
    let found = called.stdout.lines().map(|line| {
        let found: serde_json::Value = serde_json::from_str(line).expect("JSON");
        found
    });
    let wrong: Vec<serde_json::Value> = found.filter(|one| one["result"] == "problem").collect();
    assert_eq!(called.status, Some(if wrong.is_empty() { 0 } else { 3 }));
    let code = |one: &serde_json::Value| one["code"].as_str().expect("a code").to_owned();
    wrong.iter().map(code).collect()
}

/// Breaks the host and mends it again: in between, that and only that is found.
#[track_caller]
fn finds(code: &str, breaks: impl FnOnce(), mends: impl FnOnce()) {
    breaks();
    let found = problems();
    mends();
    assert_eq!(found, [code]);
    assert_eq!(problems(), [""; 0], "after {code}");
}

fn write(path: &str, text: &str) {
    fs::create_dir_all(Path::new(path).parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

fn remove(path: &str) {
    fs::remove_file(path).expect("a file");
}

fn executable(path: &str, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("its mode");
}

fn link() {
    symlink(PROGRAM, LINK).expect("a link");
}

/// As `install-hook --reload` does.
fn link_again() {
    drop(fs::remove_file(LINK));
    link();
    libvirt::reload();
}

#[test]
fn what_is_broken_is_named_and_nothing_else() {
    let host = Host::new();
    fs::copy(PROGRAM, COPY).expect("a copy");
    host.define(A, &Definition::new("mtty", "mtty-2"));
    let domain = || DomainXml::new("checked").with(A);
    domain().define();
    // The daemon tells its start in whole seconds, and the link was made just before it.
    link_again();
    assert_eq!(problems(), [""; 0]);
    the_hook();
    what_the_host_says(&host);
    what_domains_say(domain);
    drop(virsh(&["undefine", "checked"]));
    host.assert_clean();
    remove(COPY);
}

fn the_hook() {
    finds("hook-missing", || remove(LINK), link_again);
    finds(
        "hook-not-executable",
        || executable(PROGRAM, 0o644),
        || executable(PROGRAM, 0o755),
    );
    let second = "/etc/libvirt/hooks/qemu";
    finds(
        "hook-twice",
        || symlink(PROGRAM, second).expect("a link"),
        || remove(second),
    );
    finds(
        "hook-elsewhere",
        || {
            remove(LINK);
            symlink("/usr/local/bin/automdev", LINK).expect("a link");
        },
        link_again,
    );
    finds(
        "hook-copy",
        || {
            remove(LINK);
            fs::copy(PROGRAM, LINK).expect("a copy");
        },
        link_again,
    );
    let backup = "/etc/libvirt/hooks/qemu.d/10-gpu.sh~";
    finds(
        "hook-backup",
        || {
            write(backup, "#!/bin/sh\n");
            executable(backup, 0o755);
        },
        || remove(backup),
    );
    finds(
        "hook-not-seen",
        || {
            remove(LINK);
            libvirt::stop();
            libvirt::start();
            virsh(&["list"]);
            // It tells its start in whole seconds.
            std::thread::sleep(std::time::Duration::from_secs(2));
            link();
        },
        libvirt::reload,
    );
}

/// Settings, definitions, pools.
fn what_the_host_says(host: &Host) {
    let settings = "/etc/automdev/automdev.toml";
    finds(
        "settings-broken",
        || write(settings, "selct = 1\n"),
        || remove(settings),
    );
    let definition = format!("/etc/mdevctl.d/mtty/{B}");
    let gone = || remove(&definition);
    finds("definition-broken", || write(&definition, "{"), gone);
    let define = |parent, mdev_type| move || host.define(B, &Definition::new(parent, mdev_type));
    finds("type-unknown", define("mtty", "mtty-9"), gone);
    finds("parent-absent", define("mttyy", "mtty-1"), || {
        fs::remove_dir_all("/etc/mdevctl.d/mttyy").expect("a folder");
    });
    let pool = "/etc/automdev/pools.d/p.toml";
    finds(
        "pool-broken",
        || write(pool, "[[member]]\ntyp = 'mtty-2'\n"),
        || remove(pool),
    );
    let nothing = "[[member]]\ntype = 'mtty-2'\nparents = ['mtti*']\n";
    finds("parent-absent", || write(pool, nothing), || remove(pool));
}

/// The domains that libvirt keeps, and what one has left.
fn what_domains_say(domain: impl Fn() -> DomainXml) {
    let forget = || drop(virsh(&["undefine", "checked"]));
    let again = |domain: DomainXml| {
        forget();
        domain.define();
    };
    let well = || again(domain());
    finds("no-definition", || again(DomainXml::new("checked").with(B)), well);
    finds(
        "no-pool",
        || again(DomainXml::new("checked").of_pool(A, "absent")),
        well,
    );
    finds(
        "mark-missing",
        || again(DomainXml::new("checked").with_unmarked(A)),
        well,
    );
    let own = format!("/etc/mdevctl.d/mtty/{A}");
    let auto = r#"{"mdev_type":"mtty-2","start":"auto","attrs":[]}"#;
    finds(
        "made-at-boot",
        || write(&own, auto),
        || write(&own, &auto.replace("auto", "manual")),
    );

    // A domain's hook was called, and neither libvirt nor a QEMU knows of it.
    let xml = domain().xml();
    finds(
        "left-over",
        || hook("checked", "prepare begin", &xml).assert_fine(),
        || hook("checked", "release end", &xml).assert_fine(),
    );
}
