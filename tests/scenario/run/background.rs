//! `-daemonize`, as QEMU does it: the first process ends when its grandchild is ready.

use std::fs;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::host::{Host, answer, eventually, state};
use super::{A, defined, device};

/// Forks as QEMU's `os_daemonize` does (setsid in between), and ends with status 0 once `$ROOT/pid` is there.
const DAEMONIZES: &str = "setsid /bin/sh -c '
    (
        exec </dev/null >/dev/null 2>&1
        echo $(cut -d \" \" -f 4 /proc/self/stat) > '$ROOT'/pid.new; mv '$ROOT'/pid.new '$ROOT'/pid
        until [ -e '$ROOT'/end ] || ! [ -d '$ROOT' ]; do sleep 0.02; done
    ) &
'
until [ -e $ROOT/pid ]; do sleep 0.01; done
";

fn daemonized(host: &Host) -> Pid {
    Pid::from_raw(host.wait_for("pid").parse().expect("a number"))
}

/// The processes that wait for a QEMU in the background.
fn supervisors(host: &Host) -> Vec<Pid> {
    let root = host.path().as_os_str().as_encoded_bytes().to_vec();
    let pids = fs::read_dir("/proc").expect("processes").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        words
            .next()
            .is_some_and(|word| word.ends_with(b"automdev-on-fake"))
            && words.any(|word| word == root)
    })
    .map(Pid::from_raw)
    .collect()
}

#[test]
fn the_command_returns_and_the_device_stays() {
    let host = defined();
    // All pipes are read to their end: nobody left behind holds one.
    let script = format!("{DAEMONIZES}exit 0");
    host.run(&script, &["-daemonize", "-device", &device(A)]).ended(0);
    let pid = daemonized(&host);
    assert!(state(pid).is_some());
    assert_eq!(host.devices(), [A]);
    let claims = host.claims(A);
    assert!(
        matches!(&claims[..], [one] if one.starts_with(&format!("process-{pid}-"))),
        "{claims:?} {pid}"
    );
    assert_eq!(host.names("run/automdev/claimants"), claims);

    // Who waits has left us: its own session, no folder, no stream.
    let [supervisor] = supervisors(&host)[..] else {
        panic!("one supervisor");
    };
    assert_eq!(nix::unistd::getsid(Some(supervisor)), Ok(supervisor));
    assert_eq!(
        fs::read_link(format!("/proc/{supervisor}/cwd")).expect("it runs"),
        std::path::Path::new("/")
    );
    for number in 0..3 {
        let stream = fs::read_link(format!("/proc/{supervisor}/fd/{number}")).expect("it runs");
        assert_eq!(stream, std::path::Path::new("/dev/null"));
    }
    // The end of a session does not end it.
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        kill(supervisor, signal).expect("it runs");
    }
    let line = format!(
        "cannot use {A}: it belongs to qemu (process {pid}), which is running; stop that one first or give this domain another device"
    );
    host.run("", &["-device", &device(A)]).refused(&line);

    host.file("end", "");
    eventually("the device is gone", || host.devices().is_empty());
    eventually("the supervisor is gone", || supervisors(&host).is_empty());
    host.assert_clean();
}

#[test]
fn a_qemu_that_fails_before_it_is_ready_leaves_nothing() {
    let host = defined();
    let answer = host.run("echo no >&2; exit 1", &["-daemonize", "-device", &device(A)]);
    assert_eq!((answer.status, answer.stderr.as_str()), (Some(1), "no\n"));
    host.assert_clean();
    assert!(supervisors(&host).is_empty());
    answer_of_nothing(&host);
}

fn answer_of_nothing(host: &Host) {
    let mut command = host.job();
    command.args(["--", "/nowhere/qemu", "-daemonize", "-device", &device(A)]);
    answer(&mut command).failed(
        127,
        "cannot run /nowhere/qemu: No such file or directory; install it, or correct its name",
    );
    host.assert_clean();
}

#[test]
fn a_qemu_that_takes_its_time_to_fail_leaves_nothing() {
    let host = defined();
    // The first process knows that the other fails before that has ended.
    let script = format!("{DAEMONIZES}{{ sleep 0.3; touch $ROOT/end; }} & exit 1");
    let start = std::time::Instant::now();
    let answer = host.run(&script, &["-daemonize", "-device", &device(A)]);
    assert_eq!((answer.status, answer.stderr.as_str()), (Some(1), ""));
    assert!(start.elapsed() >= std::time::Duration::from_millis(300));
    host.assert_clean();
}

#[test]
fn a_killed_supervisor_leaves_qemu_and_its_claim() {
    let host = defined();
    host.run(
        &format!("{DAEMONIZES}exit 0"),
        &["-daemonize", "-device", &device(A)],
    )
    .ended(0);
    let pid = daemonized(&host);
    for supervisor in supervisors(&host) {
        kill(supervisor, Signal::SIGKILL).expect("it runs");
    }
    assert!(state(pid).is_some());
    assert_eq!(host.devices(), [A]);
    host.file("end", "");
    eventually("QEMU is gone", || state(pid).is_none());
    assert_eq!(host.devices(), [A]);
    // The next one that has anything to do cleans up.
    host.run("", &["-device", &device(super::B)]).ended(0);
    host.assert_clean();
}

#[test]
fn the_qemu_that_stays_is_claimed_before_the_first_one_ends() {
    let host = defined();
    let script = format!("{DAEMONIZES}until [ -e $ROOT/first ]; do sleep 0.01; done; exit 0");
    let qemu = host.qemu(&script);
    let mut command = host.job();
    command
        .arg("--")
        .arg(qemu)
        .args(["-daemonize", "-device", &device(A)]);
    let mut child = command.stdout(Stdio::null()).spawn().expect("the program starts");
    let pid = daemonized(&host);
    let own = format!("process-{pid}-");
    eventually("it claims", || {
        host.claims(A).iter().any(|claim| claim.starts_with(&own))
    });
    // Killed now, it leaves the claim of the one that stays.
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    host.file("first", "");
    std::thread::sleep(std::time::Duration::from_millis(50));
    let line = format!(
        "cannot use {A}: it belongs to qemu (process {pid}), which is running; stop that one first or give this domain another device"
    );
    host.run("", &["-device", &device(A)]).refused(&line);
    host.file("end", "");
    eventually("QEMU is gone", || state(pid).is_none());
    host.run("", &["-device", &device(A)]).ended(0);
    host.assert_clean();
}
