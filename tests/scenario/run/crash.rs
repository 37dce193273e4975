//! The wrapper dies: whenever that is, QEMU either runs with its devices or does not run at all, and the next
//! command mends what is left.

use nix::unistd::Pid;

use super::host::{eventually, state};
use super::{A, B, WAITS, defined, device};
use crate::support::FaultKind;

#[test]
fn killed_it_leaves_qemu_alone() {
    let host = defined();
    let running = host.start(WAITS, &["-device", &device(A)]);
    let pid = Pid::from_raw(host.wait_for("pid").parse().expect("a number"));
    running.kill();
    assert!(state(pid).is_some());
    assert_eq!(host.devices(), [A]);
    let line = format!(
        "cannot use {A}: it belongs to qemu (process {pid}), which is running; stop that one first or give this domain another device"
    );
    host.run("", &["-device", &device(A)]).refused(&line);
    assert!(state(pid).is_some());
    host.file("end", "");
    eventually("QEMU is gone", || state(pid).is_none());

    // Whoever wants the same device gets it, and gives it back.
    let answer = host
        .run("ls $ROOT/sys/bus/mdev/devices", &["-device", &device(A)])
        .ended(0);
    assert_eq!(answer.stdout, format!("{A}\n"));
    host.assert_clean();
}

#[test]
fn killed_at_any_step_it_leaves_nothing_that_the_next_one_does_not_mend() {
    let arguments = ["-device".to_owned(), device(A), "-device".to_owned(), device(B)];
    let host = defined();
    host.kernel().reset();
    host.run("", &arguments).ended(0);
    host.assert_clean();
    let effects = host.kernel().effects();
    assert!(effects > 10, "{effects}");
    let mut tried = 0;
    for at in 1..=effects {
        for kind in [FaultKind::KillBefore, FaultKind::KillAfter] {
            let host = defined();
            host.kernel().fault(at, kind);
            // It waits no longer than its parent lives, or not at all.
            let script = "echo $$ > $ROOT/ran; ls $ROOT/sys/bus/mdev/devices > $ROOT/seen";
            let answer = host.run(script, &arguments);
            assert_eq!(answer.signal, Some(9), "{at} {kind:?} {answer:?}");
            let seen = host.read("seen");
            assert!(
                seen.as_deref().is_none_or(|both| both == format!("{A}\n{B}")),
                "{at} {kind:?}: {seen:?}"
            );
            host.kernel().reset();
            wait_for_claimants(&host);
            // The next command mends it, or what is there for that.
            if at % 2 == 0 {
                let reconciled = host.reconcile();
                assert_eq!(reconciled.status, Some(0), "{at} {kind:?} {reconciled:?}");
                host.assert_clean();
            }
            host.run("exit 4", &arguments).ended(4);
            host.assert_clean();
            tried += 1;
        }
    }
    crate::counts::assert_told("run", tried, tried);
}

/// What has been killed, or has ended by itself, may take a moment to be gone.
fn wait_for_claimants(host: &super::host::Host) {
    for claimant in host.names("run/automdev/claimants") {
        let pid = claimant.split('-').nth(1).and_then(|pid| pid.parse().ok());
        let pid = Pid::from_raw(pid.expect("a process"));
        eventually("it has ended", || {
            state(pid).is_none_or(|state| "ZX".contains(state))
        });
    }
}

#[test]
fn whatever_fails_the_devices_are_gone() {
    let arguments = ["-device".to_owned(), device(A), "-device".to_owned(), device(B)];
    let host = defined();
    host.kernel().reset();
    host.run("", &arguments).ended(0);
    for at in 1..=host.kernel().effects() {
        let host = defined();
        host.kernel()
            .fault(at, FaultKind::Fail(nix::errno::Errno::EIO as i32));
        let answer = host.run("touch $ROOT/ran; exit 4", &arguments);
        let ran = host.at("ran").exists();
        // Before QEMU runs it is refused; afterwards its status counts, whatever cannot be given back.
        assert_eq!(answer.status, Some(if ran { 4 } else { 125 }), "{at} {answer:?}");
        assert!(
            answer.stderr.lines().all(|line| line.starts_with("automdev: ")),
            "{at} {answer:?}"
        );
        assert!(ran || answer.stderr.lines().count() == 1, "{at} {answer:?}");
        host.kernel().reset();
        host.run("exit 4", &arguments).ended(4);
        host.assert_clean();
    }
}

#[test]
fn a_pid_that_is_used_again_is_nobodys() {
    let host = defined();
    let running = host.start(WAITS, &["-device", &device(A)]);
    let pid = host.wait_for("pid");
    running.kill();
    let claimant = host.names("run/automdev/claimants").remove(0);
    // Another process of that number would have begun later.
    let other = format!("process-{pid}-1");
    for folder in ["claimants".to_owned(), format!("claims/{A}")] {
        let folder = host.at(format!("run/automdev/{folder}"));
        std::fs::rename(folder.join(&claimant), folder.join(&other)).expect("renamed");
    }
    host.run("", &["-device", &device(B)]).ended(0);
    host.assert_clean();
    host.file("end", "");
}
