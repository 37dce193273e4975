//! The program itself, with the process that makes its writes: a driver that does not answer is a pipe that nobody
//! reads, which blocks whoever opens it, as a driver would.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use automdev::host::clock::Deadline;
use automdev::host::kernel::{Kernel as _, Lines, ReadError, Sysfs};
use automdev::host::root::Root;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::Mode;

use crate::hook::domain::Domain;
use crate::hook::host::{Answer, Host, spawn};
use crate::run::host::eventually;

const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const IDLE: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

/// A driver that does not answer.
struct Stuck {
    host: Host,
    vm: Domain,
}

impl Stuck {
    fn new(timeouts: &str) -> Self {
        let host = Host::new();
        host.timeouts(timeouts)
            .mtty()
            .definition("mtty", A, "mtty-2", &[]);
        let create = host.at("sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/create");
        fs::remove_file(&create).expect("it is there");
        nix::unistd::mkfifo(&create, Mode::S_IRWXU).expect("a pipe");
        Stuck {
            host,
            vm: Domain::new("vm1", 1).with(A),
        }
    }

    fn path(&self) -> PathBuf {
        self.host
            .at("sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/create")
    }

    /// The program that is installed, not the one over the fake.
    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_automdev"));
        command.arg("--root").arg(self.host.path()).args(arguments);
        spawn(&mut command, self.vm.xml().as_bytes())
    }

    #[track_caller]
    fn call(&self, arguments: &[&str]) -> Answer {
        self.host.finish(self.start(arguments))
    }

    /// Whether somebody is at the creation.
    fn is_on_its_way(&self) -> bool {
        let path = self.host.at(format!("run/automdev/locks/creation-{A}"));
        let Ok(file) = File::open(path) else {
            return false;
        };
        Flock::lock(file, FlockArg::LockSharedNonblock).is_err()
    }

    /// The driver comes to it after all; what was written to it.
    fn answer(&self) -> String {
        let mut written = String::new();
        let mut pipe = File::open(self.path()).expect("the pipe");
        pipe.read_to_string(&mut written).expect("it is read");
        eventually("the creation is over", || !self.is_on_its_way());
        written
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        // Nobody stays stuck, whatever the test says.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(nix::libc::O_NONBLOCK);
        drop(options.open(self.path()));
    }
}

/// The child of a process that has taken the request to make the device.
fn writer_of(pid: u32) -> Option<String> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let mut children = children.split_ascii_whitespace();
    let opens = |child: &str, number: u32, end: &str| {
        let link = fs::read_link(format!("/proc/{child}/fd/{number}"));
        link.is_ok_and(|path| path.to_string_lossy().ends_with(end))
    };
    let is_writer = |child: &&str| opens(child, 0, "/dev/null") && opens(child, 4, &format!("creation-{A}"));
    children.find(is_writer).map(str::to_owned)
}

#[test]
fn a_write_outlives_its_deadline_and_is_known_of() {
    let stuck = Stuck::new("write = 0.2\nidle = 0.2\nclaim = 0\nhook = 20");
    let answer = stuck.call(&["hook", "vm1", "prepare", "begin", "-"]);
    answer.refused(&format!(
        "vm1: cannot create {A} (mtty-2 on mtty): the driver of mtty: the driver did not answer in time; look at the \
         kernel's log (dmesg)"
    ));
    assert!(stuck.is_on_its_way());
    let line = format!("devices/{A} creating");
    for _ in 0..2 {
        let answer = stuck.call(&["hook", "vm1", "release", "end", "-"]);
        assert!(!answer.succeeded());
        assert_eq!(stuck.call(&["reconcile"]).status, Some(1));
        let answer = stuck.call(&["hook", "vm1", "prepare", "begin", "-"]);
        assert!(answer.stderr.contains("is still making it"), "{answer:?}");
        assert!(stuck.host.ledger().contains(&line));
    }
    assert_eq!(stuck.answer(), A);
    assert_eq!(stuck.call(&["reconcile"]).status, Some(0));
    stuck.host.assert_ledger_empty();
}

/// The caller is killed in the middle, and its domain is released: nobody forgets the device that may come.
#[test]
fn a_write_outlives_its_caller_and_is_known_of() {
    let stuck = Stuck::new("write = 60\nidle = 0.2\nclaim = 0\nhook = 60");
    let mut child = stuck.start(&["hook", "vm1", "prepare", "begin", "-"]);
    // It is the other process's, which has nothing else of its parent's any more.
    eventually("the creation is on its way", || writer_of(child.id()).is_some());
    child.kill().expect("it runs");
    child.wait().expect("it can be waited for");
    assert!(stuck.is_on_its_way());
    let answer = stuck.call(&["hook", "vm1", "release", "end", "-"]);
    answer.refused(&format!(
        "vm1: {A} on mtty is still being made by its driver, for a start that was given up; it is removed once it is there"
    ));
    assert!(stuck.host.ledger().contains(&format!("devices/{A} creating")));
    assert_eq!(stuck.answer(), A);
    stuck.call(&["hook", "vm1", "release", "end", "-"]).done();
    stuck.host.assert_ledger_empty();
}

/// What is only asked of a driver may block as well, and no one is waited for then.
#[test]
fn a_read_that_blocks_ends_in_time() {
    let stuck = Stuck::new("write = 0.2\nparent = 0.1\nhook = 20");
    let file = "sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/available_instances";
    let file = stuck.host.at(file);
    fs::remove_file(&file).expect("it is there");
    nix::unistd::mkfifo(&file, Mode::S_IRWXU).expect("a pipe");
    let answer = stuck.call(&["hook", "vm1", "prepare", "begin", "-"]);
    answer.refused(&format!(
        "vm1: cannot create {A} (mtty-2 on mtty): the driver of mtty does not say in time what it has left; look at the \
         kernel's log (dmesg), or move this definition to another parent"
    ));
    stuck.host.assert_ledger_empty();
    // The one that is stuck there ends when the driver lets it.
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(nix::libc::O_NONBLOCK);
    eventually("nobody is stuck", || {
        options.open(&file).is_err() || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            false
        }
    });
}

/// Who asks them lets others go on meanwhile.
#[test]
fn drivers_that_do_not_answer_hold_up_no_other_start() {
    let host = Host::new();
    host.timeouts("write = 20\nparent = 0\nhook = 60")
        .mtty()
        .mdpy()
        .mbochs()
        .nvidia("0000:41:00.0")
        .definition("0000:41:00.0", A, "nvidia-222", &[]);
    let silent = [
        ("mtty", "mtty-1"),
        ("mdpy", "mdpy-vga"),
        ("mbochs", "mbochs-small"),
    ];
    let pipes = silent.map(|(parent, mdev_type)| silence(&host, parent, mdev_type));
    let members = silent.map(|(_, mdev_type)| format!("[[member]]\ntype = '{mdev_type}'\n"));
    let pool = format!("placement = 'pack'\n{}", members.concat());
    host.file("etc/automdev/pools.d/p.toml", &pool);
    let start = |domain: &Domain| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_automdev"));
        command.arg("--root").arg(host.path());
        command.args(["hook", &domain.name, "prepare", "begin", "-"]);
        spawn(&mut command, domain.xml().as_bytes())
    };
    let of_pool = "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b";
    let mut first = start(&Domain::new("first", 1).of_pool(of_pool, "p"));
    std::thread::sleep(Duration::from_millis(300));
    // The driver here is but files: what counts is that it came to the write.
    let second = host.finish(start(&Domain::new("second", 2).with(A)));
    assert!(
        second
            .stderr
            .contains("somebody removed it as soon as it was made"),
        "{second:?}"
    );
    assert!(
        first.try_wait().expect("a child").is_none(),
        "the first held it up"
    );
    let first = host.finish(first);
    assert!(first.stderr.contains("does not say in time"), "{first:?}");
    for pipe in pipes {
        drop(OpenOptions::new().read(true).write(true).open(pipe));
    }
}

/// One GPU of many functions that hangs uses up nobody else's time, nor does a second one.
#[test]
fn gpus_whose_drivers_hang_are_passed_over_for_one_that_answers() {
    let host = Host::new();
    host.timeouts("write = 1\nparent = 0\nhook = 30")
        .nvidia_sriov("0000:41:00.0", 4)
        .nvidia("0000:42:00.0")
        .nvidia("0000:43:00.0");
    let mut silent: Vec<String> = automdev::host::sysfs::parents(&Root::new(host.path()))
        .iter()
        .map(ToString::to_string)
        .filter(|parent| parent.starts_with("0000:41:"))
        .collect();
    assert_eq!(silent.len(), 4);
    silent.push("0000:42:00.0".to_owned());
    let pipes: Vec<PathBuf> = silent
        .iter()
        .map(|parent| silence(&host, parent, "nvidia-222"))
        .collect();
    for placement in ["order", "pack"] {
        let pool = format!("placement = '{placement}'\n[[member]]\ntype = 'nvidia-222'\n");
        host.file("etc/automdev/pools.d/p.toml", &pool);
        let vm = Domain::new("vm1", 1).of_pool("d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b", "p");
        let mut command = Command::new(env!("CARGO_BIN_EXE_automdev"));
        command.arg("--root").arg(host.path());
        command.args(["hook", "vm1", "prepare", "begin", "-"]);
        let answer = host.finish(spawn(&mut command, vm.xml().as_bytes()));
        // The driver here is but files: what counts is that it came to the write.
        assert!(
            answer
                .stderr
                .contains("(nvidia-222 on 0000:43:00.0): somebody removed it"),
            "{placement}: {answer:?}"
        );
    }
    for pipe in pipes {
        drop(OpenOptions::new().read(true).write(true).open(pipe));
    }
}

/// The kernel may sit on the lock that a look at a process's arguments takes. Whoever cannot be asked is taken for alive.
#[test]
fn a_qemu_whose_arguments_cannot_be_read_keeps_its_device() {
    let host = Host::new();
    host.timeouts("claim = 0.2\nhook = 20")
        .mtty()
        .active("mtty", "mtty-2", A);
    let call = |arguments: &[&str], domain: &Domain| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_automdev"));
        command.arg("--root").arg(host.path()).args(arguments);
        let mut child = spawn(&mut command, domain.xml().as_bytes());
        let mut is_over = || child.try_wait().expect("a child").is_some();
        let is_in_time = Deadline::after(Duration::from_secs(15)).poll(|| is_over().then_some(()));
        if is_in_time.is_none() {
            child.kill().expect("a child");
        }
        (is_in_time.is_some(), host.finish(child))
    };
    let (first, second) = (Domain::new("vm1", 1).with(A), Domain::new("vm2", 2).with(A));
    let (_, answer) = call(&["hook", "vm1", "prepare", "begin", "-"], &first);
    answer.done();
    host.domain("vm1", &first.claimant(), 4711);
    let line = host.at("proc/4711/cmdline");
    fs::remove_file(&line).expect("it is there");
    nix::unistd::mkfifo(&line, Mode::S_IRWXU).expect("a pipe");
    let ledger = host.ledger();
    let (is_in_time, answer) = call(&["hook", "vm2", "prepare", "begin", "-"], &second);
    assert!(
        is_in_time && answer.stderr.contains("it belongs to vm1, which is running"),
        "{answer:?}"
    );
    host.stop_libvirt();
    let (is_in_time, answer) = call(&["reconcile"], &second);
    assert!(
        is_in_time && answer.stdout == "nothing was left over\n",
        "{answer:?}"
    );
    assert_eq!(host.ledger(), ledger);
    drop(OpenOptions::new().read(true).write(true).open(line));
}

/// Nor does who picks one of a pool's own keep them from their work.
#[test]
fn drivers_that_do_not_answer_a_pick_hold_up_no_start() {
    let host = Host::new();
    host.timeouts("parent = 0\nhook = 60")
        .mtty()
        .mdpy()
        .mbochs()
        .gvtg()
        .nvidia("0000:41:00.0")
        .definition("0000:41:00.0", A, "nvidia-222", &[])
        .definition("mtty", IDLE, "mtty-1", &[])
        .active("mtty", "mtty-1", IDLE);
    let silent = [
        ("0000:00:02.0", "i915-GVTg_V5_4"),
        ("mdpy", "mdpy-vga"),
        ("mbochs", "mbochs-small"),
    ];
    let pipes = silent.map(|(parent, mdev_type)| silence(&host, parent, mdev_type));
    let members = silent.map(|(_, mdev_type)| format!("[[member]]\ntype = '{mdev_type}'\n"));
    let pool = format!(
        "placement = 'pack'\n{}[[member]]\ndevice = '{IDLE}'\n",
        members.concat()
    );
    host.file("etc/automdev/pools.d/p.toml", &pool);
    let call = |arguments: &[&str], domain: &Domain| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_automdev"));
        command.arg("--root").arg(host.path()).args(arguments);
        spawn(&mut command, domain.xml().as_bytes())
    };
    let of_pool = "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b";
    let mut pick = call(
        &["rewrite", "--pick"],
        &Domain::new("first", 1).of_pool(of_pool, "p"),
    );
    std::thread::sleep(Duration::from_millis(300));
    let second = Domain::new("second", 2).with(A);
    let second = host.finish(call(&["hook", "second", "prepare", "begin", "-"], &second));
    assert!(
        second
            .stderr
            .contains("somebody removed it as soon as it was made"),
        "{second:?}"
    );
    assert!(pick.try_wait().expect("a child").is_none(), "the pick held it up");
    let pick = host.finish(pick);
    assert!(pick.stdout.contains(IDLE), "{pick:?}");
    for pipe in pipes {
        drop(OpenOptions::new().read(true).write(true).open(pipe));
    }
}

/// A driver that does not say how much room it has: a pipe, to be opened at the end.
fn silence(host: &Host, parent: &str, mdev_type: &str) -> PathBuf {
    let folder = format!("sys/class/mdev_bus/{parent}/mdev_supported_types/{mdev_type}");
    let file = host.at(format!("{folder}/available_instances"));
    fs::remove_file(&file).expect("it is there");
    nix::unistd::mkfifo(&file, Mode::S_IRWXU).expect("a pipe");
    file
}

/// More folders than are asked for at once, and more files in each than are open at once.
#[test]
fn many_folders_are_read_up_to_one_that_is_silent() {
    let (host, silent) = (Host::new(), 20);
    let names: Vec<String> = (0..150).map(|name| format!("type-{name}")).collect();
    let folder = |number: usize| host.at(format!("{number}"));
    for number in 0..40 {
        for (count, name) in names.iter().enumerate() {
            host.file(
                &format!("{number}/{name}/count"),
                &format!("{}\n", number + count),
            );
        }
    }
    let file = folder(silent).join("type-5/count");
    fs::remove_file(&file).expect("it is there");
    nix::unistd::mkfifo(&file, Mode::S_IRWXU).expect("a pipe");
    fs::remove_dir_all(folder(30)).expect("it is there");
    let asked: Vec<Lines> = (0..40)
        .map(|number| Lines {
            folder: folder(number),
            names: names.iter().map(String::as_str).collect(),
            file: "count",
        })
        .collect();
    let deadline = Deadline::after(Duration::from_secs(60));
    let kernel = Sysfs::default();
    let mut read = kernel.read_lines(&asked, Duration::from_millis(300), deadline);
    assert_eq!(read.len(), silent + 1);
    read.extend(kernel.read_lines(&asked[silent + 1..], Duration::from_millis(300), deadline));
    let late = kernel.read_lines(&asked, Duration::from_millis(300), Deadline::now());
    assert_eq!(late, [], "nobody is asked any more");
    // Lets go of the one that is stuck there.
    drop(OpenOptions::new().read(true).write(true).open(&file));
    assert_eq!(read.len(), 40);
    for (number, lines) in read.into_iter().enumerate() {
        if number == silent {
            assert_eq!(lines, Err(ReadError::TimedOut));
            continue;
        }
        let lines = lines.expect("nobody else is silent");
        assert_eq!(lines.len(), names.len());
        for (count, line) in lines.into_iter().enumerate() {
            match line {
                Ok(line) => assert_eq!(line.as_bytes(), format!("{}\n", number + count).as_bytes()),
                Err(errno) => assert_eq!((number, errno), (30, Errno::ENOENT)),
            }
        }
    }
}
