//! The least that it costs to give a domain one device and to take it back as automdev promises to: locks, so that of many starts
//! each has its devices for itself; a ledger whose files are each replaced in one step, so that whatever dies can be undone; a
//! write that may block made by another process; a line in the journal. Only what the kernel does for that is left: the
//! domain and the definition are read, but nothing in them is looked at, nothing is checked, planned or told. With `look`
//! it also asks the kernel, once each, for all that has to be known before the writes, and makes nothing of the answers.
//! `cargo xtask bench --host` has it beside a start and a stop.
//!
//! `bare-steps start|stop UUID PARENT TYPE [look] <DOMAIN.xml`

#![allow(unsafe_code, reason = "fork has no safe form")]

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::ExitCode;

use automdev::host::files;
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
    let [what, uuid, parent, mdev_type, look @ ..] = &arguments[..] else {
        return ExitCode::FAILURE;
    };
    let device = Device {
        uuid,
        parent,
        mdev_type,
        looks: !look.is_empty(),
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
    looks: bool,
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
        self.look_for_its_caller();
        let _claimant = lock(CLAIMANT)?;
        let _device = lock(uuid)?;
        let host = lock("host")?;
        self.look_before_it_is_made();
        replace("claimants", CLAIMANT)?;
        replace("devices", uuid)?;
        make_folder(&format!("{LEDGER}/claims/{uuid}"))?;
        replace(&format!("claims/{uuid}"), CLAIMANT)?;
        drop(host);
        let on_parent = lock(parent)?;
        let creation = lock(&format!("creation-{uuid}"))?;
        (&*creation).write_all(b"+")?;
        self.look_for_scripts();
        writer.write()?;
        self.look_at_what_was_made();
        replace("devices", uuid)?;
        creation.set_len(0)?;
        drop(on_parent);
        tell()
    }

    fn stop(&self) -> io::Result<()> {
        let Device { uuid, parent, .. } = self;
        read_all(&mut io::stdin())?;
        let writer = Writer::start(&format!("/sys/bus/mdev/devices/{uuid}/remove"), "1")?;
        self.look_for_its_caller();
        let _claimant = lock(CLAIMANT)?;
        let _device = lock(uuid)?;
        fs::remove_file(format!("{LEDGER}/claims/{uuid}/{CLAIMANT}"))?;
        fs::remove_dir(format!("{LEDGER}/claims/{uuid}"))?;
        read_all(&mut file(&format!("{LEDGER}/devices/{uuid}"), OFlag::O_RDONLY)?)?;
        self.look_before_it_goes();
        self.look_for_scripts();
        replace("devices", uuid)?;
        let on_parent = lock(parent)?;
        writer.write()?;
        drop(on_parent);
        self.stat(&format!("/sys/class/mdev_bus/{parent}/{uuid}"));
        fs::remove_file(format!("{LEDGER}/devices/{uuid}"))?;
        fs::remove_file(format!("{LEDGER}/claimants/{CLAIMANT}"))?;
        tell()
    }

    /// The daemon that has called, what is set, and the boot.
    fn look_for_its_caller(&self) {
        let parent = nix::unistd::getppid();
        self.read(&format!("/proc/{parent}/stat"));
        self.read("/etc/automdev/automdev.toml");
        self.read("/proc/sys/kernel/random/boot_id");
        self.read(&format!("{LEDGER}/claimants/{CLAIMANT}"));
    }

    /// Where it is defined, and by whom; who has it; whether there is room.
    fn look_before_it_is_made(&self) {
        let Device {
            uuid,
            parent,
            mdev_type,
            ..
        } = self;
        self.list("/etc/mdevctl.d");
        for file in ["", &format!("/{parent}"), &format!("/{parent}/{uuid}")] {
            self.stat(&format!("/etc/mdevctl.d{file}"));
        }
        self.read(&format!("{LEDGER}/devices/{uuid}"));
        self.list(&format!("{LEDGER}/claims/{uuid}"));
        self.list(&format!("{LEDGER}/swaps"));
        self.stat(&format!("/sys/bus/mdev/devices/{uuid}"));
        self.stat(&format!("/sys/class/mdev_bus/{parent}/{uuid}"));
        let types = format!("/sys/class/mdev_bus/{parent}/mdev_supported_types");
        self.read(&format!("{types}/{mdev_type}/available_instances"));
        self.read(&format!("{types}/{mdev_type}/device_api"));
    }

    /// Which one it is, and whether its node has come.
    fn look_at_what_was_made(&self) {
        let Device { uuid, parent, .. } = self;
        self.stat(&format!("/sys/class/mdev_bus/{parent}/{uuid}"));
        self.list(&format!("/sys/bus/mdev/devices/{uuid}/vfio-dev"));
        if self.looks {
            let group = fs::read_link(format!("/sys/bus/mdev/devices/{uuid}/iommu_group"));
            let number = group
                .as_deref()
                .ok()
                .and_then(Path::file_name)
                .unwrap_or_default();
            self.stat(&Path::new("/dev/vfio").join(number).to_string_lossy());
        }
    }

    /// Whose it is, whether it is that very one, and who uses it.
    fn look_before_it_goes(&self) {
        let Device { uuid, parent, .. } = self;
        self.list(&format!("{LEDGER}/claims/{uuid}"));
        self.list(&format!("{LEDGER}/swaps"));
        self.list(&format!("{LEDGER}/uses"));
        self.stat(&format!("/sys/class/mdev_bus/{parent}/{uuid}"));
        self.list("/sys/module/vfio/holders");
        self.read("/sys/module/vfio/refcnt");
    }

    /// What is to be asked and told.
    fn look_for_scripts(&self) {
        for folder in ["/usr/lib/mdevctl/scripts.d", "/etc/mdevctl.d/scripts.d"] {
            self.list(&format!("{folder}/callouts"));
            self.list(&format!("{folder}/notifiers"));
        }
    }

    fn read(&self, path: &str) {
        if self.looks {
            let read = |file: File| (&file).read(&mut [0; 1024]);
            drop(file(path, OFlag::O_RDONLY).map(read));
        }
    }

    fn stat(&self, path: &str) {
        if self.looks {
            drop(fs::symlink_metadata(path));
        }
    }

    fn list(&self, path: &str) {
        if self.looks {
            files::each_name(Path::new(path), |_| {});
        }
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
