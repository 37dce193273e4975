//! The real kernel does what the fake one does.

#![allow(unsafe_code, reason = "VFIO is opened by ioctls, which have no safe form")]

#[path = "../support/mod.rs"]
mod support;

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use automdev::host::kernel::{Kernel, Sysfs};
use nix::libc;

use support::fake::config::Release;
use support::observe::{Ground, SUBJECTS, assert_observed, observe};

/// The kernel that runs.
#[derive(Default)]
struct Machine {
    sysfs: Sysfs,
}

impl Ground for Machine {
    fn root(&self) -> &Path {
        Path::new("/")
    }

    fn kernel(&self) -> &dyn Kernel {
        &self.sysfs
    }

    fn open_device(&self, uuid: &str) -> Box<dyn FnOnce() + '_> {
        let group = Path::new("/sys/bus/mdev/devices").join(uuid).join("iommu_group");
        let group = fs::read_link(group).expect("its group");
        let group = group.file_name().expect("the group's number");
        let container = open(Path::new("/dev/vfio/vfio"));
        let group = open(&Path::new("/dev/vfio").join(group));
        let device = open_device(&container, &group, uuid);
        Box::new(move || drop((device, group, container)))
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("a node of VFIO")
}

/// As QEMU does: the group into a container, the container's kind, then the device (`linux/vfio.h`).
fn open_device(container: &File, group: &File, uuid: &str) -> OwnedFd {
    const SET_IOMMU: libc::Ioctl = 0x3b66;
    const GROUP_SET_CONTAINER: libc::Ioctl = 0x3b68;
    const GROUP_GET_DEVICE_FD: libc::Ioctl = 0x3b6a;
    const TYPE1V2_IOMMU: libc::c_ulong = 3;
    let raw: RawFd = container.as_raw_fd();
    let name = std::ffi::CString::new(uuid).expect("a UUID has no zero byte");
    // SAFETY: each request takes what `linux/vfio.h` says: a pointer to a file's number, a number, a name that
    // ends in a zero byte; all of them outlive the call. What the last one returns is a new file of ours.
    unsafe {
        let set = libc::ioctl(group.as_raw_fd(), GROUP_SET_CONTAINER, &raw const raw);
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
        let set = libc::ioctl(raw, SET_IOMMU, TYPE1V2_IOMMU);
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
        let device = libc::ioctl(group.as_raw_fd(), GROUP_GET_DEVICE_FD, name.as_ptr());
        assert!(device >= 0, "{}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(device)
    }
}

/// The releases that the fake tells apart.
fn release() -> Release {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's release");
    let mut numbers = text.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) < (6, 6) => Release::V6_1,
        _ => Release::V6_12,
    }
}

#[test]
fn the_kernel_does_what_was_written_down() {
    let observed = SUBJECTS.map(|subject| observe(&Machine::default(), subject));
    print!("{}", observed.join("\n"));
    for (subject, observed) in SUBJECTS.into_iter().zip(observed) {
        assert_observed(subject, release(), &observed);
    }
}
