//! A device opened as QEMU opens it: a container, the device's group in it, the device (linux/vfio.h).

#![allow(unsafe_code, reason = "VFIO speaks ioctl")]

use std::ffi::{CString, c_ulong};
use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;

const SET_IOMMU: c_ulong = 0x3b66;
const GROUP_SET_CONTAINER: c_ulong = 0x3b68;
const GROUP_GET_DEVICE_FD: c_ulong = 0x3b6a;

/// `VFIO_TYPE1_IOMMU`.
const TYPE1: c_ulong = 1;

/// A group that is open, in a container of its own.
pub(crate) struct Group {
    group: File,
    _container: File,
}

impl Group {
    /// That of a device.
    pub(crate) fn of(uuid: &str) -> Self {
        let link = fs::read_link(format!("/sys/bus/mdev/devices/{uuid}/iommu_group")).expect("its group");
        let open = |name: &Path| {
            let path = Path::new("/dev/vfio").join(name);
            File::options()
                .read(true)
                .write(true)
                .open(&path)
                .expect("a node")
        };
        let group = open(Path::new(link.file_name().expect("a number")));
        let container = open(Path::new("vfio"));
        let number = container.as_raw_fd();
        // SAFETY: the group reads one number there.
        let set = unsafe { libc::ioctl(group.as_raw_fd(), GROUP_SET_CONTAINER as _, &raw const number) };
        Errno::result(set).expect("a group in a container");
        // SAFETY: nothing is read or written there.
        let set = unsafe { libc::ioctl(number, SET_IOMMU as _, TYPE1) };
        Errno::result(set).expect("a container with an IOMMU");
        Group {
            group,
            _container: container,
        }
    }

    /// A device of it.
    pub(crate) fn device(&self, uuid: &str) -> File {
        let name = CString::new(uuid).expect("no zero in it");
        // SAFETY: the kernel reads a text that ends with a zero.
        let device = unsafe { libc::ioctl(self.group.as_raw_fd(), GROUP_GET_DEVICE_FD as _, name.as_ptr()) };
        let device = Errno::result(device).expect("the device");
        // SAFETY: nobody else knows it yet.
        unsafe { File::from_raw_fd(device) }
    }
}
