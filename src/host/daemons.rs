//! The daemons of libvirt's that start QEMUs: the one libvirtd, or virtqemud of the several.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, send, socket};
use nix::unistd::Pid;

use super::clock::Deadline;
use super::processes::{Process, find};
use super::root::Root;
use crate::model::claim::ProcessId;

/// How long a daemon may take from its start until it serves.
const START: Duration = Duration::from_secs(30);

/// The libvirt daemon among a process's ancestors: the one that called the hook.
#[must_use]
pub fn calling(root: &Root) -> Option<ProcessId> {
    const MOST_ANCESTORS: usize = 16;
    let mut pid = nix::unistd::getppid().as_raw().unsigned_abs();
    for _ in 0..MOST_ANCESTORS {
        // The first process has none.
        if pid == 0 {
            return None;
        }
        let process = find(root, pid)?;
        if is_daemon(&process) {
            return Some(process.id);
        }
        pid = process.parent;
    }
    None
}

/// Where a program is started through a wrapper, as NixOS does it, it is called so: `.libvirtd-wrapped`, of which the
/// kernel keeps fifteen characters.
fn is_daemon(process: &Process) -> bool {
    matches!(plain_name(process), "libvirtd" | "virtqemud")
}

fn plain_name(process: &Process) -> &str {
    let name = process.name.as_str();
    let wrapped = name.strip_prefix('.').and_then(|name| name.split_once("-wrap"));
    wrapped.map_or(name, |(name, _)| name)
}

/// The host's own libvirt daemons that start QEMUs, in the order of their numbers: those of root, whom `/proc` belongs to.
/// A user's own (`qemu:///session`) has no right to make devices, and any user may call a process so.
#[must_use]
pub fn all(root: &Root) -> Vec<Process> {
    let proc = root.path("/proc");
    let Ok(owner) = fs::metadata(&proc).map(|found| found.uid()) else {
        return Vec::new();
    };
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        (entry.metadata().ok()?.uid() == owner).then_some(pid)
    });
    let mut found: Vec<Process> = pids.filter_map(|pid| find(root, pid)).filter(is_daemon).collect();
    found.sort_by_key(|process| process.id.pid);
    found
}

/// Whether a daemon heard that it was to be reloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// It did.
    Heard,
    /// It was told, and has not begun to serve yet: it may have paid no heed.
    Starting,
}

/// Lets a daemon of this machine's read its settings again, and look for hooks: by systemd, which then knows of it, where
/// that has started it, else as its unit's `ExecReload=` does. One that is only just starting passes over it
/// (`daemonReloadHandlerThread` of `src/remote/remote_daemon.c`) and is waited for.
///
/// # Errors
/// It is not ours to tell, or has ended.
pub fn reload(daemon: &Process) -> Result<Reloaded, Errno> {
    let socket = match plain_name(daemon) {
        "virtqemud" => "/run/libvirt/virtqemud-sock",
        _ => "/run/libvirt/libvirt-sock",
    };
    // One that is configured to have its socket elsewhere, or none, is taken to serve.
    let serves = serves(Path::new(socket), Deadline::after(START)).unwrap_or(true);
    tell(daemon)?;
    Ok(if serves {
        Reloaded::Heard
    } else {
        Reloaded::Starting
    })
}

fn tell(daemon: &Process) -> Result<(), Errno> {
    let by_systemd = Path::new("/run/systemd/system").is_dir()
        && Command::new("/usr/bin/systemctl")
            .args(["reload", plain_name(daemon)])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
    if by_systemd {
        return Ok(());
    }
    let pid = i32::try_from(daemon.id.pid).map_err(|_| Errno::ESRCH)?;
    kill(Pid::from_raw(pid), Signal::SIGHUP)
}

/// libvirt's remote protocol: a call of `REMOTE_PROC_AUTH_LIST`, which each client begins with and which changes nothing.
/// Length, program, version, procedure, type, serial, status; see <https://libvirt.org/kbase/internals/rpc.html>.
const FIRST_CALL: [u32; 7] = [28, 0x2000_8086, 1, 66, 0, 0, 0];

/// Waits until who listens on a socket answers. A daemon takes its clients in once its drivers are ready
/// (`daemonRunStateInit`).
///
/// # Errors
/// Nobody listens there.
fn serves(path: &Path, deadline: Deadline) -> io::Result<bool> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let client = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let address = UnixAddr::new(path)?;
    // Too many wait there already.
    while let Err(errno) = connect(client.as_raw_fd(), &address) {
        if errno != Errno::EAGAIN {
            return Err(errno.into());
        }
        if deadline.has_passed() {
            return Ok(false);
        }
        sleep(Duration::from_millis(20));
    }
    let call: Vec<u8> = FIRST_CALL.iter().flat_map(|word| word.to_be_bytes()).collect();
    match send(client.as_raw_fd(), &call, MsgFlags::MSG_NOSIGNAL) {
        Ok(_) => {}
        // It is there, and does not want us.
        Err(Errno::EPIPE | Errno::ECONNRESET) => return Ok(true),
        Err(errno) => return Err(errno.into()),
    }
    loop {
        let left = PollTimeout::try_from(deadline.left()).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(client.as_fd(), PollFlags::POLLIN)], left) {
            Ok(0) if deadline.has_passed() => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_daemon_is_known_by_its_name() {
        let named = |name: &str| Process {
            id: ProcessId { pid: 7, start: 1 },
            parent: 1,
            name: name.to_owned(),
        };
        for (name, plain) in [
            ("libvirtd", "libvirtd"),
            ("virtqemud", "virtqemud"),
            (".libvirtd-wrapp", "libvirtd"),
            (".virtqemud-wrap", "virtqemud"),
        ] {
            assert!(is_daemon(&named(name)), "{name}");
            assert_eq!(plain_name(&named(name)), plain);
        }
        for name in ["libvirtd-x", ".libvirtd", "virtlogd", ".virtlogd-wrapp", ""] {
            assert!(!is_daemon(&named(name)), "{name}");
        }
    }

    const SOON: Duration = Duration::from_millis(300);

    /// A place for a socket of a test's own.
    fn place(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("automdev-{}-{name}", std::process::id()))
    }

    #[test]
    fn who_answers_late_is_waited_for() {
        let path = place("late");
        let listener = UnixListener::bind(&path).expect("a socket");
        let server = thread::spawn(move || {
            thread::sleep(SOON);
            let (mut client, _) = listener.accept().expect("a client");
            let mut call = [0; 28];
            client.read_exact(&mut call).expect("a call");
            client.write_all(b"\0\0\0\x1c").expect("it listens");
            call
        });
        let begun = Instant::now();
        assert!(serves(&path, Deadline::after(Duration::from_secs(60))).expect("it listens"));
        assert!(begun.elapsed() >= SOON);
        let call = server.join().expect("no panic");
        assert_eq!(call[..4], 28_u32.to_be_bytes());
        fs::remove_file(path).expect("a socket");
    }

    #[test]
    fn who_hangs_up_is_there() {
        let path = place("hangs-up");
        let listener = UnixListener::bind(&path).expect("a socket");
        let server = thread::spawn(move || drop(listener.accept().expect("a client")));
        assert!(serves(&path, Deadline::after(Duration::from_secs(60))).expect("it listens"));
        server.join().expect("no panic");
        fs::remove_file(path).expect("a socket");
    }

    #[test]
    fn who_never_answers_holds_up_nobody_for_long() {
        let path = place("never");
        let listener = UnixListener::bind(&path).expect("a socket");
        assert!(!serves(&path, Deadline::after(SOON)).expect("it listens"));
        drop(listener);
        // Nobody listens any more, and then there is not even a socket.
        assert!(serves(&path, Deadline::after(SOON)).is_err());
        fs::remove_file(&path).expect("a socket");
        assert!(serves(&path, Deadline::after(SOON)).is_err());
    }
}
