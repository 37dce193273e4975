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
    /// Nothing, until it is destroyed. Its firmware is [`IDLE_FIRMWARE`].
    Idle,
    /// Turns the machine off at once.
    ShutsDown,
    /// Writes half a megabyte of its memory anew at each tick of its clock, 18 times a second. Its disk is
    /// [`WRITING_DISK`].
    Writes,
}

/// The firmware of a guest that does nothing: [`idle_firmware`].
pub(crate) const IDLE_FIRMWARE: &str = "/var/lib/libvirt/images/idle.rom";

/// The disk of a guest that writes: [`writing_disk`].
pub(crate) const WRITING_DISK: &str = "/var/lib/libvirt/images/writes.img";

/// A small domain under software emulation.
pub(crate) struct DomainXml {
    pub(crate) name: &'static str,
    pub(crate) uuid: &'static str,
    pub(crate) guest: Guest,
    pub(crate) devices: Vec<Device>,
    pub(crate) has_free_port: bool,
    pub(crate) can_move: bool,
    pub(crate) has_disk: bool,
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
            can_move: false,
            has_disk: false,
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

    /// With devices whose content QEMU saves where their driver can, though nobody tracks what they write into memory.
    pub(crate) fn that_can_move(mut self) -> Self {
        self.can_move = true;
        self
    }

    /// With an empty disk that can hold snapshots.
    pub(crate) fn with_disk(mut self) -> Self {
        self.has_disk = true;
        self
    }

    /// The file of its disk.
    pub(crate) fn disk(&self) -> String {
        format!("/var/lib/libvirt/images/{}.qcow2", self.name)
    }

    /// What QEMU is told of each device beside what libvirt knows, and where that is declared.
    fn properties(&self) -> (String, &'static str) {
        if !self.can_move {
            return (String::new(), "");
        }
        let mut devices = String::new();
        for number in 0..self.devices.len() {
            write!(
                devices,
                "    <qemu:device alias='hostdev{number}'>\n      <qemu:frontend>\n        <qemu:property name='enable-migration' type='string' value='on'/>\n        <qemu:property name='x-device-dirty-page-tracking' type='string' value='off'/>\n      </qemu:frontend>\n    </qemu:device>\n"
            )
            .expect("a String");
        }
        (
            format!("  <qemu:override>\n{devices}  </qemu:override>\n"),
            " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'",
        )
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
        let (boot, mut disks) = match self.guest {
            Guest::Idle => (
                format!("<loader readonly='yes' type='rom'>{IDLE_FIRMWARE}</loader>"),
                String::new(),
            ),
            Guest::ShutsDown => (
                "<boot dev='hd'/>".to_owned(),
                "    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/var/lib/libvirt/images/shutdown.img'/><target dev='sda' bus='sata'/></disk>\n".to_owned(),
            ),
            Guest::Writes => (
                "<boot dev='hd'/>".to_owned(),
                format!("    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{WRITING_DISK}'/><target dev='vdb' bus='virtio'/><readonly/></disk>\n"),
            ),
        };
        if self.has_disk {
            writeln!(
                disks,
                "    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{}'/><target dev='vda' bus='virtio'/></disk>",
                self.disk()
            )
            .expect("a String");
        }
        let (properties, declared) = self.properties();
        format!(
            "<domain type='qemu'{declared}>\n  <name>{}</name>\n  <uuid>{}</uuid>\n{marks}  <memory unit='MiB'>16</memory>\n  <vcpu>1</vcpu>\n  <os><type arch='x86_64' machine='q35'>hvm</type>{boot}</os>\n  <features><acpi/></features>\n  <on_crash>destroy</on_crash>\n  <devices>\n    <emulator>/usr/bin/qemu-system-x86_64</emulator>\n    <controller type='usb' model='none'/>\n{port}    <video><model type='none'/></video>\n    <memballoon model='none'/>\n{disks}{hostdevs}  </devices>\n{properties}</domain>\n",
            self.name, self.uuid
        )
    }
}

/// A firmware that stops the processor at its first instruction, 16 bytes before the end. QEMU's own looks for something
/// to boot from, which takes an emulated QEMU four times as long as all else that it does until then.
pub(crate) fn idle_firmware() -> Vec<u8> {
    const SIZE: usize = 64 << 10;
    let mut firmware = vec![0; SIZE];
    // hlt; jmp to it
    firmware[SIZE - 16..][..3].copy_from_slice(&[0xf4, 0xeb, 0xfd]);
    firmware
}

/// A disk whose boot sector tells q35's power management to turn the machine off: `out` of 0x2000 to port 0x604.
pub(crate) fn boot_sector() -> Vec<u8> {
    boot_disk(&[0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xf4, 0xeb, 0xfd])
}

/// A disk whose boot sector writes a number into all memory from 64 to 576 KiB, waits for the clock, and goes on with the
/// next number.
pub(crate) fn writing_disk() -> Vec<u8> {
    boot_disk(&[
        0xfc, 0x31, 0xd2, // cld; xor dx, dx
        0xfb, 0xf4, // sti; hlt
        0x42, // inc dx
        0xbb, 0x00, 0x10, // mov bx, 0x1000
        0x8e, 0xc3, 0x31, 0xff, // mov es, bx; xor di, di
        0xb9, 0x00, 0x80, 0x89, 0xd0, // mov cx, 0x8000; mov ax, dx
        0xf3, 0xab, // rep stosw
        0x81, 0xc3, 0x00, 0x10, // add bx, 0x1000
        0x81, 0xfb, 0x00, 0x90, 0x72, 0xeb, // cmp bx, 0x9000; jb to mov es
        0xeb, 0xe3, // jmp to sti
    ])
}

/// A disk whose boot sector runs this.
fn boot_disk(code: &[u8]) -> Vec<u8> {
    let mut disk = code.to_vec();
    disk.resize(510, 0);
    disk.extend([0x55, 0xaa]);
    // The firmware boots from no smaller disk.
    disk.resize(1 << 20, 0);
    disk
}

/// An empty qcow2 image of a megabyte (QEMU's `docs/interop/qcow2.txt`): a header, the table of reference counts with its
/// only block, and the table of the content, which is empty, each in a cluster of its own.
pub(crate) fn empty_qcow2() -> Vec<u8> {
    const CLUSTER: usize = 1 << 16;
    let mut image = vec![0; 4 * CLUSTER];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"QFI\xfb");
    for (at, number) in [
        (4, 3),     // the version
        (20, 16),   // a cluster's size, as a power of two
        (36, 1),    // entries in the table of the content
        (56, 1),    // clusters of the table of reference counts
        (96, 4),    // a reference count's bits, as a power of two
        (100, 104), // the header's length
    ] {
        put(at, &u32::to_be_bytes(number));
    }
    let cluster = |number: usize| {
        u64::try_from(number * CLUSTER)
            .expect("a small number")
            .to_be_bytes()
    };
    put(24, &u64::to_be_bytes(1 << 20));
    put(40, &cluster(3));
    put(48, &cluster(1));
    put(CLUSTER, &cluster(2));
    for used in 0..4 {
        put(2 * CLUSTER + 2 * used, &1_u16.to_be_bytes());
    }
    image
}
