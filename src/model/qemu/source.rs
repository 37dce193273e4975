//! Which device a `sysfsdev` is, as far as its path alone tells.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::model::names::{MdevUuid, ParentName, PoolName};

/// Which device a `-device` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `sysfsdev` is `/sys/bus/mdev/devices/UUID`, or `/sys/class/mdev_bus/PARENT/UUID`.
    Mdev {
        /// The device.
        uuid: MdevUuid,
        /// The parent below which the path looks for it.
        parent: Option<ParentName>,
    },
    /// `sysfsdev` is another path: only the machine knows whether it leads to a mediated device. QEMU takes a
    /// relative one from its working directory.
    Path(PathBuf),
    /// `pool`: one of this pool.
    Pool(PoolName),
}

/// The path by which QEMU finds a mediated device.
#[must_use]
pub fn sysfsdev(uuid: MdevUuid) -> String {
    format!("/sys/bus/mdev/devices/{uuid}")
}

/// Tells by the path which device it is. Slashes may be doubled and trail; `..` is followed by nobody but
/// the kernel, as the folders before it are links.
///
/// # Errors
/// The path has the UUID in another form than the kernel's (upper case, without dashes), so that it leads
/// nowhere even when the device is there.
pub(super) fn of_sysfsdev(path: &[u8]) -> Result<Source, MdevUuid> {
    let path = Path::new(OsStr::from_bytes(path));
    Ok(match in_sysfs(path) {
        Some((uuid, parent)) => Source::Mdev {
            uuid: as_kernel(uuid)?,
            parent,
        },
        None => Source::Path(path.to_owned()),
    })
}

/// The UUID's text and its parent, where the path is of one of the two forms.
fn in_sysfs(path: &Path) -> Option<((MdevUuid, &str), Option<ParentName>)> {
    let mut components = path.components();
    if components.next()? != Component::RootDir {
        return None;
    }
    let parts: Vec<&str> = components
        .map(|component| match component {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let (uuid, parent) = match parts.as_slice() {
        ["sys", "bus", "mdev", "devices", uuid] => (*uuid, None),
        ["sys", "class", "mdev_bus", parent, uuid] => (*uuid, Some(parent.parse().ok()?)),
        _ => return None,
    };
    Some(((uuid.parse().ok()?, uuid), parent))
}

fn as_kernel((uuid, text): (MdevUuid, &str)) -> Result<MdevUuid, MdevUuid> {
    if uuid.to_string() == text {
        Ok(uuid)
    } else {
        Err(uuid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";

    fn read(path: &str) -> Result<Source, MdevUuid> {
        of_sysfsdev(path.replace("UUID", UUID).as_bytes())
    }

    #[test]
    fn a_path_of_the_kernel_tells_the_device() {
        for (path, parent) in [
            ("/sys/bus/mdev/devices/UUID", None),
            ("/sys/bus/mdev/devices/UUID/", None),
            ("//sys//bus/./mdev/devices//UUID//", None),
            ("/sys/class/mdev_bus/mtty/UUID", Some("mtty")),
            ("/sys/class/mdev_bus/0000:41:00.0/UUID/", Some("0000:41:00.0")),
        ] {
            let expected = Source::Mdev {
                uuid: UUID.parse().expect("it is a UUID"),
                parent: parent.map(|parent| parent.parse().expect("it is a name")),
            };
            assert_eq!(read(path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn another_path_tells_nothing() {
        for path in [
            "",
            "/",
            "UUID",
            "sys/bus/mdev/devices/UUID",
            "./sys/bus/mdev/devices/UUID",
            "/sys/bus/mdev/devices",
            "/sys/bus/mdev/devices/",
            "/sys/bus/mdev/devices/x",
            "/sys/bus/mdev/devices/UUID/iommu_group",
            "/sys/bus/mdev/devices/../devices/UUID",
            "/sys/bus/mdev/devices/UUID/..",
            "/sys/class/mdev_bus/UUID",
            "/sys/class/mdev_bus/\u{1b}/UUID",
            "/sys/class/mdev_bus/mtty/../UUID",
            "/sys/bus/pci/devices/0000:41:00.0",
            "/sys/devices/virtual/mtty/mtty/UUID",
            "/SYS/bus/mdev/devices/UUID",
        ] {
            let expected = Source::Path(PathBuf::from(path.replace("UUID", UUID)));
            assert_eq!(read(path), Ok(expected), "{path}");
        }
        let path = b"/sys/bus/mdev/devices/\xff";
        let expected = Source::Path(PathBuf::from(OsStr::from_bytes(path)));
        assert_eq!(of_sysfsdev(path), Ok(expected));
    }

    #[test]
    fn a_uuid_in_another_form_than_the_kernels_is_no_path_to_it() {
        for uuid in [
            UUID.to_uppercase(),
            UUID.replace('-', ""),
            format!(" {UUID}"),
            UUID.replacen('c', "C", 1),
        ] {
            let expected = Err(UUID.parse().expect("it is a UUID"));
            assert_eq!(read(&format!("/sys/bus/mdev/devices/{uuid}")), expected, "{uuid}");
            assert_eq!(
                read(&format!("/sys/class/mdev_bus/mtty/{uuid}")),
                expected,
                "{uuid}"
            );
        }
    }
}
