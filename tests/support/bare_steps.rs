//! The least that it costs to give a domain one device and to take it back as automdev promises to: locks, so that of many starts
//! each has its devices for itself; a ledger whose files are each replaced in one step, so that whatever dies can be undone; a
//! write that may block made by another process; a line in the journal. Only what the kernel does for that is left: the
//! domain and the definition are read, but nothing in them is looked at, nothing is checked, planned or told.
//! `cargo xtask bench --host` has it beside a start and a stop.
//!
//! `bare-steps start|stop UUID PARENT TYPE <DOMAIN.xml`

#![allow(unsafe_code, reason = "fork has no safe form")]

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;

use automdev::host::heap::Heap;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, fork, pipe2, read, write};

/// automdev's own.
#[global_allocator]
static HEAP: Heap = Heap::new();

/// Where its ledger is: beside automdev's own, in memory.
const LEDGER: &str = "/run/automdev-bare";

/// Whose the device is.
const CLAIMANT: &str = "domain-b0000000-0000-4000-8000-000000000001";

/// As long as a record of the ledger.
const RECORD: [u8; 200] = [b'.'; 200];

/// With as many fields as automdev's own.
const MESSAGE: &[u8] = b"MESSAGE=bench: 00000000-0000-4000-8000-000000000000 (mtty-1 on mtty)
PRIORITY=6
SYSLOG_IDENTIFIER=bare-steps
AUTOMDEV_DOMAIN=bench
AUTOMDEV_OPERATION=prepare
AUTOMDEV_UUID=00000000-0000-4000-8000-000000000000
AUTOMDEV_PARENT=mtty
AUTOMDEV_MDEV_TYPE=mtty-1
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, uuid, parent, mdev_type] = &arguments[..] else {
        return ExitCode::FAILURE;
    };
    let device = Device {
        uuid,
        parent,
        mdev_type,
    };
    let done = match what.as_str() {
        "start" => device.start(),
        _ => device.stop(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

struct Device<'a> {
    uuid: &'a str,
    parent: &'a str,
    mdev_type: &'a str,
}

impl Device<'_> {
    fn start(&self) -> io::Result<()> {
        let Device { uuid, parent, .. } = self;
        for folder in ["", "devices", "claims", "claimants", "locks"] {
            make_folder(&format!("{LEDGER}/{folder}"))?;
        }
        read_all(&mut io::stdin())?;
        let types = format!("/sys/class/mdev_bus/{parent}/mdev_supported_types");
        let writer = Writer::start(&format!("{types}/{}/create", self.mdev_type), uuid)?;
        read_all(&mut file(
            &format!("/etc/mdevctl.d/{parent}/{uuid}"),
            OFlag::O_RDONLY,
        )?)?;
        let _claimant = lock(CLAIMANT)?;
        let _device = lock(uuid)?;
        let host = lock("host")?;
        replace("claimants", CLAIMANT)?;
        replace("devices", uuid)?;
        make_folder(&format!("{LEDGER}/claims/{uuid}"))?;
        replace(&format!("claims/{uuid}"), CLAIMANT)?;
        drop(host);
        let on_parent = lock(parent)?;
        let creation = lock(&format!("creation-{uuid}"))?;
        (&*creation).write_all(b"+")?;
        writer.write()?;
        replace("devices", uuid)?;
        creation.set_len(0)?;
        drop(on_parent);
        tell()
    }

    fn stop(&self) -> io::Result<()> {
        let Device { uuid, parent, .. } = self;
        read_all(&mut io::stdin())?;
        let writer = Writer::start(&format!("/sys/bus/mdev/devices/{uuid}/remove"), "1")?;
        let _claimant = lock(CLAIMANT)?;
        let _device = lock(uuid)?;
        fs::remove_file(format!("{LEDGER}/claims/{uuid}/{CLAIMANT}"))?;
        fs::remove_dir(format!("{LEDGER}/claims/{uuid}"))?;
        read_all(&mut file(&format!("{LEDGER}/devices/{uuid}"), OFlag::O_RDONLY)?)?;
        replace("devices", uuid)?;
        let on_parent = lock(parent)?;
        writer.write()?;
        drop(on_parent);
        fs::remove_file(format!("{LEDGER}/devices/{uuid}"))?;
        fs::remove_file(format!("{LEDGER}/claimants/{CLAIMANT}"))?;
        tell()
    }
}

fn make_folder(path: &str) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    DirBuilder::new().mode(0o700).create(path)
}

/// By one call: musl's `open` makes two of it.
fn file(path: &str, flags: OFlag) -> Result<File, Errno> {
    let opened = openat(
        AT_FDCWD,
        path,
        flags | OFlag::O_CLOEXEC,
        Mode::from_bits_truncate(0o600),
    );
    Ok(File::from(opened?))
}

fn read_all(file: &mut impl Read) -> io::Result<()> {
    let mut content = [0; 4096];
    while file.read(&mut content)? > 0 {}
    Ok(())
}

fn lock(name: &str) -> Result<Flock<File>, Errno> {
    let file = file(
        &format!("{LEDGER}/locks/{name}"),
        OFlag::O_WRONLY | OFlag::O_CREAT,
    )?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno)
}

fn replace(folder: &str, name: &str) -> io::Result<()> {
    let fresh = format!("{LEDGER}/{folder}/.{name}.new");
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC;
    file(&fresh, flags)?.write_all(&RECORD)?;
    fs::rename(&fresh, format!("{LEDGER}/{folder}/{name}"))
}

/// Another process, which makes one write when it is asked to, and may be left to itself.
struct Writer {
    ask: OwnedFd,
    answer: OwnedFd,
}

impl Writer {
    fn start(file: &str, value: &str) -> Result<Self, Errno> {
        let (asked, ask) = pipe2(OFlag::O_CLOEXEC)?;
        let (answer, answered) = pipe2(OFlag::O_CLOEXEC)?;
        // SAFETY: there is one thread, so the child may do whatever the parent may.
        if let ForkResult::Parent { .. } = unsafe { fork() }? {
            return Ok(Writer { ask, answer });
        }
        drop((ask, answer));
        let mut byte = [0];
        if read(&asked, &mut byte) == Ok(1) {
            let file = openat(AT_FDCWD, file, OFlag::O_WRONLY, Mode::empty());
            if file.and_then(|file| write(&file, value.as_bytes())).is_ok() {
                let _ = write(&answered, &byte);
            }
        }
        // SAFETY: ends the child at once; what is the parent's stays the parent's.
        unsafe { nix::libc::_exit(0) }
    }

    /// Its end is not waited for.
    fn write(&self) -> Result<(), Errno> {
        write(&self.ask, b"+")?;
        match read(&self.answer, &mut [0])? {
            1 => Ok(()),
            _ => Err(Errno::EIO),
        }
    }
}

/// Where no journal listens, nobody is told.
fn tell() -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    if socket.connect("/run/systemd/journal/socket").is_ok() {
        socket.send(MESSAGE)?;
    }
    Ok(())
}
