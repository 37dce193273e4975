//! What somebody else may write, say or be called: the attacks of docs/reliability.md that have no place elsewhere.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use automdev::host::clock::Deadline;
use automdev::host::kernel::{Kernel, Sysfs, Target, WriteError};
use nix::errno::Errno;
use nix::sys::stat::Mode;

use crate::hook::domain::Domain;
use crate::hook::host::{Answer, Host, program, spawn};

const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";

fn a_host() -> (Host, Domain) {
    let host = Host::new();
    host.timeouts("claim = 0\nidle = 0.2\nhook = 20")
        .mtty()
        .definition("mtty", A, "mtty-2", &[]);
    (host, Domain::new("vm1", 1).with(A))
}

/// Refused on one line, and nothing on the host is another.
#[track_caller]
fn refused_and_harmless(host: &Host, vm: &Domain, told: &str) -> Answer {
    let before = host.state();
    let answer = host.prepare(vm);
    assert_eq!(answer.status, Some(1), "{told}: {answer:?}");
    assert_eq!(answer.stderr.lines().count(), 1, "{told}: {answer:?}");
    before.assert_unchanged(&host.state());
    assert_eq!(host.writes(), Vec::<String>::new(), "{told}");
    answer
}

fn set_mode(host: &Host, path: &str, mode: u32) {
    fs::set_permissions(host.at(path), fs::Permissions::from_mode(mode)).expect("it has a mode");
}

#[test]
fn a_definition_that_leads_elsewhere() {
    for (mdev_type, attribute) in [
        ("../../../../etc", "power/control"),
        ("..", "power/control"),
        ("mtty-2/../mtty-1", "power/control"),
        ("", "power/control"),
        ("mtty-2\n", "power/control"),
        ("mtty-2", "../remove"),
        ("mtty-2", "power/../../remove"),
        ("mtty-2", "/etc/passwd"),
        ("mtty-2", "power//control"),
        ("mtty-2", "."),
        ("mtty-2", ""),
        ("mtty-2", "power/\u{1b}[31m"),
    ] {
        let (host, vm) = a_host();
        host.definition("mtty", A, mdev_type, &[(attribute, "on")]);
        let told = format!("{mdev_type:?} {attribute:?}");
        let answer = refused_and_harmless(&host, &vm, &told);
        assert!(answer.stderr.contains("is broken"), "{told}: {answer:?}");
        assert!(
            !answer.stderr.trim_end().contains(char::is_control),
            "{told}: {answer:?}"
        );
    }
}

/// The name is part of a path: `/run/libvirt/qemu/NAME.pid`.
#[test]
fn a_domain_that_is_called_after_a_path() {
    for name in ["../../../etc/evil", "/etc/evil", "..", "a/b"] {
        let (host, mut vm) = a_host();
        name.clone_into(&mut vm.name);
        // What it leads to says that the domain runs.
        host.process(4711, "qemu", &["qemu", "-uuid", &vm.uuid], 9)
            .file("etc/evil.pid", "4711")
            .file("run/libvirt/qemu/a/b.pid", "4711");
        host.prepare(&vm).done();
        host.stop_libvirt();
        assert_eq!(host.reconcile(&[]).status, Some(0), "{name}");
        host.assert_ledger_empty();
    }
}

/// Where a call writes, a link leads it nowhere else.
#[test]
fn links_in_the_ledger() {
    for link in [
        "locks/host",
        "locks/parent-mtty",
        "locks/creation-c2177883-f1bb-47f0-914d-32a22e3a8804",
        "devices/.c2177883-f1bb-47f0-914d-32a22e3a8804.new",
        "claimants/.domain-d0000000-0000-4000-8000-000000000001.new",
        "claims/c2177883-f1bb-47f0-914d-32a22e3a8804",
    ] {
        let (host, vm) = a_host();
        host.prepare(&Domain::new("other", 2)).done();
        host.ledger_folder(0o700);
        for folder in ["devices", "claims", "claimants", "locks"] {
            let path = format!("run/automdev/{folder}");
            host.folder(&path);
            set_mode(&host, &path, 0o700);
        }
        host.file("victim", "precious").folder("victims");
        let to = if link.starts_with("claims/") {
            "victims"
        } else {
            "victim"
        };
        symlink(host.at(to), host.at(format!("run/automdev/{link}"))).expect("a link");
        host.kernel().reset();
        let answer = host.prepare(&vm);
        assert_eq!(answer.status, Some(1), "{link}: {answer:?}");
        assert_eq!(host.read("victim").as_deref(), Some("precious"), "{link}");
        assert_eq!(host.names("victims"), Vec::<String>::new(), "{link}");
        assert!(host.devices().is_empty(), "{link}");
    }
}

/// What a definition is a link to may be no file that ends.
#[test]
fn links_in_the_store() {
    let (host, vm) = a_host();
    let path = host.at(format!("etc/mdevctl.d/mtty/{A}"));
    nix::unistd::mkfifo(&host.at("pipe"), Mode::S_IRWXU).expect("a pipe");
    host.folder("folder");
    for to in ["/dev/zero", "/dev/full", "/nowhere"]
        .map(std::path::PathBuf::from)
        .into_iter()
        .chain([host.at("pipe"), host.at("folder"), path.clone()])
    {
        fs::remove_file(&path).expect("it is there");
        symlink(&to, &path).expect("a link");
        let answer = refused_and_harmless(&host, &vm, &to.display().to_string());
        assert!(answer.stderr.contains("is broken"), "{answer:?}");
    }
}

/// Whoever may write what root believes is root.
#[test]
fn what_others_may_write_is_not_believed() {
    let file = format!("etc/mdevctl.d/mtty/{A}");
    for path in [file.as_str(), "etc/mdevctl.d/mtty", "etc/mdevctl.d"] {
        let (host, vm) = a_host();
        let mode = fs::metadata(host.at(path))
            .expect("it is there")
            .permissions()
            .mode();
        set_mode(&host, path, mode | 0o002);
        let answer = refused_and_harmless(&host, &vm, path);
        assert!(
            answer.stderr.contains("others than root may write"),
            "{path}: {answer:?}"
        );
        set_mode(&host, path, mode);
        host.prepare(&vm).done();
    }
    for path in ["etc/automdev/automdev.toml", "etc/automdev"] {
        let (host, vm) = a_host();
        let mode = fs::metadata(host.at(path))
            .expect("it is there")
            .permissions()
            .mode();
        set_mode(&host, path, mode | 0o002);
        let answer = refused_and_harmless(&host, &vm, path);
        let start = "automdev: vm1: cannot read /etc/automdev/automdev.toml: others than root may write";
        assert!(answer.stderr.starts_with(start), "{path}: {answer:?}");
        // A stop needs no settings.
        host.release(&vm).done();
    }
}

/// Nor is what a link leads to that others may write, or put something else in the place of.
#[test]
fn a_link_to_what_others_may_write_is_not_believed() {
    for path in ["srv/defs/it", "srv/defs"] {
        let (host, vm) = a_host();
        let file = host.at(format!("etc/mdevctl.d/mtty/{A}"));
        host.folder("srv/defs");
        fs::rename(&file, host.at("srv/defs/it")).expect("a definition");
        symlink(host.at("srv/defs/it"), &file).expect("a link");
        host.prepare(&vm).done();
        host.release(&vm).done();
        let mode = fs::metadata(host.at(path))
            .expect("it is there")
            .permissions()
            .mode();
        host.kernel().reset();
        set_mode(&host, path, mode | 0o002);
        let answer = refused_and_harmless(&host, &vm, path);
        assert!(
            answer
                .stderr
                .contains(&format!("others than root may write {}", host.at(path).display())),
            "{path}: {answer:?}"
        );
    }
}

/// Nor is a link on the way that others may put another one in the place of.
#[test]
fn a_link_among_what_others_may_write_is_not_believed() {
    for path in ["srv/links", "srv", "etc"] {
        let (host, vm) = a_host();
        let file = host.at(format!("etc/mdevctl.d/mtty/{A}"));
        fs::create_dir_all(host.at("opt/defs")).expect("a folder");
        fs::rename(&file, host.at("opt/defs/it")).expect("a definition");
        host.link("srv/links/it", "opt/defs/it")
            .link(&format!("etc/mdevctl.d/mtty/{A}"), "srv/links/it");
        let store = host.at("etc/mdevctl.d");
        fs::rename(&store, host.at("opt/store")).expect("the store");
        // Links of the store's that lead further up were not made for where it lies now.
        let link = host.at(format!("opt/store/mtty/{A}"));
        fs::remove_file(&link).expect("a link");
        host.link(&format!("opt/store/mtty/{A}"), "srv/links/it")
            .link("etc/mdevctl.d", "opt/store");
        host.prepare(&vm).done();
        host.release(&vm).done();
        host.kernel().reset();
        let mode = fs::metadata(host.at(path))
            .expect("it is there")
            .permissions()
            .mode();
        set_mode(&host, path, mode | 0o002);
        let answer = refused_and_harmless(&host, &vm, path);
        let told = format!("others than root may write {}", host.at(path).display());
        assert!(answer.stderr.contains(&told), "{path}: {answer:?}");
    }
}

/// A name may turn what is printed after it around, or be a terminal's command.
#[test]
fn a_domains_name_in_the_journal() {
    let (host, vm) = a_host();
    host.active("mtty", "mtty-2", A);
    let xml = vm.xml().replace("<name>vm1<", "<name>v\u{202e}m\u{9b}2J<");
    host.event("v\u{202e}m\u{9b}2J", "prepare", "begin", &xml)
        .done()
        .logged(&[&format!(
            "6 v m 2J: {A} (mtty-2 on mtty) was there before; v m 2J uses it and leaves it standing"
        )]);
}

#[test]
fn what_belongs_to_somebody_else_is_not_believed() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("only root can make a file of somebody else's");
        return;
    }
    for path in [
        format!("etc/mdevctl.d/mtty/{A}"),
        "etc/automdev/automdev.toml".to_owned(),
    ] {
        let (host, vm) = a_host();
        std::os::unix::fs::chown(host.at(&path), Some(65534), None).expect("root may");
        refused_and_harmless(&host, &vm, &path);
    }
}

/// Entities that stand for others that stand for others, and files that are to be read.
#[test]
fn xml_that_grows_or_reads() {
    let entities: Vec<String> = (1..12)
        .map(|number| {
            let inner = format!("&a{};", number - 1).repeat(10);
            format!("<!ENTITY a{number} \"{inner}\">")
        })
        .collect();
    let bomb = format!(
        "<!DOCTYPE domain [<!ENTITY a0 \"aaaaaaaaaa\">{}]><domain><name>&a11;</name></domain>",
        entities.concat()
    );
    let reads =
        "<!DOCTYPE domain [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><domain><name>&x;</name></domain>";
    for input in [bomb.as_str(), reads] {
        let (host, vm) = a_host();
        let before = host.state();
        let answer = host.event("vm1", "prepare", "begin", input);
        assert_eq!(answer.status, Some(1), "{answer:?}");
        assert!(
            answer.stderr.len() < 1000 && !answer.stderr.contains("root:"),
            "{answer:?}"
        );
        // Nor at a stop, which then goes by the domain's name.
        host.prepare(&vm).done();
        host.event("vm1", "release", "end", input).done();
        before.assert_unchanged(&host.state());
        let mut define = Command::new(program());
        define
            .arg("--root")
            .arg(host.path())
            .args(["define", "--parent", "mtty", "-"]);
        let answer = host.finish(spawn(&mut define, input.as_bytes()));
        assert_eq!(answer.status, Some(1), "{answer:?}");
        assert!(!answer.stderr.contains("root:"), "{answer:?}");
    }
}

/// The kernel takes one page; half of a value must not be written.
#[test]
fn a_value_that_is_longer_than_a_page() {
    let (host, _) = a_host();
    let folder = host.at("sys/class/mdev_bus/mtty");
    host.file("sys/class/mdev_bus/mtty/long", "");
    let target = Target {
        folder: &folder,
        file: "long",
        inode: None,
        keep: None,
    };
    let written = Sysfs::default().write(
        target,
        &vec![b'x'; 100_000],
        Deadline::after(std::time::Duration::from_secs(60)),
    );
    assert_eq!(written, Err(WriteError::Refused(Errno::EMSGSIZE)));
    assert_eq!(host.read("sys/class/mdev_bus/mtty/long").as_deref(), Some(""));
}

/// A process may call itself anything, and is seen all the same.
#[test]
fn a_process_whose_name_is_no_text() {
    let (host, vm) = a_host();
    host.prepare(&vm).done();
    host.process(4711, "x", &["x"], 9).open_device(4711, A);
    let mut stat = b"4711 (\x1b[31m\xff) Z 1) S 1 4711 4711 0 -1 4194304".to_vec();
    stat.extend(" 0".repeat(12).as_bytes());
    stat.extend(b" 9 0\n");
    fs::write(host.at("proc/4711/stat"), stat).expect("a process");
    let writes = host.writes();
    let answer = host.release(&vm);
    let line =
        format!("vm1: {A} on mtty is in use by ?[31m\u{fffd}) Z 1 (4711); it is removed when that has ended");
    answer.refused(&line);
    assert_eq!(host.writes(), writes);
    host.kill(4711);
}

/// libvirt, or whoever calls us, may have left more open than the standard streams.
#[test]
fn what_is_inherited_is_kept_open_by_nobody_in_the_background() {
    let (host, vm) = a_host();
    host.prepare(&vm).done();
    host.process(4711, "qemu", &["qemu"], 9).open_device(4711, A);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "exec 7>&1 9>&2; exec \"$@\"", "sh"])
        .arg(program())
        .arg("--root")
        .arg(host.path())
        .args(["hook", "vm1", "release", "end", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("a shell");
    drop(command);
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(vm.xml().as_bytes()).expect("it reads");
    drop(input);
    // Waits for the end of both pipes; the device is in use still, and somebody waits for that.
    assert!(!host.finish(child).succeeded());
    assert!(!host.ledger().is_empty());
    host.kill(4711);
    crate::run::host::eventually("it is given back", || host.ledger().is_empty());
}

/// Nothing but what `run` is asked to run is ever executed by name.
#[test]
fn nothing_is_executed_from_path() {
    let (host, vm) = a_host();
    let trace = host.at("trace");
    for arguments in [
        &["hook", "vm1", "prepare", "begin", "-"][..],
        &["hook", "vm1", "release", "end", "-"],
        &["reconcile"],
        &["list"],
        &["types"],
    ] {
        let mut command = Command::new("/usr/bin/strace");
        command
            .args(["-f", "-qq", "-e", "trace=execve,execveat", "-o"])
            .arg(&trace)
            .arg(program())
            .arg("--root")
            .arg(host.path())
            .args(arguments);
        if !std::path::Path::new("/usr/bin/strace").exists() {
            eprintln!("strace is not there; what is executed is not looked at");
            return;
        }
        let answer = host.finish(spawn(&mut command, vm.xml().as_bytes()));
        assert_eq!(answer.status, Some(0), "{arguments:?} {answer:?}");
        let text = fs::read_to_string(&trace).expect("a trace");
        assert_eq!(text.matches("execve").count(), 1, "{arguments:?}: {text}");
    }
}
