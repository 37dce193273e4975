//! Many wrappers at once. What they run is a shell that has its device open: the real QEMU has its own tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::qemu::{all_of, arguments, device, kill, wait_until_idle, wait_until_ready, wrapper};
use crate::support::{A, Definition, DomainXml, Guest, Host, Virsh, files, virsh, within};

/// A QEMU that opens the node of the device on its command line and waits for the gate to be opened. It starts no
/// process: two dozen that did would keep an emulated host busy.
const HOLDER: &str = "#!/bin/sh
group=$(readlink \"${2#*sysfsdev=}/iommu_group\")
exec 9<>/dev/vfio/${group##*/}
echo > /tmp/ran/$$
: < /tmp/gate
";

fn script(path: &str, text: &str) {
    fs::write(path, text).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
}

fn holders() -> usize {
    fs::read_dir("/tmp/ran").expect("a folder").count()
}

fn begin() {
    script("/tmp/holder", HOLDER);
    drop(fs::remove_dir_all("/tmp/ran"));
    drop(fs::remove_file("/tmp/gate"));
    fs::create_dir("/tmp/ran").expect("a folder");
    mkfifo("/tmp/gate", Mode::S_IRWXU).expect("a pipe with a name");
    // Whether there is room is tried here, not how long one waits on a slow host.
    fs::create_dir_all("/etc/automdev").expect("a folder");
    fs::write("/etc/automdev/automdev.toml", "[timeouts]\nhook = 600\n").expect("settings");
}

fn start(uuid: &str) -> Child {
    let mut command = wrapper();
    command.args(["/tmp/holder", "-device", &device(uuid)]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

/// Waits until each runs or has been refused, ends those that run, and tells what the others said.
fn finish(mut children: Vec<Child>) -> (usize, Vec<String>) {
    let total = children.len();
    within(Duration::from_secs(300), "each runs or has ended", || {
        let mut over = 0;
        for child in &mut children {
            let status = child.try_wait().expect("a child");
            over += usize::from(status.is_some_and(|status| !status.success()));
        }
        over + holders() == total
    });
    let ran = holders();
    assert_eq!(files::active().len(), ran);
    let gate = fs::OpenOptions::new().read(true).write(true).open("/tmp/gate");
    let mut refusals = Vec::new();
    let mut done = 0;
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        match output.status.code() {
            Some(0) => done += 1,
            Some(125) => refusals.push(stderr),
            other => panic!("{other:?} {stderr}"),
        }
    }
    drop(gate);
    assert_eq!(done, ran);
    (ran, refusals)
}

#[test]
fn of_several_for_one_device_one_runs() {
    let host = super::host();
    begin();
    let children: Vec<Child> = (0..6).map(|_| start(A)).collect();
    let (ran, refusals) = finish(children);
    assert_eq!((ran, refusals.len()), (1, 5), "{refusals:?}");
    for line in refusals {
        assert!(
            line.starts_with(&format!(
                "automdev: cannot use {A}: it belongs to holder (process "
            )) && line.lines().count() == 1,
            "{line}"
        );
    }
    wait_until_idle();
    host.assert_clean();
}

#[test]
fn of_fifty_for_24_ports_24_run() {
    super::end_all();
    let host = Host::without_libvirt();
    begin();
    let uuids: Vec<String> = (0..50)
        .map(|number| format!("f0000000-0000-4000-8000-{number:012}"))
        .collect();
    for uuid in &uuids {
        host.define(uuid, &Definition::new("mtty", "mtty-1"));
    }
    let children: Vec<Child> = uuids.iter().map(|uuid| start(uuid)).collect();
    let (ran, refusals) = finish(children);
    assert_eq!((ran, refusals.len()), (24, 26), "{refusals:?}");
    for line in refusals {
        assert!(
            line.starts_with("automdev: cannot create f0000000-") && line.lines().count() == 1,
            "{line}"
        );
    }
    wait_until_idle();
    host.assert_clean();
}

#[test]
fn what_libvirt_calls_qemu_with_passes_unchanged() {
    super::end_all();
    let host = Host::new();
    host.define(A, &Definition::new("mtty", "mtty-1"));
    DomainXml::new("captured").with(A).guest(Guest::Idle).create();
    let pid = files::qemu_pid("captured");
    let captured = fs::read(format!("/proc/{pid}/cmdline")).expect("it runs");
    virsh(&["destroy", "captured"]);
    host.assert_clean();

    script(
        "/tmp/prints",
        "#!/bin/sh\nprintf '%s\\0' \"$@\"\nls /sys/bus/mdev/devices >&2\n",
    );
    let words: Vec<String> = captured
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8(word.to_vec()).expect("libvirt writes UTF-8"))
        .collect();
    // The program first, and nothing behind the last NUL.
    let words = &words[1..words.len() - 1];
    assert!(words.iter().any(|word| word.contains(A)), "{words:?}");
    let output = wrapper()
        .arg("/tmp/prints")
        .args(words)
        .output()
        .expect("it starts");
    assert_eq!(String::from_utf8_lossy(&output.stderr), format!("{A}\n"));
    let expected = words.join("\0") + "\0";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    host.assert_clean();
}

#[test]
#[ignore = "thirty real QEMUs take minutes to start under emulation"]
fn of_thirty_real_qemus_for_24_ports_24_run() {
    super::end_all();
    let host = Host::without_libvirt();
    host.settings("[timeouts]\nhook = 600\n");
    let uuids: Vec<String> = (0..30)
        .map(|number| format!("f0000000-0000-4000-8000-{number:012}"))
        .collect();
    for uuid in &uuids {
        host.define(uuid, &Definition::new("mtty", "mtty-1"));
    }
    let started: Vec<Child> = uuids
        .iter()
        .map(|uuid| {
            let mut command = wrapper();
            command.args(arguments(&["-S", "-device", &device(uuid)]));
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().expect("it starts")
        })
        .collect();
    let mut refused = 0;
    let mut running = started;
    within(Duration::from_secs(600), "each runs or has been refused", || {
        running.retain_mut(|child| match child.try_wait().expect("a child") {
            Some(status) => {
                assert_eq!(status.code(), Some(125));
                refused += 1;
                false
            }
            None => true,
        });
        std::thread::sleep(Duration::from_secs(2));
        all_of("qemu-system-x86").len() + refused == uuids.len()
    });
    assert_eq!((running.len(), refused, files::active().len()), (24, 6, 24));
    for pid in all_of("qemu-system-x86") {
        wait_until_ready(pid);
        kill(pid, Signal::SIGTERM);
    }
    for mut child in running {
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
    }
    wait_until_idle();
    host.assert_clean();
}
