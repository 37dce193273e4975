//! A start is about its own definition, whatever else lies in the store.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::*;

fn number(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// A store with so many definitions besides those that a test makes.
fn crowd(host: &Host, count: u32) {
    for index in 0..count {
        host.file(
            &format!("etc/mdevctl.d/mtty/{}", number(index)),
            r#"{"mdev_type":"mtty-1","start":"manual","attrs":[]}"#,
        );
    }
}

/// A store with the worst.
fn make_a_mess(host: &Host) -> u32 {
    let file = |name: &str| format!("etc/mdevctl.d/mtty/{name}");
    host.file(&file(&number(90_000)), "{")
        .folder(&file(&number(90_001)))
        .link_text(&file(&number(90_002)), "nowhere")
        .link_text(&file(&number(90_003)), &number(90_003))
        .file(&file(&number(90_004)), &"x".repeat(2 << 20))
        .file(&file("c2177883f1bb47f0914d32a22e3a8805"), "{}")
        .file(&file(".c2177883.swp"), "")
        .file(&file("README"), "not a definition")
        .file("etc/mdevctl.d/README", "not a parent")
        .link_text("etc/mdevctl.d/gone", "nowhere")
        .folder("etc/mdevctl.d/empty")
        .file("etc/mdevctl.d/scripts.d/callouts/x", "");
    nix::unistd::mkfifo(&host.at(file(&number(90_005))), nix::sys::stat::Mode::S_IRUSR).expect("a pipe");
    6
}

#[test]
fn no_other_definition_is_opened() {
    for count in [10, 10_000] {
        let host = Host::new();
        host.mtty().definition("mtty", A, "mtty-2", &[]);
        crowd(&host, count);
        let watch = Inotify::init(InitFlags::IN_NONBLOCK).expect("somebody who watches");
        watch
            .add_watch(&host.at("etc/mdevctl.d/mtty"), AddWatchFlags::IN_OPEN)
            .expect("a folder to watch");
        let opened = || {
            let mut opened = Vec::new();
            while let Ok(events) = watch.read_events() {
                for event in events {
                    assert!(
                        !event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW),
                        "too many were opened"
                    );
                    // The folder itself has no name.
                    opened.push(
                        event
                            .name
                            .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
                    );
                }
            }
            opened.sort();
            opened.dedup();
            opened
        };
        let vm = Domain::new("vm1", 1).with(A);
        host.prepare(&vm).done();
        assert_eq!(opened(), [A], "prepare");
        host.release(&vm).done();
        assert_eq!(opened(), [""; 0], "release");
        automdev(&host, &format!("show {A}")).printed();
        assert_eq!(opened(), [A], "show");
        automdev(&host, &format!("define --uuid {A} --parent mtty --type mtty-2")).printed();
        assert_eq!(opened(), [A], "define");
        automdev(&host, &format!("undefine {A}")).printed();
        // Whoever takes a file away opens the folder, and reads it no more than the others do.
        assert_eq!(opened(), ["", A], "undefine");
    }
}

#[test]
fn a_start_is_disturbed_by_its_own_definition_alone() {
    let host = Host::new();
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    make_a_mess(&host);
    let vm = Domain::new("vm1", 1).with(A);
    let before = host.state();
    host.prepare(&vm)
        .done()
        .logged(&[&format!("6 vm1: created {A} (mtty-2 on mtty)")]);
    host.release(&vm).done();
    before.assert_unchanged(&host.state());
    for (index, why) in [
        (90_000, "line 1, column 1: the JSON ends too early"),
        (90_001, "it is not a file"),
        (90_002, "it is a link that leads nowhere"),
        (90_003, "Too many levels of symbolic links (os error 40)"),
        (90_004, "it is larger than 1048576 bytes"),
        (90_005, "it is not a file"),
    ] {
        let uuid = number(index);
        host.prepare(&Domain::new("vm1", 1).with(&uuid)).refused(&format!(
            "vm1: cannot create {uuid}: its definition /etc/mdevctl.d/mtty/{uuid} is broken: {why}; mend the file"
        ));
    }
}

#[test]
fn a_list_shows_what_is_good_and_marks_what_is_not() {
    let host = Host::new();
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    let broken = make_a_mess(&host);
    crowd(&host, 10_000);
    let ended = automdev(&host, "list --format json");
    assert_eq!(
        ended.stderr,
        "automdev: warning: /etc/mdevctl.d/mtty/c2177883f1bb47f0914d32a22e3a8805: a definition of \
         c2177883-f1bb-47f0-914d-32a22e3a8805 must be called that, in lower case with dashes\n"
    );
    assert_eq!(ended.status, Some(0));
    let rows: Vec<serde_json::Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let is_bad = |row: &&serde_json::Value| row["problems"].as_array().is_some_and(|list| !list.is_empty());
    let bad: Vec<_> = rows.iter().filter(is_bad).collect();
    assert_eq!(rows.len(), 10_001 + broken as usize);
    assert_eq!(bad.len(), broken as usize);
    assert!(
        bad.iter()
            .all(|row| row["problems"][0]["code"] == "definition-broken"),
        "{bad:?}"
    );
    let text = automdev(&host, "list --problems").stdout;
    assert_eq!(
        text.lines().filter(|line| line.contains("broken   -")).count(),
        broken as usize
    );
}

#[test]
fn what_may_not_be_read_is_marked() {
    if nix::unistd::geteuid().is_root() {
        return;
    }
    let host = Host::new();
    host.mtty()
        .definition("mtty", A, "mtty-2", &[])
        .definition("mtty", B, "mtty-2", &[])
        .folder("etc/mdevctl.d/mdpy");
    let shut = |path: &str| {
        fs::set_permissions(host.at(path), fs::Permissions::from_mode(0o000)).expect("a mode");
    };
    shut(&format!("etc/mdevctl.d/mtty/{B}"));
    shut("etc/mdevctl.d/mdpy");
    let ended = automdev(&host, "list --format json");
    assert_eq!(
        ended.stderr,
        "automdev: warning: /etc/mdevctl.d/mdpy: Permission denied (os error 13)\n"
    );
    assert_eq!(ended.stdout.lines().count(), 2);
    host.prepare(&Domain::new("vm1", 1).with(A)).done();
}
