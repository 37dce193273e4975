//! Parents of every driver, as their drivers present them.

use automdev::host::clock::Deadline;
use automdev::host::kernel::Target;

use super::Tree;
use super::fake::device::put_power;
use super::fake::driver::Driver;
use super::files::{BOTH, READ, WRITE};

/// A type as a parent offers it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Type<'a> {
    pub(crate) name: &'a str,
    pub(crate) pretty: &'a str,
    pub(crate) description: Option<&'a str>,
    pub(crate) available: u32,
}

/// What the types of a T4 say: name, pretty name, megabytes, most.
const T4: [(&str, &str, u32, u32); 3] = [
    ("nvidia-222", "GRID T4-1B", 1024, 16),
    ("nvidia-230", "GRID T4-1Q", 1024, 16),
    ("nvidia-231", "GRID T4-2Q", 2048, 8),
];

impl Tree {
    /// The kernel's sample driver mtty: 24 ports.
    pub(crate) fn mtty(&self) -> &Self {
        let offered = |name, pretty, available| Type {
            name,
            pretty,
            description: None,
            available,
        };
        self.parent(
            "sys/devices/virtual/mtty/mtty",
            "vfio-pci",
            &[
                offered("mtty-1", "Single port serial", 24),
                offered("mtty-2", "Dual port serial", 12),
            ],
        )
        .sample_class("mtty")
    }

    /// The kernel's sample driver mdpy: 4 devices.
    pub(crate) fn mdpy(&self) -> &Self {
        self.mdpy_of(4)
    }

    /// The kernel's sample driver mdpy, with its parameter `count`.
    pub(crate) fn mdpy_of(&self, count: u32) -> &Self {
        let offered = |name, pretty, description| Type {
            name,
            pretty,
            description: Some(description),
            available: count,
        };
        self.parent(
            "sys/devices/virtual/mdpy/mdpy",
            "vfio-pci",
            &[
                offered("mdpy-hd", "mdpy-hd", "virtual display, 1920x1080 framebuffer"),
                offered("mdpy-vga", "mdpy-vga", "virtual display, 640x480 framebuffer"),
                offered("mdpy-xga", "mdpy-xga", "virtual display, 1024x768 framebuffer"),
            ],
        )
        .sample_class("mdpy")
    }

    /// The kernel's sample driver mbochs: 256 megabytes.
    pub(crate) fn mbochs(&self) -> &Self {
        self.mbochs_of(256)
    }

    /// The kernel's sample driver mbochs, with its parameter `count`, in megabytes.
    pub(crate) fn mbochs_of(&self, count: u32) -> &Self {
        self.mbochs_named("mbochs", count)
    }

    /// The same under another name: a host may have several that the kernel's has one of.
    pub(crate) fn mbochs_named(&self, parent: &str, count: u32) -> &Self {
        let offered = |name, description, megabytes| Type {
            name,
            pretty: name,
            description: Some(description),
            available: count / megabytes,
        };
        self.parent(
            &format!("sys/devices/virtual/mbochs/{parent}"),
            "vfio-pci",
            &[
                offered("mbochs-large", "virtual display, 64 MB video memory", 64),
                offered("mbochs-medium", "virtual display, 16 MB video memory", 16),
                offered("mbochs-small", "virtual display, 4 MB video memory", 4),
            ],
        )
        .class("mbochs", parent)
    }

    fn sample_class(&self, name: &str) -> &Self {
        self.class(name, name)
    }

    fn class(&self, driver: &str, parent: &str) -> &Self {
        let class = format!("sys/class/{driver}");
        self.folder(&class).link(
            &format!("sys/devices/virtual/{driver}/{parent}/subsystem"),
            &class,
        )
    }

    /// An NVIDIA T4 with types of 1 GB (nvidia-222, nvidia-230: 16 each) and 2 GB (nvidia-231: 8).
    pub(crate) fn nvidia(&self, address: &str) -> &Self {
        let folder = pci(address);
        self.nvidia_types(&folder, |most| most)
            .link(&format!("sys/bus/pci/devices/{address}"), &folder)
    }

    /// An SR-IOV GPU of NVIDIA with so many VFs, `0000:43:00.4` and on for `0000:43:00.0`, each a parent.
    pub(crate) fn nvidia_sriov(&self, address: &str, functions: u32) -> &Self {
        let gpu = pci(address);
        self.file_with_mode(&format!("{gpu}/sriov_totalvfs"), "16\n", READ)
            .file(&format!("{gpu}/sriov_numvfs"), &format!("{functions}\n"))
            .link(&format!("sys/bus/pci/devices/{address}"), &gpu);
        let slot = address.rsplit_once(':').expect("a PCI address").0;
        for index in 0..functions {
            // Eight functions a device; the first VF is function 4.
            let (device, function) = ((index + 4) / 8, (index + 4) % 8);
            let name = format!("{slot}:{device:02x}.{function}");
            let folder = pci(&name);
            self.nvidia_types(&folder, |most| most.min(1))
                .link(&format!("{folder}/physfn"), &gpu)
                .link(&format!("{gpu}/virtfn{index}"), &folder)
                .link(&format!("sys/bus/pci/devices/{name}"), &folder);
        }
        self
    }

    fn nvidia_types(&self, folder: &str, available: impl Fn(u32) -> u32) -> &Self {
        let descriptions = T4.map(|(_, _, megabytes, most)| {
            format!(
                "num_heads=4, frl_config=60, framebuffer={megabytes}M, \
                 max_resolution=5120x2880, max_instance={most}"
            )
        });
        let types: Vec<_> = T4
            .iter()
            .zip(&descriptions)
            .map(|((name, pretty, _, most), description)| Type {
                name,
                pretty,
                description: Some(description),
                available: available(*most),
            })
            .collect();
        self.file_with_mode(&format!("{folder}/vendor"), "0x10de\n", READ)
            .file(&format!("{folder}/numa_node"), "0\n")
            .parent(folder, "vfio-pci", &types)
    }

    /// Intel's GVT-g at 0000:00:02.0, with an aperture of 1 GB.
    pub(crate) fn gvtg(&self) -> &Self {
        let offered = |name, pretty, description, available| Type {
            name,
            pretty,
            description: Some(description),
            available,
        };
        self.parent(
            &pci("0000:00:02.0"),
            "vfio-pci",
            &[
                offered("i915-GVTg_V5_1", "GVTg_V5_1", GVTG[0], 1),
                offered("i915-GVTg_V5_2", "GVTg_V5_2", GVTG[1], 2),
                offered("i915-GVTg_V5_4", "GVTg_V5_4", GVTG[2], 5),
                offered("i915-GVTg_V5_8", "GVTg_V5_8", GVTG[3], 7),
            ],
        )
        .link("sys/bus/pci/devices/0000:00:02.0", &pci("0000:00:02.0"))
    }

    /// The crypto matrix of an s390.
    pub(crate) fn matrix(&self) -> &Self {
        let offered = Type {
            name: "vfio_ap-passthrough",
            pretty: "VFIO AP Passthrough Device",
            description: None,
            available: 65536,
        };
        self.parent("sys/devices/vfio_ap/matrix", "vfio-ap", &[offered])
    }

    /// A subchannel of an s390, such as `0.0.0052`.
    pub(crate) fn subchannel(&self, name: &str) -> &Self {
        let offered = Type {
            name: "vfio_ccw-io",
            pretty: "I/O subchannel (Non-QDIO)",
            description: None,
            available: 1,
        };
        self.parent(&format!("sys/devices/css0/{name}"), "vfio-ccw", &[offered])
    }

    /// Any parent: its real folder, the interface and the types of its devices.
    pub(crate) fn parent(&self, folder: &str, device_api: &str, types: &[Type<'_>]) -> &Self {
        let name = folder.rsplit('/').next().expect("a folder has a name");
        self.file_with_mode(&format!("{folder}/uevent"), "", BOTH)
            .link(&format!("sys/class/mdev_bus/{name}"), folder);
        put_power(&self.at(folder)).expect("the tree takes a folder");
        for offered in types {
            let driver = Driver::of_type(offered.name).expect("the type's driver is known");
            self.folder(&format!("sys/bus/mdev/drivers/{}", driver.name()));
            let of_type = format!("{folder}/mdev_supported_types/{}", offered.name);
            let available = format!("{}\n", offered.available);
            self.file_with_mode(&format!("{of_type}/available_instances"), &available, READ)
                .file_with_mode(&format!("{of_type}/create"), "", WRITE)
                .file_with_mode(&format!("{of_type}/device_api"), &format!("{device_api}\n"), READ)
                .file_with_mode(&format!("{of_type}/name"), &format!("{}\n", offered.pretty), READ)
                .folder(&format!("{of_type}/devices"));
            if let Some(description) = offered.description {
                let description = format!("{description}\n");
                self.file_with_mode(&format!("{of_type}/description"), &description, READ);
            }
        }
        self
    }

    /// Makes a device that was there before, by the parent's name; not counted as an effect.
    pub(crate) fn active(&self, parent: &str, type_name: &str, uuid: &str) -> &Self {
        let folder = self.at(format!("sys/class/mdev_bus/{parent}"));
        let target = Target {
            folder: &folder,
            file: &format!("mdev_supported_types/{type_name}/create"),
            inode: None,
            keep: None,
        };
        self.kernel()
            .react(
                target,
                uuid.as_bytes(),
                Deadline::after(std::time::Duration::ZERO),
            )
            .expect("the parent takes the device");
        self
    }
}

/// `intel_vgpu_show_description`, without the line's end.
const GVTG: [&str; 4] = [
    "low_gm_size: 512MB\nhigh_gm_size: 2048MB\nfence: 4\nresolution: 1920x1200\nweight: 16",
    "low_gm_size: 256MB\nhigh_gm_size: 1024MB\nfence: 4\nresolution: 1920x1200\nweight: 8",
    "low_gm_size: 128MB\nhigh_gm_size: 512MB\nfence: 4\nresolution: 1920x1200\nweight: 4",
    "low_gm_size: 64MB\nhigh_gm_size: 384MB\nfence: 4\nresolution: 1024x768\nweight: 2",
];

/// Where a PCI device lies: GPUs behind a bridge, what is on bus 0 next to it.
fn pci(address: &str) -> String {
    if address.starts_with("0000:00:") {
        format!("sys/devices/pci0000:00/{address}")
    } else {
        format!("sys/devices/pci0000:40/0000:40:01.1/{address}")
    }
}
