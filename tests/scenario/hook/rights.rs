//! A user's own libvirt (`qemu:///session`), whose hook runs without root's rights.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::host::{Answer, spawn};

const NOBODY: u32 = 65534;

/// The program where that user can reach it: a build folder may be in a home.
struct Reachable(PathBuf);

impl Reachable {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("automdev-on-fake-{}-{number}", std::process::id()));
        // By another process: what one of ours has open for writing while another test forks cannot be run.
        let mut copy = std::process::Command::new("install");
        let copied = copy.args(["-m", "755"]).arg(host::program()).arg(&path).status();
        assert!(copied.is_ok_and(|status| status.success()));
        Reachable(path)
    }
}

impl Drop for Reachable {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

/// Calls the hook as an ordinary user, where the tests may do that.
fn as_user(host: &Host, domain: &Domain, event: [&str; 2]) -> Option<Answer> {
    let arguments = ["hook", &domain.name, event[0], event[1], "-"];
    command_as_user(host, &arguments, &domain.xml())
}

/// Calls the program as an ordinary user, where the tests may do that.
fn command_as_user(host: &Host, arguments: &[&str], input: &str) -> Option<Answer> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("only root can become another user");
        return None;
    }
    fs::set_permissions(host.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let program = Reachable::new();
    let mut command = std::process::Command::new(&program.0);
    command.arg("--root").arg(host.path()).args(arguments);
    command.uid(NOBODY).gid(NOBODY);
    Some(host.finish(spawn(&mut command, input.as_bytes())))
}

fn a_host() -> Host {
    let host = Host::new();
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    host
}

#[test]
fn a_domain_with_no_marks_is_not_disturbed() {
    let host = a_host();
    for domain in [Domain::new("vm1", 1), Domain::new("vm1", 1).unmarked(A)] {
        for event in [["prepare", "begin"], ["release", "end"], ["reconnect", "begin"]] {
            let Some(answer) = as_user(&host, &domain, event) else {
                return;
            };
            answer.done();
        }
    }
}

/// Before root has ever used automdev here, and afterwards.
#[test]
fn a_marked_one_is_refused_clearly_and_its_release_is_silent() {
    let host = a_host();
    let vm = Domain::new("vm1", 1).with(A);
    for used_before in [false, true] {
        if used_before {
            let other = Domain::new("other", 2).with(A);
            host.prepare(&other).done();
            host.release(&other).done();
        }
        let before = host.snapshot();
        let Some(answer) = as_user(&host, &vm, ["prepare", "begin"]) else {
            return;
        };
        answer.refused(
            "vm1: cannot create its mediated devices: only root may; start the domain under qemu:///system",
        );
        let answer = as_user(&host, &vm, ["release", "end"]).expect("root, as before");
        answer.done();
        before.assert_unchanged(&host.snapshot());
    }
}

#[test]
fn commands_that_write_say_who_may() {
    let host = a_host();
    let before = host.snapshot();
    let vm = Domain::new("vm1", 1).xml();
    for (arguments, file) in [
        (
            &["define", "--uuid", B, "--parent", "mdpy", "--type", "mdpy-hd"][..],
            "/etc/mdevctl.d/mdpy",
        ),
        (&["rewrite", "--pick"], "/run/automdev"),
    ] {
        let Some(answer) = command_as_user(&host, arguments, &vm) else {
            return;
        };
        assert_eq!(answer.status, Some(1), "{answer:?}");
        assert!(
            answer.stderr.contains(file) && answer.stderr.ends_with("; run this as root\n"),
            "{answer:?}"
        );
    }
    before.assert_unchanged(&host.snapshot());
}
