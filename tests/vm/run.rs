//! The wrapper around the real QEMU, with real devices. A start takes some seconds under software emulation, so
//! each test shows several things.

mod guest;
mod many;
pub(crate) mod qemu;
mod terminal;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::Signal;

use crate::support::{A, B, Definition, Host, eventually, files};
use qemu::{
    Qemu, all_of, arguments, device, kill, name_of, pid_in, plain, runs, wait_for_holder, wait_until_ready,
    wrapper,
};

/// A host on which A is an mtty-1.
fn host() -> Host {
    end_all();
    let host = Host::without_libvirt();
    host.define(A, &Definition::new("mtty", "mtty-1"));
    host
}

#[test]
fn a_device_is_there_while_qemu_runs_in_whichever_form_it_is_given() {
    let host = host();
    let path = format!("/sys/bus/mdev/devices/{A}");
    for form in [
        format!("vfio-pci,sysfsdev={path},id=a"),
        format!("{{\"driver\":\"vfio-pci\",\"sysfsdev\":\"{path}\",\"autocreate\":\"on\"}}"),
        format!("vfio-pci-nohotplug,sysfsdev=/sys/class/mdev_bus/mtty/{A}"),
        format!("vfio-pci,autocreate=on,sysfsdev=/sys/devices/virtual/mtty/mtty/{A}"),
    ] {
        let mut qemu = Qemu::start(&["-monitor", "stdio", "-device", &form]);
        let pid = wait_for_holder(A);
        assert_ne!(pid, qemu.pid());
        let claims = fs::read_dir(format!("/run/automdev/claims/{A}")).expect("claims");
        let claims: Vec<String> = claims
            .map(|claim| claim.expect("a claim").file_name().into_string().expect("UTF-8"))
            .collect();
        assert!(
            matches!(&claims[..], [one] if one.starts_with(&format!("process-{pid}-"))),
            "{claims:?} {pid}"
        );
        qemu.type_in("quit\n");
        let output = qemu.end();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains("(qemu)"), "{told}");
        host.assert_clean();
    }
}

#[test]
fn where_nothing_is_to_be_made_it_is_qemu_and_needs_no_rights() {
    let host = host();
    host.create_by_hand("mtty", "mtty-1", A);
    let mut qemu = Qemu::start(&["-monitor", "stdio", "-device", &device(A)]);
    let pid = qemu.pid();
    eventually("QEMU has its device", || files::holds_open(pid, "mtty", A));
    assert_eq!(name_of(pid), "qemu-system-x86");
    assert_eq!(files::ledger(), Vec::<String>::new());
    qemu.type_in("quit\n");
    assert_eq!(qemu.end().status.code(), Some(0));
    host.assert_device(A, "mtty", "mtty-1");
    host.remove_by_hand(A);

    let as_nobody = |arguments: &[&str]| {
        let output = Command::new("runuser")
            .args([
                "-u",
                "nobody",
                "--",
                "automdev",
                "run",
                "--",
                "qemu-system-x86_64",
            ])
            .args(arguments)
            .output()
            .expect("runuser");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (status, stdout, stderr) = as_nobody(&["-version"]);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("QEMU emulator version"), "{stdout}");
    // With a ledger that it may not read, too.
    fs::create_dir_all("/run/automdev/claimants").expect("a folder");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions("/run/automdev", mode).expect("its mode");
    let (status, _, stderr) = as_nobody(&["-device", &device(A)]);
    let line = format!(
        "automdev: cannot create {A} (mtty-1 on mtty): only root may create mediated devices; run this as root, or let root create the device first\n"
    );
    assert_eq!((status, stderr), (Some(125), line));
    host.assert_clean();
}

#[test]
fn a_link_in_qemus_place_serves_libvirts_probes() {
    let host = host();
    let link = "/usr/local/bin/qemu-system-x86_64";
    std::os::unix::fs::symlink("/usr/bin/automdev", link).expect("a link");
    let version = Command::new(link).arg("-version").output().expect("it starts");
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("QEMU emulator version"));
    // As libvirt calls it, from tests/data/qemu/libvirt-probe.argv.
    let status = Command::new("/bin/sh")
        .args(["-c", "exec qemu-system-x86_64 \"$@\"", "sh"])
        .args([
            "-S",
            "-no-user-config",
            "-nodefaults",
            "-nographic",
            "-machine",
            "none,accel=tcg",
        ])
        .args(["-qmp", "unix:/tmp/probe.monitor,server=on,wait=off"])
        .args(["-pidfile", "/tmp/probe.pid", "-daemonize"])
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .status()
        .expect("it starts");
    assert!(status.success());
    let pid = pid_in("/tmp/probe.pid");
    assert_eq!(name_of(pid), "qemu-system-x86");
    kill(pid, Signal::SIGTERM);
    eventually("the probe has ended", || !runs(pid));

    // And a start by that name has its device.
    let mut command = Command::new(link);
    command
        .args(plain())
        .args(["-monitor", "stdio", "-device", &device(A)]);
    let mut qemu = Qemu::of(&mut command);
    wait_for_holder(A);
    qemu.type_in("quit\n");
    assert_eq!(qemu.end().status.code(), Some(0));
    // One around the other: the inner one finds the device claimed by itself.
    let mut command = wrapper();
    command
        .arg(link)
        .args(plain())
        .args(["-monitor", "stdio", "-device", &device(A)]);
    let mut qemu = Qemu::of(&mut command);
    let pid = wait_for_holder(A);
    assert_eq!(name_of(pid), "qemu-system-x86");
    assert_eq!(all_of("automdev").len(), 1);
    qemu.type_in("quit\n");
    assert_eq!(qemu.end().status.code(), Some(0));
    fs::remove_file(link).expect("a link");
    host.assert_clean();
}

#[test]
fn a_daemonized_qemu_has_its_device_to_its_end() {
    let host = host();
    drop(fs::remove_file("/tmp/qemu.pid"));
    let mut command = wrapper();
    command.args(arguments(&[
        "-S",
        "-daemonize",
        "-pidfile",
        "/tmp/qemu.pid",
        "-device",
        &device(A),
    ]));
    // The output comes to its end: nobody who stays has it open.
    let output = command.output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let pid = pid_in("/tmp/qemu.pid");
    assert!(files::holds_open(pid, "mtty", A));
    let ledger = files::ledger();
    assert_eq!(ledger.len(), 3, "{ledger:?}");
    assert!(
        ledger[2].starts_with(&format!("claimants/process-{pid}-")),
        "{ledger:?}"
    );
    assert_eq!(all_of("automdev").len(), 1);

    // Another one is refused, naming it.
    let refused = wrapper()
        .args(arguments(&["-device", &device(A)]))
        .output()
        .expect("it starts");
    let line = format!(
        "automdev: cannot use {A}: it belongs to qemu-system-x86_64 (process {pid}), which is running; stop that one first or give this domain another device\n"
    );
    assert_eq!(
        (refused.status.code(), String::from_utf8_lossy(&refused.stderr)),
        (Some(125), line.into())
    );
    assert!(files::holds_open(pid, "mtty", A));

    kill(pid, Signal::SIGTERM);
    eventually("the device is gone", || files::active().is_empty());
    eventually("nobody waits any more", || all_of("automdev").is_empty());
    host.assert_clean();
}

#[test]
fn killed_it_leaves_qemu_and_the_next_one_cleans_up() {
    let host = host();
    host.define(B, &Definition::new("mdpy", "mdpy-vga"));
    for daemonizes in [false, true] {
        drop(fs::remove_file("/tmp/qemu.pid"));
        let mut all = vec!["-S", "-pidfile", "/tmp/qemu.pid"];
        all.extend(daemonizes.then_some("-daemonize"));
        let a = device(A);
        all.extend(["-device", &a]);
        let qemu = Qemu::start(&all);
        let pid = wait_for_holder(A);
        if daemonizes {
            assert_eq!(qemu.end().status.code(), Some(0));
        }
        // Whoever waits for QEMU.
        let waiting = all_of("automdev");
        assert_eq!(waiting.len(), 1);
        kill(waiting[0], Signal::SIGKILL);
        eventually("the wrapper is gone", || all_of("automdev").is_empty());
        assert!(files::holds_open(pid, "mtty", A));
        let refused = wrapper()
            .args(arguments(&["-device", &device(A)]))
            .output()
            .expect("it starts");
        assert_eq!(refused.status.code(), Some(125), "{refused:?}");
        kill(pid, Signal::SIGTERM);
        eventually("QEMU has ended", || !runs(pid));
        host.assert_device(A, "mtty", "mtty-1");
        // Any command with a device to see to does it.
        let next = wrapper()
            .args(["/bin/true", "-device", &device(B)])
            .status()
            .expect("it starts");
        assert!(next.success());
        host.assert_clean();
    }
}

#[test]
fn a_qemu_that_does_not_come_to_run_leaves_no_device() {
    let host = host();
    let run = |command: &mut Command, program: &str, rest: &[&str]| {
        let output = command.arg(program).args(plain()).args(rest).output();
        let output = output.expect("it starts");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        // vfio says of an mtty that it cannot be reset.
        let lines = stderr
            .split_inclusive('\n')
            .filter(|line| !line.contains("vfio: "));
        (output.status.code(), lines.collect::<String>())
    };
    for rest in [
        &["-device", "no-such-device"][..],
        &["-daemonize", "-device", "no-such-device"],
    ] {
        let without = run(&mut Command::new("env"), "qemu-system-x86_64", rest);
        assert!(
            without.0 == Some(1) && without.1.contains("no-such-device"),
            "{without:?}"
        );
        let a = device(A);
        let both = [&["-device", &a], rest].concat();
        assert_eq!(run(&mut wrapper(), "qemu-system-x86_64", &both), without);
        host.assert_clean();
    }
    let nowhere =
        "cannot run qemu-system-nowhere: No such file or directory; install it, or correct its name";
    let no_program = "cannot run /etc/passwd: Permission denied; it must be a program that you may execute";
    for (program, status, line) in [
        ("qemu-system-nowhere", 127, nowhere),
        ("/etc/passwd", 126, no_program),
    ] {
        let told = run(&mut wrapper(), program, &["-device", &device(A)]);
        assert_eq!(told, (Some(status), format!("automdev: {line}\n")));
        host.assert_clean();
    }
}

#[test]
fn signals_reach_qemu_and_its_end_is_told() {
    let host = host();
    let qemu = Qemu::start(&["-S", "-device", &device(A)]);
    let wrapper = qemu.pid();
    let pid = wait_for_holder(A);
    wait_until_ready(pid);
    kill(wrapper, Signal::SIGTSTP);
    eventually("both are stopped", || {
        qemu::state(wrapper) == 'T' && qemu::state(pid) == 'T'
    });
    kill(wrapper, Signal::SIGCONT);
    eventually("both go on", || {
        qemu::state(wrapper) != 'T' && qemu::state(pid) != 'T'
    });
    kill(wrapper, Signal::SIGTERM);
    let output = qemu.end();
    let told = String::from_utf8_lossy(&output.stderr);
    let line = format!("terminating on signal 15 from pid {wrapper} (automdev");
    assert_eq!(told.matches("terminating on signal").count(), 1, "{told}");
    assert!(told.contains(&line), "{told}");
    assert_eq!(output.status.code(), Some(0));
    host.assert_clean();

    let qemu = Qemu::start(&["-S", "-device", &device(A)]);
    kill(wait_for_holder(A), Signal::SIGKILL);
    assert_eq!(qemu.end().status.code(), Some(137));
    host.assert_clean();
}

#[test]
fn an_inherited_descriptor_is_qemus_alone() {
    let host = host();
    let (mut ours, theirs) = UnixStream::pair().expect("sockets");
    fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty())).expect("it may be inherited");
    let chardev = format!("socket,id=m,fd={}", theirs.as_raw_fd());
    let qemu = Qemu::start(&[
        "-S",
        "-chardev",
        &chardev,
        "-mon",
        "chardev=m",
        "-device",
        &device(A),
    ]);
    drop(theirs);
    ours.set_read_timeout(Some(std::time::Duration::from_secs(60)))
        .expect("a socket");
    wait_for_holder(A);
    ours.write_all(b"quit\n").expect("QEMU reads");
    // It ends with QEMU.
    let mut told = Vec::new();
    ours.read_to_end(&mut told).expect("QEMU closes it");
    assert!(String::from_utf8_lossy(&told).contains("(qemu)"));
    assert_eq!(qemu.end().status.code(), Some(0));
    host.assert_clean();
}

#[test]
fn a_qemu_that_leaves_its_memory_to_another_process_gives_its_device_back() {
    let host = host();
    host.define(B, &Definition::new("mdpy", "mdpy-vga"));
    let help = Command::new("qemu-system-x86_64")
        .arg("-help")
        .output()
        .expect("QEMU");
    let option: &[&str] = if String::from_utf8_lossy(&help.stdout).contains("-run-with") {
        &["-run-with", "async-teardown=on"]
    } else {
        &["-async-teardown"]
    };
    let (a, b) = (device(A), device(B));
    let rest = ["-monitor", "stdio", "-device", &a, "-device", &b];
    let mut qemu = Qemu::start(&[option, &rest].concat());
    wait_for_holder(A);
    qemu.type_in("quit\n");
    let output = qemu.end();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        !String::from_utf8_lossy(&output.stderr).contains("automdev"),
        "{output:?}"
    );
    host.assert_clean();
}

/// Ends what a test that failed has left running: a device in use could not be removed.
fn end_all() {
    for name in ["automdev", "holder", "qemu-system-x86"] {
        for pid in all_of(name) {
            kill(pid, Signal::SIGKILL);
        }
        eventually("nothing of an earlier test runs", || all_of(name).is_empty());
    }
}
