//! What QEMU sees of the wrapper, and what whoever started it does: nothing.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, pipe2};

use super::host::{Host, answer, eventually, state};
use super::{A, WAITS, defined, device};

/// Tells all that a process may have from who started it: descriptors, signals, the group, the session, the
/// folder, the mask of modes, the environment.
const TELLS: &str = r#"
# Builtins only: a shell that starts a command blocks signals and has pipes of its own.
while read -r line; do
    case $line in Sig[BI]* | Umask* | NoNewPrivs* | Seccomp*) echo "$line" ;; esac
done < /proc/self/status
for file in /proc/self/fd/*; do
    echo ${file##*/}
done
read -r _ _ _ _ _ _ terminal foreground _ < /proc/self/stat
echo $terminal $foreground
pwd; env | sort
"#;

/// What the script tells, started by the shell with these redirections and traps, without and with the wrapper.
fn told(host: &Host, before: &str, after: &str) -> [String; 2] {
    let qemu = host.qemu(TELLS);
    let devices = format!("-device {}", device(A));
    let wrapper = host.command();
    let words = std::iter::once(wrapper.get_program()).chain(wrapper.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    [String::new(), format!("{} --", words.join(" "))].map(|prefix| {
        let line = format!("{before}{prefix} {} {devices} {after}", qemu.display());
        // A session of its own, so that its number is not what differs.
        let output = Command::new("/bin/sh")
            .args(["-c", &line])
            .current_dir(host.at("scripts"))
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("ODD", "a=b\nc")])
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
        String::from_utf8(output.stdout).expect("UTF-8")
    })
}

#[test]
fn qemu_is_started_as_without_it() {
    let host = defined();
    for (before, after) in [
        ("", ""),
        ("", "7</dev/zero 9>>/dev/null"),
        ("", "<&-"),
        ("", "<&- 2>&-"),
        ("trap '' PIPE HUP; ", ""),
        ("trap '' CHLD; ", ""),
        ("umask 027; ", "5<&0"),
    ] {
        let [plain, with_it] = told(&host, before, after);
        assert!(plain.contains("SigIgn") && plain.contains("ODD=a=b"), "{plain}");
        assert_eq!(plain, with_it, "{before}{after}");
        host.assert_clean();
    }
}

#[test]
fn standard_streams_are_qemus_own() {
    let host = defined();
    let qemu =
        host.qemu("read line; echo got $line; exec <&- >&-; until [ -e $ROOT/end ] || ! [ -d $ROOT ]; do sleep 0.02; done");
    let mut command = host.command();
    command.arg("--").arg(qemu).args(["-device", &device(A)]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(b"a line\n").expect("somebody reads");
    let mut told = String::new();
    // It ends while QEMU runs: nobody else holds the other end.
    let mut output = child.stdout.take().expect("a pipe");
    output.read_to_string(&mut told).expect("UTF-8");
    assert_eq!(told, "got a line\n");
    eventually("nobody reads any more", || input.write_all(b"x").is_err());
    host.file("end", "");
    assert!(child.wait().expect("it ends").success());
    host.assert_clean();
}

#[test]
fn a_descriptor_that_qemu_closes_is_closed() {
    let host = defined();
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
    let script = "echo through >&8; exec 8>&-; until [ -e $ROOT/end ] || ! [ -d $ROOT ]; do sleep 0.02; done";
    let qemu = host.qemu(script);
    let mut wrapper = host.command();
    wrapper.arg("--").arg(qemu).args(["-device", &device(A)]);
    // The shell gives it the pipe as number 8, as `-netdev tap,fd=8` would want it.
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "exec \"$@\" 8>&1 >/dev/null", "sh"])
        .arg(wrapper.get_program())
        .args(wrapper.get_args())
        .stdin(Stdio::null())
        .stdout(writer)
        .process_group(0);
    let mut child = command.spawn().expect("a shell");
    drop(command);
    let mut told = String::new();
    // It ends while QEMU runs: nobody else holds the other end.
    File::from(reader).read_to_string(&mut told).expect("UTF-8");
    assert_eq!(told, "through\n");
    host.file("end", "");
    assert!(child.wait().expect("it ends").success());
    host.assert_clean();
}

#[test]
fn what_somebody_sends_reaches_qemu() {
    let host = defined();
    for (signal, name) in [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGQUIT, "QUIT"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGUSR2, "USR2"),
        (Signal::SIGWINCH, "WINCH"),
        (Signal::SIGPIPE, "PIPE"),
        (Signal::SIGALRM, "ALRM"),
    ] {
        let script =
            format!("count=0; trap 'count=$((count + 1))' {name}\n{WAITS}\necho $count {name}; exit 5");
        let running = host.start(&script, &["-device", &device(A)]);
        let pid = qemu(&host);
        running.send(signal);
        // The shell counts it after its sleep.
        std::thread::sleep(std::time::Duration::from_millis(60));
        host.file("end", "");
        assert_eq!(running.end().ended(5).stdout, format!("1 {name}\n"));
        assert_eq!(state(pid), None);
        host.assert_clean();
        forget(&host);
    }
}

#[test]
fn a_signal_that_comes_before_qemu_runs_ends_it() {
    for to_group in [false, true] {
        let host = defined();
        host.kernel().configure(|config| config.create_delay_ms = 300);
        let running = host.start(WAITS, &["-device", &device(A)]);
        eventually("the device is about to be made", || {
            host.names("run/automdev/devices") == [A]
        });
        // As a person's Ctrl-C does, it may end the process that waits to become QEMU.
        if to_group {
            killpg(running.pid(), Signal::SIGINT).expect("a group");
        } else {
            running.send(Signal::SIGINT);
        }
        let answer = running.end();
        assert_eq!((answer.status, answer.stderr.as_str()), (Some(130), ""));
        host.assert_clean();
    }
}

#[test]
fn its_status_tells_the_signal_that_ended_qemu() {
    let host = defined();
    for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGUSR1] {
        let running = host.start(WAITS, &["-device", &device(A)]);
        let pid = qemu(&host);
        nix::sys::signal::kill(pid, signal).expect("it runs");
        running.end().ended(128 + signal as i32);
        host.assert_clean();
        forget(&host);
    }
}

#[test]
fn it_stops_and_goes_on_with_qemu() {
    let host = defined();
    let running = host.start(WAITS, &["-device", &device(A)]);
    let pid = qemu(&host);
    for _ in 0..3 {
        running.send(Signal::SIGTSTP);
        eventually("both are stopped", || {
            [running.pid(), pid].map(state) == [Some('T'), Some('T')]
        });
        running.send(Signal::SIGCONT);
        eventually("both go on", || {
            ![running.pid(), pid].map(state).contains(&Some('T'))
        });
    }
    // The whole job, as a shell does it.
    killpg(running.pid(), Signal::SIGTSTP).expect("a group");
    eventually("both are stopped", || {
        [running.pid(), pid].map(state) == [Some('T'), Some('T')]
    });
    killpg(running.pid(), Signal::SIGCONT).expect("a group");
    eventually("both go on", || {
        ![running.pid(), pid].map(state).contains(&Some('T'))
    });
    host.file("end", "");
    running.end().ended(0);
    host.assert_clean();
}

#[test]
fn nothing_of_it_is_left_in_a_pipe() {
    let host = defined();
    let line = format!("{} | cat", "exec \"$@\"");
    let qemu = host.qemu("echo one; sleep 0.1; echo two");
    let mut wrapper = host.command();
    wrapper.arg("--").arg(qemu).args(["-device", &device(A)]);
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", &line, "sh"])
        .arg(wrapper.get_program())
        .args(wrapper.get_args());
    assert_eq!(answer(&mut shell).ended(0).stdout, "one\ntwo\n");
    host.assert_clean();
}

/// The number of the QEMU that runs.
fn qemu(host: &Host) -> Pid {
    Pid::from_raw(host.wait_for("pid").parse().expect("a number"))
}

fn forget(host: &Host) {
    for name in ["pid", "end"] {
        drop(std::fs::remove_file(host.at(name)));
    }
}
