//! Domains, as people write them.

use std::fmt::Write as _;

/// A mediated device of a domain.
pub(crate) struct Device {
    pub(crate) uuid: &'static str,
    pub(crate) model: &'static str,
    pub(crate) is_marked: bool,
    pub(crate) pool: Option<&'static str>,
}

/// What the guest does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guest {
    /// Nothing, until it is destroyed.
    Idle,
    /// Turns the machine off at once.
    ShutsDown,
}

/// A small domain under software emulation.
pub(crate) struct DomainXml {
    pub(crate) name: &'static str,
    pub(crate) uuid: &'static str,
    pub(crate) guest: Guest,
    pub(crate) devices: Vec<Device>,
    pub(crate) has_free_port: bool,
}

impl DomainXml {
    /// A domain of that name; its UUID is made from the name, so that one name is one domain.
    pub(crate) fn new(name: &'static str) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let uuid = format!("d0000000-0000-4000-8000-{:012x}", hash & 0xffff_ffff_ffff);
        DomainXml {
            name,
            uuid: uuid.leak(),
            guest: Guest::Idle,
            devices: Vec::new(),
            has_free_port: false,
        }
    }

    /// With a marked device.
    pub(crate) fn with(mut self, uuid: &'static str) -> Self {
        self.devices.push(Device {
            uuid,
            model: "vfio-pci",
            is_marked: true,
            pool: None,
        });
        self
    }

    /// With a device of a pool.
    pub(crate) fn of_pool(mut self, uuid: &'static str, pool: &'static str) -> Self {
        self = self.with(uuid);
        self.devices.last_mut().expect("a device").pool = Some(pool);
        self
    }

    /// With a device that is not marked.
    pub(crate) fn with_unmarked(mut self, uuid: &'static str) -> Self {
        self.devices.push(Device {
            uuid,
            model: "vfio-pci",
            is_marked: false,
            pool: None,
        });
        self
    }

    pub(crate) fn guest(mut self, guest: Guest) -> Self {
        self.guest = guest;
        self
    }

    /// With a port into which something can be plugged while it runs.
    pub(crate) fn with_free_port(mut self) -> Self {
        self.has_free_port = true;
        self
    }

    /// As libvirt keeps it: the marks in the metadata.
    pub(crate) fn xml(&self) -> String {
        let (mut marks, mut hostdevs) = (String::new(), String::new());
        for device in &self.devices {
            if device.is_marked {
                let pool = device
                    .pool
                    .map_or(String::new(), |pool| format!(" pool='{pool}'"));
                writeln!(marks, "      <automdev:mdev uuid='{}'{pool}/>", device.uuid).expect("a String");
            }
            writeln!(
                hostdevs,
                "    <hostdev mode='subsystem' type='mdev' model='{}'>\n      <source><address uuid='{}'/></source>\n    </hostdev>",
                device.model, device.uuid
            )
            .expect("a String");
        }
        if !marks.is_empty() {
            marks = format!(
                "  <metadata>\n    <automdev:devices xmlns:automdev='urn:automdev:domain:1'>\n{marks}    </automdev:devices>\n  </metadata>\n"
            );
        }
        // libvirt gives each device a port of its own, and makes as many as there are devices.
        let port = if self.has_free_port {
            "    <controller type='pci' model='pcie-root'/>\n    <controller type='pci' model='pcie-root-port'/>\n    <controller type='pci' model='pcie-root-port'/>\n"
        } else {
            ""
        };
        let (boot, disk) = match self.guest {
            Guest::Idle => ("", ""),
            Guest::ShutsDown => (
                "<boot dev='hd'/>",
                "    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/var/lib/libvirt/images/shutdown.img'/><target dev='sda' bus='sata'/></disk>\n",
            ),
        };
        format!(
            "<domain type='qemu'>\n  <name>{}</name>\n  <uuid>{}</uuid>\n{marks}  <memory unit='MiB'>16</memory>\n  <vcpu>1</vcpu>\n  <os><type arch='x86_64' machine='q35'>hvm</type>{boot}</os>\n  <features><acpi/></features>\n  <on_crash>destroy</on_crash>\n  <devices>\n    <emulator>/usr/bin/qemu-system-x86_64</emulator>\n    <controller type='usb' model='none'/>\n{port}    <video><model type='none'/></video>\n    <memballoon model='none'/>\n{disk}{hostdevs}  </devices>\n</domain>\n",
            self.name, self.uuid
        )
    }
}

/// A boot sector that tells q35's power management to turn the machine off: `out` of 0x2000 to port 0x604.
pub(crate) fn boot_sector() -> Vec<u8> {
    let mut sector = vec![0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xf4, 0xeb, 0xfd];
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    // The firmware boots from no smaller disk.
    sector.resize(1 << 20, 0);
    sector
}
