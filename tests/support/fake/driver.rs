//! The drivers, known by the names of their types: what a device of theirs costs, and how they say no.

use nix::errno::Errno;

use super::super::files::{BOTH, READ, WRITE};

/// Whose types a parent offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Driver {
    /// `samples/vfio-mdev/mtty.c`: types of one and two ports of 24.
    Mtty,
    /// `samples/vfio-mdev/mdpy.c`: so many devices of any type, by default 4.
    Mdpy,
    /// `samples/vfio-mdev/mbochs.c`: types of 4, 16 and 64 megabytes, by default of 256.
    Mbochs,
    /// NVIDIA's vGPU manager: one type a GPU at a time.
    Nvidia,
    /// `drivers/gpu/drm/i915/gvt`: memory and fences shared by all types.
    Gvtg,
    /// `drivers/s390/crypto/vfio_ap_ops.c`.
    VfioAp,
    /// `drivers/s390/cio/vfio_ccw_ops.c`: one device a subchannel.
    VfioCcw,
}

/// A file of a device's own: path, mode, content.
pub(crate) type Attribute = (&'static str, u32, String);

impl Driver {
    /// The driver whose type it is.
    pub(crate) fn of_type(name: &str) -> Option<Driver> {
        [
            ("mtty-", Driver::Mtty),
            ("mdpy-", Driver::Mdpy),
            ("mbochs-", Driver::Mbochs),
            ("nvidia-", Driver::Nvidia),
            ("i915-GVTg_", Driver::Gvtg),
            ("vfio_ap-", Driver::VfioAp),
            ("vfio_ccw-", Driver::VfioCcw),
        ]
        .into_iter()
        .find_map(|(prefix, driver)| name.starts_with(prefix).then_some(driver))
    }

    /// Its name on the mdev bus.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Driver::Mtty => "mtty",
            Driver::Mdpy => "mdpy",
            Driver::Mbochs => "mbochs",
            Driver::Nvidia => "nvidia-vgpu-vfio",
            Driver::Gvtg => "intel_vgpu_mdev",
            Driver::VfioAp => "vfio_ap_mdev",
            Driver::VfioCcw => "vfio_ccw_mdev",
        }
    }

    /// What a write to `create` fails with where there is no room.
    pub(crate) fn full(self) -> Errno {
        match self {
            Driver::Mtty | Driver::Mbochs | Driver::Gvtg => Errno::ENOSPC,
            // `mdev_device_create` counts for those that have a plain maximum.
            Driver::Mdpy | Driver::VfioAp | Driver::VfioCcw => Errno::EUSERS,
            Driver::Nvidia => Errno::EINVAL,
        }
    }

    /// How many units of the parent's budget a device of this type takes.
    pub(crate) fn cost(self, type_name: &str) -> u32 {
        match (self, type_name.rsplit('-').next().unwrap_or_default()) {
            (Driver::Mtty, "2") => 2,
            (Driver::Mbochs, "small") => 4,
            (Driver::Mbochs, "medium") => 16,
            (Driver::Mbochs, "large") => 64,
            _ => 1,
        }
    }

    /// The files that a device of this type has beside those of every mdev.
    pub(crate) fn attributes(self, type_name: &str, uuid: &str) -> Vec<Attribute> {
        let variant = type_name.rsplit('-').next().unwrap_or_default();
        match self {
            Driver::Mtty => vec![("vendor/sample_mdev_dev", READ, format!("This is MDEV {uuid}\n"))],
            Driver::Mdpy => {
                let size = match variant {
                    "vga" => "640x480",
                    "xga" => "1024x768",
                    _ => "1920x1080",
                };
                vec![("vendor/resolution", READ, format!("{size}\n"))]
            }
            Driver::Mbochs => vec![("vendor/memory", READ, format!("{} MB\n", self.cost(type_name)))],
            Driver::Nvidia => vec![
                ("nvidia/vgpu_params", BOTH, String::new()),
                ("nvidia/vm_name", READ, "\n".to_owned()),
            ],
            Driver::Gvtg => vec![("intel_vgpu/vgpu_id", READ, "1\n".to_owned())],
            Driver::VfioAp => [
                ("assign_adapter", WRITE),
                ("assign_control_domain", WRITE),
                ("assign_domain", WRITE),
                ("control_domains", READ),
                ("guest_matrix", READ),
                ("matrix", READ),
                ("status", READ),
                ("unassign_adapter", WRITE),
                ("unassign_control_domain", WRITE),
                ("unassign_domain", WRITE),
            ]
            .map(|(name, mode)| (name, mode, String::new()))
            .into(),
            Driver::VfioCcw => Vec::new(),
        }
    }

    /// Whether the driver takes this value for this attribute, as far as it looks at it.
    pub(crate) fn accepts(attribute: &str, value: &[u8]) -> Result<(), Errno> {
        let text = std::str::from_utf8(value).map_err(|_| Errno::EINVAL)?;
        let line = text.strip_suffix('\n').unwrap_or(text);
        let good = match attribute {
            // `drivers/base/power/sysfs.c`: `control_store`, `autosuspend_delay_ms_store`.
            "power/control" => matches!(line, "auto" | "on"),
            "power/autosuspend_delay_ms" => return Err(Errno::EIO),
            "uevent" => matches!(line, "add" | "remove" | "change" | "online" | "offline"),
            "nvidia/vgpu_params" => text.ends_with('\n'),
            name if name.contains("assign_") => is_number(line),
            _ => true,
        };
        if good { Ok(()) } else { Err(Errno::EINVAL) }
    }
}

/// What the kernel's `kstrtoul` takes for a number, the base left to it.
pub(crate) fn is_number(text: &str) -> bool {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).is_ok(),
        None => text.parse::<u64>().is_ok(),
    }
}
