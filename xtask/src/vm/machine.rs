//! QEMU's command line for a host.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::emulator;
use super::image::Image;
use super::probe::{self, Accelerator};

/// Memory of a host: two of them run at a time.
const MEMORY: &str = "3G";

/// How the hardware addresses of hosts begin: those that QEMU gives its guests.
const ADDRESS: &str = "52:54:00:00:00";

/// What the host is to do after it has booted; a word of the kernel's command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Run the payload's command, then end.
    Run,
    /// The same, on one emulated processor whose clock goes by what it executes: a nanosecond for each instruction. What
    /// else this machine does changes nothing in it.
    Count,
    /// The same, but what is written to the root file system stays: for building an image.
    WarmUp,
    /// Give a person a shell on the serial line.
    Shell,
}

/// A command that runs `image` with `payload`, and nothing yet on its serial lines. What the host writes goes into
/// the folder `work`, and with that away.
pub(crate) fn command(
    image: &Image,
    payload: &Path,
    work: &Path,
    purpose: Purpose,
    words: &str,
) -> Result<Command> {
    let (processors, accelerator) = match purpose {
        Purpose::Count => ("1", Accelerator::Counted),
        _ => ("2", probe::accelerator()),
    };
    let (purpose, layer) = match purpose {
        Purpose::Run | Purpose::Count => ("automdev-vm.run", "snapshot=on,cache=unsafe"),
        Purpose::WarmUp => ("automdev-vm.run", "cache=unsafe"),
        Purpose::Shell => ("automdev-vm.shell", "snapshot=on,cache=unsafe"),
    };
    let mut command = emulator::command()?;
    command
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
        .args(["-machine", "q35", "-smp", processors, "-m", MEMORY])
        .args(accelerator.options())
        .arg("-kernel")
        .arg(image.kernel())
        .arg("-initrd")
        .arg(image.initramfs())
        // Guards against faults of the processor only slow an emulated one down. A kernel that crashes ends at once.
        .args([
            "-append",
            &format!("root=/dev/vda console=ttyS0 mitigations=off oops=panic panic=-1 {purpose} {words}"),
        ])
        .args(["-drive", &drive("root", &image.root(), layer)])
        .args(["-device", "virtio-blk-pci,drive=root"])
        .args(["-drive", &drive("payload", payload, "readonly=on")])
        .args(["-device", "virtio-blk-pci,drive=payload"])
        .args(["-device", "virtio-rng-pci"])
        // Where QEMU puts the throw-away layer.
        .env("TMPDIR", work);
    Ok(command)
}

/// Adds the ports `output`, `logs` and `result`: the first is QEMU's stdout, the others are files in `work`.
pub(crate) fn add_ports(command: &mut Command, work: &Path) {
    command
        .args(["-device", "virtio-serial-pci"])
        .args(["-chardev", "stdio,id=output,signal=on"])
        .args(["-device", "virtserialport,chardev=output,name=output"]);
    for name in ["logs", "result"] {
        command
            .args([
                "-chardev",
                &format!("file,id={name},path={}", escaped(&work.join(name))),
            ])
            .args(["-device", &format!("virtserialport,chardev={name},name={name}")]);
    }
}

/// Adds a network with one other host on it and nobody else: a socket of each in a common folder. A hardware address is
/// `ADDRESS` and such a number.
pub(crate) fn add_network(command: &mut Command, folder: &Path, [this, other]: [u8; 2]) {
    // The path of a socket is short (unix(7)): QEMU stands beside it.
    command
        .current_dir(folder)
        .args([
            "-netdev",
            &format!("dgram,id=net,local.type=unix,local.path={this},remote.type=unix,remote.path={other}"),
        ])
        .args([
            "-device",
            &format!("virtio-net-pci,netdev=net,mac={ADDRESS}:{this:02x},romfile="),
        ]);
}

fn drive(id: &str, file: &Path, options: &str) -> String {
    format!("file={},format=raw,if=none,id={id},{options}", escaped(file))
}

/// A path within an option: QEMU wants commas doubled.
pub(crate) fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}
