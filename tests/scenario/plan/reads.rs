//! It only reads: as an ordinary user, where nothing can be written, and as the kernel sees its calls.

use super::*;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::asked::{Asked, answer};

const NOBODY: u32 = 65534;

/// The program where an ordinary user can reach it: a build folder may be in a home.
pub(crate) struct Reachable(PathBuf);

impl Reachable {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("automdev-plan-{}-{number}", std::process::id()));
        // By another process: what one of ours has open for writing while another test forks cannot be run.
        let mut copy = Command::new("install");
        copy.args(["-m", "755", env!("CARGO_BIN_EXE_automdev")])
            .arg(&path);
        assert!(copy.status().is_ok_and(|status| status.success()));
        Reachable(path)
    }

    /// It, started by that user: by nobody, where this is root.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.0);
        if nix::unistd::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

impl Drop for Reachable {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

/// Asks as an ordinary user.
#[track_caller]
fn as_user(host: &Host, domain: &Domain) -> Asked {
    let before = host.snapshot();
    fs::set_permissions(host.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let program = Reachable::new();
    let mut command = program.command();
    command.arg("--root").arg(host.path()).arg("plan");
    let asked = answer(&mut command, &domain.xml());
    before.assert_unchanged(&host.snapshot());
    asked
}

fn created(uuid: &str, place: &str) -> String {
    format!("standard input: vm1 would start\n  create  {uuid}  {place}\n")
}

#[test]
fn an_ordinary_user_may_ask() {
    let host = defined();
    as_user(&host, &vm().with(B)).answered(0, &created(B, "mdpy-hd on mdpy"), "");
}

/// What automdev has made and for whom is root's to know.
#[test]
fn what_a_user_may_not_read_is_said() {
    let host = defined();
    running(&host, "other", 2, &[B]);
    let ledger = host.at("run/automdev");
    fs::set_permissions(&ledger, fs::Permissions::from_mode(0o000)).expect("its mode");
    let asked = as_user(&host, &vm().with(B));
    fs::set_permissions(&ledger, fs::Permissions::from_mode(0o700)).expect("its mode");
    let note = |what: String| {
        format!(
            "automdev: note: cannot read {}/{what}/{B}: Permission denied (os error 13); the plan was made without \
             it (root may read it)\n",
            ledger.display()
        )
    };
    asked.answered(
        0,
        &format!(
            "standard input: vm1 would start\n  adopt   {B}  mdpy-hd on mdpy\n          it is active already, as \
             defined, and is left standing\n"
        ),
        &format!("{}{}", note("claims".to_owned()), note("devices".to_owned())),
    );
}

#[test]
fn definitions_that_a_user_may_not_read_are_not_taken_for_missing() {
    for (closed, named) in [
        ("etc/mdevctl.d", "/etc/mdevctl.d".to_owned()),
        ("etc/mdevctl.d/mdpy", format!("/etc/mdevctl.d/mdpy/{B}")),
        (
            &format!("etc/mdevctl.d/mdpy/{B}"),
            format!("/etc/mdevctl.d/mdpy/{B}"),
        ),
    ] {
        let host = defined();
        let closed = host.at(closed);
        let mode = fs::metadata(&closed).expect("it is there").permissions();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("its mode");
        let asked = as_user(&host, &vm().with(B));
        fs::set_permissions(&closed, mode).expect("its mode");
        let reason = format!("cannot read {named}: Permission denied (os error 13)");
        assert_eq!(
            asked.stderr,
            format!("automdev: note: {reason}; the plan was made without it (root may read it)\n")
        );
        let words = asked.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            words,
            format!("standard input: vm1 would not start refuse {B} {reason}")
        );
        assert_eq!(
            asked.status,
            Some(1),
            "what could not be read is a failure, no answer"
        );
    }
}

/// Nothing can be written, not even by root: the file system says so. Where a mount is not allowed, nobody asks
/// on a tree that is nobody's to write.
#[test]
fn a_root_that_cannot_be_written_is_enough() {
    let host = defined();
    running(&host, "other", 2, &[B]);
    host.file("vm.xml", &vm().with(A).xml());
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && \
                  ! touch \"$1/etc/mdevctl.d/x\" 2>/dev/null && exec \"$2\" --root \"$1\" plan \"$1/vm.xml\"";
    let mut unshare = Command::new("unshare");
    let mut options = vec!["--mount"];
    if !nix::unistd::geteuid().is_root() {
        options.extend(["--user", "--map-root-user"]);
    }
    let program = env!("CARGO_BIN_EXE_automdev");
    let is_allowed = Command::new("unshare").args(&options).arg("true").status();
    if is_allowed.is_ok_and(|status| status.success()) {
        unshare
            .args(&options)
            .args(["sh", "-c", script, "sh"])
            .arg(host.path())
            .arg(program);
        let expected = format!(
            "{}/vm.xml: vm1 would start\n  create  {A}  mtty-2 on mtty\n          power/control = \"on\"\n",
            host.path().display()
        );
        answer(&mut unshare, "").answered(0, &expected, "");
        return;
    }
    close(host.path(), 0o222);
    let asked = as_user(&host, &vm().with(A));
    assert_eq!(asked.status, Some(0), "{asked:?}");
    for folder in ["", "etc", "run", "sys", "proc"] {
        let mode = fs::metadata(host.at(folder))
            .expect("a folder")
            .permissions()
            .mode();
        assert_eq!(mode & 0o222, 0, "{folder}");
    }
    open(host.path());
}

/// Takes rights away from folders and all that is in them.
fn close(folder: &Path, bits: u32) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        if entry.file_type().expect("a kind").is_dir() {
            close(&entry.path(), bits);
        }
    }
    let mode = fs::metadata(folder).expect("a folder").permissions().mode();
    fs::set_permissions(folder, fs::Permissions::from_mode(mode & !bits)).expect("its mode");
}

/// Lets the owner write again, so that the tree can go.
fn open(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("its mode");
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        if entry.file_type().expect("a kind").is_dir() {
            open(&entry.path());
        }
    }
}

/// The calls that could change a file, and those that only look when they are given no flag to write with.
#[test]
fn the_kernel_sees_no_call_that_writes() {
    let host = defined();
    running(&host, "other", 2, &[B]);
    host.file("vm.xml", &vm().with(A).with(B).with(C).unmarked(B).xml())
        .file("refused.xml", &Domain::new("vm2", 7).with(B).with(C).xml())
        .file("broken.xml", "<domain");
    let before = host.snapshot();
    let trace = std::env::temp_dir().join(format!("automdev-trace-{}", std::process::id()));
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_automdev"))
        .arg("--root")
        .arg(host.path())
        .args(["plan", "refused.xml", "broken.xml"])
        .current_dir(host.path())
        .output()
        .expect("strace is installed, as `cargo xtask test` sees to");
    let lines = fs::read_to_string(&trace).expect("what strace saw");
    drop(fs::remove_file(&trace));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    before.assert_unchanged(&host.snapshot());
    // It was really looked at: what decides was read.
    for seen in [
        format!("run/automdev/claims/{B}"),
        "etc/mdevctl.d".to_owned(),
        "refused.xml".to_owned(),
    ] {
        assert!(lines.contains(&seen), "{seen} is not in the trace:\n{lines}");
    }
    let calls = lines.lines().filter_map(|line| {
        let (_, call) = line.split_once(' ')?;
        let (name, arguments) = call.trim_start().split_once('(')?;
        Some((name, arguments))
    });
    let mut opened = 0;
    for (name, arguments) in calls {
        match name {
            // The process that reads what may take its time: asked over a pair of sockets, and left with nothing open.
            "sendmsg" if arguments.contains("msg_name=NULL") => {}
            // Its end may stand on another line.
            "sendto" if arguments.contains(", NULL, 0") => {}
            "open" | "openat" if arguments.contains("\"/dev/null\"") => {}
            "open" | "openat" | "openat2" => {
                opened += 1;
                for flag in [
                    "O_WRONLY",
                    "O_RDWR",
                    "O_CREAT",
                    "O_TRUNC",
                    "O_APPEND",
                    "O_TMPFILE",
                ] {
                    assert!(!arguments.contains(flag), "{name}({arguments}");
                }
            }
            "write" | "writev" => assert!(
                arguments.starts_with("1,") || arguments.starts_with("2,"),
                "{name}({arguments}"
            ),
            other => assert!(!CHANGES.contains(&other), "{other}({arguments}"),
        }
    }
    assert!(opened > 10, "{lines}");
}

/// What changes a file system without an open file, starts programs or talks to others.
const CHANGES: [&str; 44] = [
    "bind",
    "chmod",
    "chown",
    "connect",
    "copy_file_range",
    "creat",
    "fallocate",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "flock",
    "fork",
    "fremovexattr",
    "fsetxattr",
    "ftruncate",
    "futimesat",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "mount",
    "pwrite64",
    "pwritev",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "sendmsg",
    "sendto",
    "setxattr",
    "socket",
    "symlink",
    "symlinkat",
    "truncate",
    "unlink",
    "unlinkat",
    "utimensat",
    "utimes",
    "vfork",
];
