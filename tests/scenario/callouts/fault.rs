//! Scripts that fail, and what fails around them.

use super::*;
use nix::errno::Errno;

#[test]
fn a_pre_that_fails_refuses_the_start_in_its_own_words() {
    for (body, why) in [
        (
            "echo 'no license for mtty-2' >&2; exit 1",
            "no license for mtty-2",
        ),
        ("printf ' a\\n\\n\\033b\\n' >&2; exit 3", "a;  b"),
        ("echo to nobody; exit 7", "it ended with status 7"),
    ] {
        let host = host();
        let path = format!("{USR}/callouts/10-a");
        script(&host, &path, &format!("[ $4 = pre ] || exit 0\n{body}"));
        script(&host, &format!("{ETC}/callouts/10-b"), "");
        script(&host, &format!("{USR}/notifiers/10-n"), "");
        let (before, shown) = (host.state().without(&["calls"]), host.at(&path));
        host.prepare(&vm()).refused(&format!(
            "vm1: cannot create {A} (mtty-2 on mtty): the callout {} refuses it: {why}; do as it says, or set \
             callouts = false in /etc/automdev/automdev.toml",
            shown.display()
        ));
        assert_eq!(
            calls(&host),
            [
                call(&path, "pre", "start", "none", DEFINITION),
                call(&format!("{USR}/notifiers/10-n"), "notify", "start", "none", ""),
            ]
        );
        assert_eq!(host.writes(), Vec::<String>::new());
        before.assert_unchanged(&host.state().without(&["calls"]));
        host.assert_ledger_empty();
    }
}

#[test]
fn those_of_the_other_devices_are_told() {
    let host = host();
    let path = format!("{USR}/callouts/10-a");
    script(&host, &path, "[ $4$2 = premtty-1 ] && exit 1\nexit 0");
    let vm = vm().with(B);
    assert!(!host.prepare(&vm).succeeded());
    assert_eq!(
        calls(&host)[2..],
        [call(&path, "post", "start", "failure", DEFINITION)]
    );
    assert_eq!(host.devices(), Vec::<String>::new());
    host.assert_ledger_empty();
}

#[test]
fn a_device_of_somebody_elses_that_came_meanwhile_is_left_alone() {
    let host = host();
    let path = format!("{USR}/callouts/10-a");
    let flag = host.at("flag");
    script(
        &host,
        &path,
        &format!(
            "[ $4 = pre ] || exit 0\nuntil [ -e {} ]; do sleep 0.02; done\nexit 1",
            flag.display()
        ),
    );
    let vm = vm();
    let call = host.start(&[&vm.name, "prepare", "begin", "-"], vm.xml().as_bytes());
    let start = Instant::now();
    while calls(&host).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    }
    host.active("mtty", "mtty-2", A);
    fs::write(flag, "").expect("a file");
    assert!(!host.finish(call).succeeded());
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")], "it was taken away");
    host.assert_ledger_empty();
}

#[test]
fn whatever_comes_after_the_act_keeps_nothing() {
    let host = host();
    script(
        &host,
        &format!("{USR}/callouts/10-a"),
        "[ $4 = post ] && { echo never mind >&2; exit 1; }\nexit 0",
    );
    script(&host, &format!("{USR}/notifiers/10-a"), "exit 1");
    let answer = host.prepare(&vm()).done();
    assert!(
        answer
            .log
            .iter()
            .any(|message| message.field("MESSAGE").contains("never mind")),
        "{answer:?}"
    );
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    host.release(&vm()).done();
    assert_eq!(host.devices(), Vec::<String>::new());
}

#[test]
fn a_start_that_fails_is_told_and_what_was_made_is_stopped() {
    let host = host();
    let path = format!("{USR}/callouts/10-a");
    script(&host, &path, "");
    host.kernel().configure(|config| {
        config
            .errors
            .insert("mtty-1/create".to_owned(), Errno::ENOSPC as i32);
    });
    let before = host.state();
    let vm = vm().with(B);
    assert!(!host.prepare(&vm).succeeded());
    let of_b = |event, outcome| {
        let input = r#"{"mdev_type":"mtty-1","start":"manual","attrs":[]}"#;
        call_of("mtty-1", B, (&path, event, "start", outcome), input)
    };
    assert_eq!(
        calls(&host),
        [
            call(&path, "pre", "start", "none", DEFINITION),
            of_b("pre", "none"),
            call(&path, "post", "start", "success", DEFINITION),
            of_b("post", "failure"),
            call(&path, "pre", "stop", "none", ACTIVE),
            call(&path, "post", "stop", "success", ACTIVE),
        ]
    );
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

#[test]
fn one_whose_attribute_is_not_taken_never_was() {
    let host = host();
    let path = format!("{USR}/callouts/10-a");
    script(&host, &path, "");
    host.definition("mtty", A, "mtty-2", &[("power/control", "maybe")]);
    assert!(!host.prepare(&vm()).succeeded());
    let input = r#"{"mdev_type":"mtty-2","start":"manual","attrs":[{"power/control":"maybe"}]}"#;
    assert_eq!(
        calls(&host),
        [
            call(&path, "pre", "start", "none", input),
            call(&path, "post", "start", "failure", input),
        ]
    );
    assert_eq!(host.devices(), Vec::<String>::new());
    host.assert_ledger_empty();
}

#[test]
fn a_stop_that_is_refused_is_tried_again() {
    let host = host();
    let path = format!("{USR}/callouts/10-a");
    let busy = host.at("busy");
    let body = format!(
        "[ $4 = pre -a -e {} ] && {{ echo it migrates >&2; exit 1; }}\nexit 0",
        busy.display()
    );
    script(&host, &path, &body);
    host.prepare(&vm()).done();
    fs::write(&busy, "").expect("a file");
    let shown = host.at(&path);
    host.release(&vm()).refused(&format!(
        "vm1: {A} on mtty is not removed: the callout {} refuses it: it migrates; do as it says, or set callouts = \
         false in /etc/automdev/automdev.toml",
        shown.display()
    ));
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    fs::remove_file(&busy).expect("a file");
    host.release(&vm()).done();
    assert_eq!(host.devices(), Vec::<String>::new());
    host.assert_ledger_empty();
}

#[test]
fn one_that_hangs_is_killed_with_all_that_it_started() {
    let host = host();
    host.timeouts("callout = 0.3");
    let pid = host.at("pid");
    let path = format!("{USR}/callouts/10-a");
    script(
        &host,
        &path,
        &format!(
            "[ $4 = pre ] || exit 0\nsleep 600 &\necho $! >{}\nwait",
            pid.display()
        ),
    );
    let (begun, shown) = (Instant::now(), host.at(&path));
    host.prepare(&vm()).refused(&format!(
        "vm1: cannot create {A} (mtty-2 on mtty): the callout {} does not come to an end; mend it, or give it more \
         time (timeouts.callout)",
        shown.display()
    ));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let pid = fs::read_to_string(pid).expect("it ran");
    let process = format!("/proc/{}/stat", pid.trim());
    let start = Instant::now();
    // Dead, be it that nobody has looked at it yet.
    while fs::read_to_string(&process).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(start.elapsed() < Duration::from_secs(10), "its child lives");
        std::thread::sleep(Duration::from_millis(5));
    }
    host.assert_ledger_empty();
}

/// Nobody has to come along once it is as quick as it should be.
#[test]
fn a_removal_that_a_slow_script_holds_up_is_tried_again() {
    let host = host();
    host.timeouts("callout = 0.3");
    let before = host.state().without(&["usr", "calls"]);
    host.prepare(&vm()).done();
    let path = format!("{USR}/callouts/10-a");
    script(&host, &path, "[ $4 = pre ] || exit 0\nsleep 600");
    host.release(&vm()).refused(&format!(
        "vm1: {A} on mtty is not removed: the callout {} does not come to an end; mend it, or give it more time \
         (timeouts.callout)",
        host.at(&path).display()
    ));
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    script(&host, &path, "");
    crate::run::host::eventually("it is removed", || host.ledger().is_empty());
    before.assert_unchanged(&host.state().without(&["usr", "calls"]));
}

#[test]
fn what_a_script_leaves_behind_holds_nobody_up() {
    let host = host();
    host.timeouts("callout = 30");
    raw_script(
        &host,
        &format!("{USR}/notifiers/10-a"),
        &format!("#!/bin/sh\nsleep 600 &\necho $! >{}\n", host.at("pid").display()),
    );
    let start = Instant::now();
    host.prepare(&vm()).done();
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    let pid = host.read("pid").expect("it ran").parse().expect("a number");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).expect("it lives");
}

#[test]
fn one_that_somebody_kills_has_nothing_against_it() {
    let host = host();
    let (first, second) = (format!("{USR}/callouts/10-a"), format!("{USR}/callouts/20-b"));
    script(&host, &first, "kill -KILL $$");
    script(&host, &second, "");
    host.prepare(&vm()).done();
    assert_eq!(calls(&host)[1], call(&second, "pre", "start", "none", DEFINITION));
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
}

#[test]
fn a_call_that_dies_while_a_script_runs_leaves_nothing_that_the_next_does_not_mend() {
    let host = host();
    let path = format!("{USR}/callouts/10-a");
    let go = host.at("go");
    let wait = format!("until [ -e {} ]; do sleep 0.02; done", go.display());
    for event in ["pre", "post"] {
        script(&host, &path, &format!("[ $4 = {event} ] || exit 0\n{wait}"));
        drop(fs::remove_file(&go));
        let before = host.state();
        let vm = vm();
        let mut killed = host.start(&[&vm.name, "prepare", "begin", "-"], vm.xml().as_bytes());
        let start = Instant::now();
        // Only looked at: what was taken away could be what the script is just about to write into.
        let is_called = || {
            let seen = fs::read_to_string(host.at("calls")).unwrap_or_default();
            seen.contains(&format!("-e {event} "))
        };
        while !is_called() {
            assert!(start.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
        killed.kill().expect("it runs");
        killed.wait().expect("it ends");
        fs::write(&go, "").expect("a file");
        host.logged();
        host.prepare(&vm).done();
        assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
        host.release(&vm).done();
        calls(&host);
        fs::remove_file(&go).expect("a file");
        before.assert_unchanged(&host.state());
        host.assert_ledger_empty();
    }
}
