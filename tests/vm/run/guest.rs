//! Guests that look at their device.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use super::host;
use super::qemu::{device, ended, wrapper};
use crate::support::A;

/// The vendor and the device of an mtty's PCI function (`mtty_create_config_space` of the kernel's sample).
const MTTY: &str = "pci 0x4348 0x3253";

/// The guest's first process: tells the PCI functions that it sees, and switches off.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox mkdir /sys
/bin/busybox mount -t sysfs sysfs /sys
for device in /sys/bus/pci/devices/*; do
    read -r vendor < $device/vendor
    read -r function < $device/device
    echo pci $vendor $function
done
/bin/busybox poweroff -f
";

#[test]
#[ignore = "a kernel takes minutes to boot in an emulation within an emulation"]
fn a_guests_kernel_sees_the_card() {
    let host = host();
    let folder = "/tmp/guest";
    fs::create_dir_all(format!("{folder}/bin")).expect("a folder");
    fs::copy("/usr/bin/busybox", format!("{folder}/bin/busybox")).expect("busybox");
    fs::write(format!("{folder}/init"), INIT).expect("a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(format!("{folder}/init"), mode).expect("its mode");
    let mut archive = Command::new("busybox")
        .args(["cpio", "-o", "-H", "newc", "-F", "/tmp/guest.cpio"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("busybox");
    let mut names = archive.stdin.take().expect("a pipe");
    names.write_all(b"init\nbin\nbin/busybox\n").expect("it reads");
    drop(names);
    assert!(archive.wait().expect("it ends").success());

    let mut command = wrapper();
    command
        .args([
            "qemu-system-x86_64",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args(["-machine", "q35", "-m", "256", "-serial", "stdio"])
        .args(["-kernel", "/automdev/kernel", "-initrd", "/tmp/guest.cpio"])
        .args([
            "-append",
            "console=ttyS0 mitigations=off tsc=reliable nokaslr quiet",
        ])
        .args(["-device", &device(A)]);
    let told = ended(command.output());
    assert!(told.lines().any(|line| line.trim() == MTTY), "{told}");
    host.assert_clean();
}
