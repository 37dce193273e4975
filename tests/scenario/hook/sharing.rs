//! Two domains that want one device.

use super::*;
use crate::hook::host::Message;
use std::time::{Duration, Instant};

fn one(host: &Host) -> (Domain, Domain) {
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    (Domain::new("first", 1).with(A), Domain::new("second", 2).with(A))
}

const LIVING: &str =
    "it belongs to first, which is running; stop that one first or give this domain another device";

#[test]
fn the_second_is_refused_while_the_first_runs_and_harms_nothing() {
    let host = Host::new();
    let (first, second) = one(&host);
    let before = host.state();
    host.prepare(&first).done();
    host.domain("first", &first.uuid, 4711);
    let (running, ledger) = (host.state(), host.ledger());
    host.prepare(&second)
        .refused(&format!("second: cannot use {A}: {LIVING}"));
    host.release(&second).done();
    running.assert_unchanged(&host.state());
    assert_eq!(host.ledger(), ledger);
    host.kill(4711).forget_domain("first");
    host.release(&first).done();
    host.prepare(&second).done();
    host.release(&second).done();
    fs::remove_dir_all(host.at("proc/4711")).ok();
    before.assert_unchanged(&host.state());
}

/// The first thread of a QEMU that is killed ends before one that the kernel still holds.
#[test]
fn one_whose_first_thread_has_ended_runs_on() {
    let host = Host::new();
    let (first, second) = one(&host);
    host.prepare(&first).done();
    host.domain("first", &first.uuid, 4711);
    let stat = host.read("proc/4711/stat").expect("a process");
    let with = |state: &str, threads: &str| {
        let (before, after) = stat.split_once(") ").expect("a name");
        let mut fields: Vec<&str> = after.split_ascii_whitespace().collect();
        (fields[0], fields[17]) = (state, threads);
        host.file("proc/4711/stat", &format!("{before}) {}\n", fields.join(" ")));
    };
    with("Z", "2");
    host.prepare(&second)
        .refused(&format!("second: cannot use {A}: {LIVING}"));
    with("Z", "1");
    host.stop_libvirt();
    host.prepare(&second).done();
}

/// An adopted device has no record, yet its user is known all the same.
#[test]
fn the_same_with_a_device_that_was_there_before() {
    let host = Host::new();
    let (first, second) = one(&host);
    host.active("mtty", "mtty-2", A);
    host.prepare(&first).done();
    host.domain("first", &first.uuid, 4711);
    host.prepare(&second)
        .refused(&format!("second: cannot use {A}: {LIVING}"));
}

#[test]
fn the_second_waits_for_the_firsts_release() {
    let host = Host::new();
    let (first, second) = one(&host);
    host.prepare(&first).done();
    // Its QEMU has ended; its release comes while the other one waits.
    let waiting = host.start(&["second", "prepare", "begin", "-"], second.xml().as_bytes());
    let began = Instant::now();
    std::thread::sleep(Duration::from_millis(100));
    host.release(&first).done();
    let answer = host.finish(waiting).done();
    assert!(began.elapsed() < Duration::from_secs(9), "it waited in vain");
    drop(answer);
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    assert_eq!(
        host.ledger(),
        [
            format!("claimants/{} second {A}", second.claimant()),
            format!("claims/{A}/{}", second.claimant()),
            format!("devices/{A} ready"),
        ]
    );
}

/// libvirt may still be at work between the first one's `prepare` and its QEMU: what is taken from it then, it would
/// find in the hands of another.
#[test]
fn the_second_is_refused_while_the_first_may_be_about_to_start() {
    let host = Host::new();
    host.timeouts("claim = 0.1");
    let (first, second) = one(&host);
    host.prepare(&first).done();
    let (state, ledger) = (host.state(), host.ledger());
    let line = format!(
        "second: cannot use {A}: it belongs to first, which is starting or has just ended; try again in a minute, or \
         give this domain another device"
    );
    for age in [0, 40] {
        host.age(age).prepare(&second).refused(&line);
        host.release(&second).done();
        state.assert_unchanged(&host.state());
        assert_eq!(host.ledger(), ledger);
    }
    // It starts after all.
    host.domain("first", &first.uuid, 4711);
    host.prepare(&second)
        .refused(&format!("second: cannot use {A}: {LIVING}"));
    // And when it has, nothing of that counts any more.
    host.kill(4711).forget_domain("first");
    host.age(20);
    host.prepare(&second).done();
    host.release(&second).done();
    host.release(&first).done();
    host.assert_ledger_empty();
}

#[test]
fn the_second_takes_over_when_the_release_never_comes() {
    let host = Host::new();
    host.timeouts("claim = 0.1");
    let (first, second) = one(&host);
    host.prepare(&first).done();
    host.age(60);
    host.prepare(&second).done().logged(&[
        &format!("6 second: waiting for first to give {A} back"),
        &format!(
            "4 second: {} claimed {A} and is gone; it is given to second",
            first.claimant()
        ),
    ]);
    // What comes late harms nothing.
    let state = host.state();
    host.release(&first).done();
    state.assert_unchanged(&host.state());
    assert_eq!(host.ledger().len(), 3);
    host.release(&second).done();
    host.assert_ledger_empty();
    assert!(host.devices().is_empty());
}

/// A claim's age says nothing about how long ago its domain has ended.
#[test]
fn the_second_waits_for_one_that_ran_for_days() {
    let host = Host::new();
    let (first, second) = one(&host);
    host.prepare(&first).done();
    host.domain("first", &first.uuid, 4711);
    host.age(90_000);
    host.kill(4711).forget_domain("first");
    let waiting = host.start(&["second", "prepare", "begin", "-"], second.xml().as_bytes());
    std::thread::sleep(Duration::from_millis(200));
    // Whoever asks for what was logged takes it: the second one may be through by the first one's end.
    let released = host.start(&["first", "release", "end", "-"], first.xml().as_bytes());
    let released = released.wait_with_output().expect("a child can be waited for");
    assert!(released.status.success());
    let answer = host.finish(waiting).done();
    let last = answer.log.last().map(Message::line);
    assert_eq!(last, Some(format!("6 second: created {A} (mtty-2 on mtty)")));
    host.release(&second).done();
    // It never comes.
    host.timeouts("claim = 0.1");
    host.prepare(&first).done();
    host.age(90_000).prepare(&second).done();
    host.release(&second).done();
    assert!(host.devices().is_empty());
}

/// A start that fails after it has taken a device over leaves it to nobody: it goes.
#[test]
fn what_was_taken_over_for_nothing_is_removed() {
    let host = Host::new();
    host.timeouts("claim = 0");
    let (first, second) = one(&host);
    host.mdpy().definition("mdpy", B, "mdpy-hd", &[]);
    let second = second.with(B);
    let before = host.state();
    host.prepare(&first).done();
    host.age(60).kernel().configure(|config| {
        config
            .errors
            .insert("mdpy-hd/create".to_owned(), nix::errno::Errno::EIO as i32);
    });
    assert!(!host.prepare(&second).succeeded());
    before.assert_unchanged(&host.state());
    assert_eq!(
        host.ledger(),
        [format!("claimants/{} first {A}", first.claimant())]
    );
    host.release(&second).done();
    host.release(&first).done();
    host.assert_ledger_empty();
}

/// libvirtd dies while a hook of its waits: the next one may have begun to start the domain already, and what its hook
/// has written must stay.
#[test]
fn whoever_is_left_of_a_daemon_that_died_makes_nothing() {
    let host = Host::new();
    let (first, second) = one(&host);
    host.prepare(&first).done();
    host.age(60);
    let waiting = host.start(&["second", "prepare", "begin", "-"], second.xml().as_bytes());
    std::thread::sleep(Duration::from_millis(300));
    // The first one's claim went with it, so there is nothing to be waited for.
    host.stop_libvirt();
    let ledger = host.ledger();
    host.finish(waiting)
        .refused("second: nothing is made: libvirt's daemon, which asked for it, has ended meanwhile");
    assert_eq!(host.ledger(), ledger);
}

/// How a claimant ended, and what is otherwise by then.
type End = (&'static str, fn(&Host, &Domain));

/// Neither a process nor a daemon nor this boot vouch for the first one: nothing is waited for.
#[test]
fn the_second_takes_over_at_once_from_who_is_gone() {
    let ends: [End; 4] = [
        ("the daemon ended", |_, _| {}),
        ("the daemon's number was given again", |host, _| {
            host.process(std::process::id(), "libvirtd", &["x"], 6);
        }),
        ("the host was booted again", |host, first| {
            host.remove(A).domain("first", &first.uuid, 4711).file(
                "proc/sys/kernel/random/boot_id",
                "1d4f6b4e-0000-4000-8000-000000000002\n",
            );
        }),
        ("another program has the process's number", |host, _| {
            host.domain("first", "d0000000-0000-4000-8000-000000000009", 4711)
                .process(std::process::id(), "systemd", &["x"], 6);
        }),
    ];
    for (told, end) in ends {
        let host = Host::new();
        let (first, second) = one(&host);
        host.prepare(&first).done();
        // Files of the tree are put in place anew, links are not.
        fs::remove_dir_all(host.at(format!("proc/{}", std::process::id()))).expect("a process");
        end(&host, &first);
        let began = Instant::now();
        assert!(host.prepare(&second).succeeded(), "{told}");
        assert!(began.elapsed() < Duration::from_secs(5), "{told}");
        assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")], "{told}");
        host.release(&first).done();
        host.release(&second).done();
        assert!(host.devices().is_empty(), "{told}");
        host.assert_ledger_empty();
    }
}

/// The first one's `release` comes after its daemon died with it: nobody claims the device any more.
#[test]
fn the_claim_of_who_is_gone_does_not_keep_a_device() {
    let host = Host::new();
    host.timeouts("claim = 0");
    let (first, second) = one(&host);
    host.prepare(&first).done();
    let claim = format!("run/automdev/claims/{A}/{}", second.claimant());
    let text = fs::read_to_string(host.at(format!("run/automdev/claims/{A}/{}", first.claimant())))
        .expect("a claim");
    // A second claim of the same device, of a boot before.
    host.file_with_mode(&claim, &text.replace("000000000001\"", "00000000ffff\""), 0o600);
    host.release(&first).done();
    assert!(host.devices().is_empty());
    host.assert_ledger_empty();
}
