//! The wrapper as a whole program: QEMU is a shell script that tells what it sees.

pub(crate) mod host;

mod background;
mod crash;
mod invisible;
mod many;
mod marks;
mod pools;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use host::{Host, answer, eventually, program, state};

/// Devices.
const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b";

/// Waits for `$ROOT/end`, or for the end of a test that failed.
const WAITS: &str = "echo $$ > $ROOT/pid.new; mv $ROOT/pid.new $ROOT/pid\nuntil [ -e $ROOT/end ] || ! [ -d $ROOT ]; do sleep 0.02; done";

/// The `-device` of one.
fn device(uuid: &str) -> String {
    format!("vfio-pci,sysfsdev=/sys/bus/mdev/devices/{uuid}")
}

/// A host that defines A as an mtty-1 and B as an mdpy-vga.
fn defined() -> Host {
    let host = Host::new();
    host.definition("mtty", A, "mtty-1", &[])
        .definition("mdpy", B, "mdpy-vga", &[]);
    host
}

#[test]
fn the_devices_are_there_while_qemu_runs() {
    let host = defined();
    let before = host.snapshot();
    let script = "ls $ROOT/sys/bus/mdev/devices\nls $ROOT/run/automdev/claims/*\necho $$; exit 7";
    let answer = host
        .run(script, &["-device", &device(A), "-S", "-device", &device(B)])
        .ended(7);
    let lines: Vec<&str> = answer.stdout.lines().filter(|line| !line.is_empty()).collect();
    let [a, b, _, claim, _, same, pid] = lines[..] else {
        panic!("{answer:?}");
    };
    assert_eq!((a, b), (A, B));
    assert!(claim.starts_with(&format!("process-{pid}-")), "{claim} {pid}");
    assert_eq!(claim, same);
    host.assert_clean();
    let after = host.snapshot().without(&["run/automdev", "scripts"]);
    before.without(&["scripts"]).assert_unchanged(&after);
}

#[test]
fn qemu_gets_its_command_line_byte_for_byte() {
    let host = defined();
    let script = "for argument; do printf '%s\\n' \"$argument\"; done";
    let odd = OsString::from_vec(b"-name=\xff,,\x01 '\"".to_vec());
    let a = device(A);
    let json =
        format!(r#"{{"driver":"vfio-pci", "autocreate":"off","sysfsdev":"/sys/bus/mdev/devices/{B}" }}"#);
    let without = format!(r#"{{"driver":"vfio-pci","sysfsdev":"/sys/bus/mdev/devices/{B}" }}"#);
    let arguments = [
        "",
        "-device",
        &format!("{a},autocreate=on,id=x"),
        "--",
        "-device",
        &json,
    ]
    .map(OsString::from);
    let qemu = host.qemu(script);
    let output = host
        .command()
        .arg("--")
        .arg(qemu)
        .args(arguments)
        .arg(&odd)
        .output()
        .expect("the program starts");
    let mut expected = ["", "-device", &format!("{a},id=x"), "--", "-device", &without]
        .join("\n")
        .into_bytes();
    expected.push(b'\n');
    expected.extend(odd.into_vec());
    expected.push(b'\n');
    assert_eq!(OsString::from_vec(output.stdout), OsString::from_vec(expected));
    assert!(
        output.stderr.is_empty() && output.status.success(),
        "{:?}",
        output.status
    );
    host.assert_clean();
}

#[test]
fn where_nothing_is_to_be_made_it_becomes_qemu() {
    let host = defined();
    let off = format!("{},autocreate=off", device(A));
    let no_mdev = "vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:00:02.0";
    for arguments in [
        &["-version"][..],
        &["-device", "help"],
        &["-machine", "none", "-daemonize"],
        &["-device", &off],
        &["-device", no_mdev],
    ] {
        // Nor do settings matter that cannot be read.
        host.file("etc/automdev/automdev.toml", "no settings");
        let before = host.snapshot().without(&["scripts"]);
        let running = host.start("echo $$; exit 3", arguments);
        let pid = running.pid();
        assert_eq!(running.end().ended(3).stdout, format!("{pid}\n"), "{arguments:?}");
        before.assert_unchanged(&host.snapshot().without(&["scripts"]));
    }
}

#[test]
fn a_device_that_somebody_else_made_needs_no_parent() {
    let host = defined();
    host.active("mtty", "mtty-1", A);
    let running = host.start("echo $$", &["-device", &device(A)]);
    let pid = running.pid();
    assert_eq!(running.end().ended(0).stdout, format!("{pid}\n"));
    assert_eq!(host.devices(), [A]);
    assert!(!host.at("run/automdev").exists());
    // Together with one that is to be made, it is claimed as well and left standing.
    let script = "ls $ROOT/run/automdev/claims";
    let answer = host
        .run(script, &["-device", &device(B), "-device", &device(A)])
        .ended(0);
    assert_eq!(answer.stdout, format!("{A}\n{B}\n"));
    assert_eq!(host.devices(), [A]);
}

#[test]
fn what_cannot_be_had_is_refused_before_qemu_runs() {
    let host = defined();
    host.definition("mtty", "11111111-0000-4000-8000-000000000001", "mtty-9", &[])
        .file("etc/automdev/automdev.toml", "timeouts.parent = 0");
    let before = host.snapshot().without(&["scripts"]);
    let class = |parent: &str, uuid: &str| format!("vfio-pci,sysfsdev=/sys/class/mdev_bus/{parent}/{uuid}");
    for (arguments, line) in [
        (
            vec!["-device".to_owned(), device("22222222-0000-4000-8000-000000000001")],
            "cannot create 22222222-0000-4000-8000-000000000001: this host has no definition of it; make one with automdev define --uuid UUID --parent PARENT --type TYPE".to_owned(),
        ),
        (
            vec!["-device".to_owned(), device("11111111-0000-4000-8000-000000000001")],
            "cannot create 11111111-0000-4000-8000-000000000001 (mtty-9 on mtty): mtty offers no type mtty-9, only mtty-1, mtty-2; correct the definition".to_owned(),
        ),
        (
            vec!["-device".to_owned(), format!("vfio-ap,sysfsdev=/sys/bus/mdev/devices/{A}")],
            format!("cannot create {A} (mtty-1 on mtty): the domain says model=\"vfio-ap\", but mtty-1 is vfio-pci; correct the domain's model or the definition's type"),
        ),
        (
            vec!["-device".to_owned(), class("mdpy", A)],
            format!("cannot use {A}: it is looked for below mdpy, but belongs below mtty; write sysfsdev=/sys/bus/mdev/devices/UUID, which is right wherever it is"),
        ),
        (
            vec!["-device".to_owned(), device(A), "-device".to_owned(), format!("vfio-pci,sysfsdev=/sys/devices/virtual/mtty/mtty/{A}")],
            format!("QEMU's argument 4, \"vfio-pci,sysfsdev=/sys/devices/virtual/mtty/mtty/c2177883-f1bb-47f0-914d-32a22e3…\": the mdev {A} is given by argument 2 already"),
        ),
        (
            vec!["-device".to_owned(), format!("{},autocreate=maybe", device(A))],
            "QEMU's argument 2, \"vfio-pci,sysfsdev=/sys/bus/mdev/devices/c2177883-f1bb-47f0-914d-32a22e3a8804,aut…\": autocreate is \"on\" or \"off\", not \"maybe\"".to_owned(),
        ),
        (
            vec!["-device".to_owned(), "vfio-pci,sysfsdev=/nowhere,autocreate=on".to_owned()],
            "QEMU's argument 2 has autocreate=on, but /nowhere leads to no mediated device; write sysfsdev=/sys/bus/mdev/devices/UUID".to_owned(),
        ),
    ] {
        host.run("touch $ROOT/ran", &arguments).refused(&line);
        before.assert_unchanged(&host.snapshot().without(&["scripts", "run/automdev"]));
        host.assert_clean();
    }
}

#[test]
fn its_own_usage_errors_are_told() {
    let host = Host::new();
    let usage = "usage: automdev run [--domain FILE] -- QEMU ARGS…";
    answer(&mut host.command()).refused(&format!("run: QEMU's command is missing; {usage}"));
    answer(host.command().args(["--what", "--", "true"]))
        .refused(&format!("run: --what is no option of its own; {usage}"));
    let answer = answer(host.command().arg("--help"));
    assert_eq!(answer.status, Some(0));
    assert!(
        answer
            .stdout
            .contains("automdev run [--domain FILE] -- QEMU ARGS…"),
        "{}",
        answer.stdout
    );
}

#[test]
fn a_qemu_that_cannot_be_executed_leaves_no_device() {
    let host = defined();
    let script = host.qemu("");
    host.file_with_mode("scripts/plain", "text", 0o644);
    let plain = host.at("scripts/plain").display().to_string();
    let folder = host.at("scripts").display().to_string();
    for (qemu, status, line) in [
        (
            "/nowhere/qemu".to_owned(),
            127,
            "cannot run /nowhere/qemu: No such file or directory; install it, or correct its name".to_owned(),
        ),
        (
            "qemu-that-is-not-there".to_owned(),
            127,
            "cannot run qemu-that-is-not-there: No such file or directory; install it, or correct its name"
                .to_owned(),
        ),
        (
            format!("{}/x", script.display()),
            127,
            format!(
                "cannot run {}/x: Not a directory; install it, or correct its name",
                script.display()
            ),
        ),
        (
            plain.clone(),
            126,
            format!("cannot run {plain}: Permission denied; it must be a program that you may execute"),
        ),
        (
            folder.clone(),
            126,
            format!("cannot run {folder}: Permission denied; it must be a program that you may execute"),
        ),
    ] {
        for devices in [&[][..], &["-device".to_owned(), device(A)]] {
            answer(host.command().arg("--").arg(&qemu).args(devices)).failed(status, &line);
            host.assert_clean();
        }
    }
}

#[test]
fn a_qemu_that_dies_at_once_leaves_no_device_and_its_own_message() {
    let host = defined();
    let answer = host.run("echo 'qemu: no' >&2; exit 1", &["-device", &device(A)]);
    assert_eq!((answer.status, answer.stderr.as_str()), (Some(1), "qemu: no\n"));
    host.assert_clean();
    let answer = host
        .run("kill -SEGV $$", &["-device", &device(A)])
        .ended(128 + 11);
    assert_eq!(answer.stdout, "");
    host.assert_clean();
}

#[test]
fn by_the_name_of_a_qemu_it_runs_the_next_one_on_path() {
    let host = Host::new();
    let name = "qemu-system-x86_64";
    let real = host.script(&format!("real/{name}"), "echo real $0 $*; echo $$");
    host.script(&format!("far/{name}"), "echo far");
    for (folder, is_copy) in [("link", false), ("copy", true), ("other", false)] {
        host.folder(&format!("scripts/{folder}"));
        let path = host.at(format!("scripts/{folder}/{name}"));
        if is_copy {
            let copied = std::process::Command::new("cp").arg(program()).arg(path).status();
            assert!(copied.expect("cp").success());
        } else {
            std::os::unix::fs::symlink(program(), path).expect("a link");
        }
    }
    let folders = |names: &[&str]| {
        let folders = names.iter().map(|name| host.at("scripts").join(name));
        std::env::join_paths(folders).expect("a PATH")
    };
    let path = |folder: &str| host.at(format!("scripts/{folder}/{name}"));
    for (started, search) in [
        (path("link"), &["link", "real", "far"][..]),
        (path("link"), &["real", "far"]),
        (path("link"), &["link", "copy", "other", "real", "far"]),
        // A copy must not go back to the link before it.
        (path("copy"), &["link", "copy", "real"]),
    ] {
        let mut command = std::process::Command::new(&started);
        command.args(["-version", "a b"]).env("PATH", {
            let mut path = folders(search);
            path.push(":/usr/bin:/bin");
            path
        });
        let child = command
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("it starts");
        let pid = child.id();
        let output = child.wait_with_output().expect("it ends");
        let expected = format!("real {} -version a b\n{pid}\n", real.display());
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            expected,
            "{started:?} {search:?}"
        );
    }
    let mut alone = std::process::Command::new(path("link"));
    let line = format!(
        "cannot run {name}: no program of that name but automdev itself is on PATH; install QEMU, or put its folder there"
    );
    answer(alone.env("PATH", folders(&["link", "other"]))).failed(127, &line);
}

/// Where `run` ends, so may all that it has started: a unit of systemd's, say. Nobody waits for it, and it waits itself.
#[test]
fn what_a_driver_cleans_up_is_gone_when_it_ends() {
    let host = Host::new();
    let gpu = "0000:41:00.0";
    host.folder("sys/bus/mdev/drivers/nvidia-vgpu-vfio")
        .nvidia(gpu)
        .definition(gpu, A, "nvidia-222", &[])
        .definition(gpu, B, "nvidia-222", &[])
        .file("etc/automdev/automdev.toml", "[timeouts]\ngone = 1.5\nhook = 4\n");
    let began = Instant::now();
    host.run("exit 3", &["-device", &device(A), "-device", &device(B)])
        .ended(3);
    host.assert_clean();
    assert!(
        began.elapsed() >= Duration::from_millis(1500),
        "{:?}",
        began.elapsed()
    );
}

/// What a dead one has left is given back where that can be done at once, and waited for by nobody who has another device.
#[test]
fn what_others_have_left_is_not_waited_for() {
    let host = defined();
    host.file("etc/automdev/automdev.toml", "[timeouts]\nhook = 20\n");
    let running = host.start(WAITS, &["-device", &device(A)]);
    let qemu = host.wait_for("pid").trim().parse().expect("a number");
    running.kill();
    kill(Pid::from_raw(qemu), Signal::SIGKILL).expect("it runs");
    eventually("QEMU is gone", || state(Pid::from_raw(qemu)).is_none());
    // Somebody is at it.
    let path = host.at(format!("run/automdev/locks/process-{:04}", qemu % 4096));
    let file = std::fs::File::open(path).expect("a lock's file");
    let lock = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).expect("it is free");
    let began = Instant::now();
    host.run("", &["-device", &device(B)]).ended(0);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(host.devices(), [A]);
    drop(lock);
    host.run("", &["-device", &device(B)]).ended(0);
    host.assert_clean();
}
