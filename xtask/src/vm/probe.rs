//! Whether KVM works here. That `/dev/kvm` exists does not say so.

use std::fs;
use std::process::Stdio;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::emulator;
use super::place::Temporary;

/// How QEMU executes the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accelerator {
    /// The processor does.
    Kvm,
    /// QEMU translates. It works everywhere, many times slower.
    Tcg,
    /// The same, for one processor, which counts what it executes. Where it has nothing to do, its clock goes on to what comes next.
    Counted,
}

impl Accelerator {
    /// QEMU's options for it.
    pub(crate) fn options(self) -> [&'static str; 4] {
        match self {
            // Within the guest there is no KVM either: domains are emulated there.
            Self::Kvm => ["-accel", "kvm", "-cpu", "host,-vmx,-svm"],
            Self::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "qemu64,-svm"],
            Self::Counted => ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"],
        }
    }
}

/// The fastest that works, found out once.
pub(crate) fn accelerator() -> Accelerator {
    static FOUND: OnceLock<Accelerator> = OnceLock::new();
    *FOUND.get_or_init(|| {
        if kvm_works().unwrap_or(false) {
            Accelerator::Kvm
        } else {
            Accelerator::Tcg
        }
    })
}

/// A boot sector that switches the q35 machine off: `mov dx,0x604; mov ax,0x2000; out dx,ax; hlt; jmp $-1`
/// (sleep enable and the type of S5, into ACPI's control register).
const SWITCH_OFF: [u8; 10] = [0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xf4, 0xeb, 0xfd];

fn kvm_works() -> Result<bool> {
    if fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_err()
    {
        return Ok(false);
    }
    let folder = Temporary::new("probe")?;
    let disk = folder.path().join("boot");
    let mut sector = [0; 512];
    sector[..SWITCH_OFF.len()].copy_from_slice(&SWITCH_OFF);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    fs::write(&disk, sector)?;
    let mut child = emulator::command()?
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-machine",
            "q35",
            "-m",
            "64",
        ])
        .args(Accelerator::Kvm.options())
        .arg("-drive")
        .arg(format!("file={},format=raw", disk.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}
