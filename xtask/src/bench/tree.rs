//! Hosts in folders: as many parents, types, devices, definitions and records as wanted.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Where all hosts of a run are, in memory; gone when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Result<Self> {
        let path = PathBuf::from(format!("/dev/shm/automdev-bench-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("{}", path.display()))?;
        Ok(Folder(path))
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left there goes with the machine's next boot.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// How much of everything a host has.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) parents: usize,
    /// Of each parent.
    pub(crate) types: usize,
    /// Active devices, over all parents.
    pub(crate) devices: usize,
    /// Definitions, over all parents.
    pub(crate) definitions: usize,
}

/// A host of ordinary size.
pub(crate) const SMALL: Size = Size {
    parents: 2,
    types: 4,
    devices: 4,
    definitions: 10,
};

/// Writes a file, whose folders are made where they are missing; those of automdev's own are nobody else's.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        let is_own = folder.components().any(|part| part.as_os_str() == "automdev");
        make_folder(folder, if is_own { 0o700 } else { 0o755 })?;
    }
    fs::write(path, text).with_context(|| format!("{}", path.display()))
}

fn make_folder(path: &Path, mode: u32) -> Result<()> {
    let done = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    done.with_context(|| format!("{}", path.display()))
}

/// A host of that size.
pub(crate) struct Host(PathBuf);

impl Host {
    pub(crate) fn new(folder: &Folder, name: &str, size: Size) -> Result<Self> {
        let host = Host(folder.at(name));
        host.folder("sys/bus/mdev/devices")?;
        host.folder("sys/class/mdev_bus")?;
        host.file("dev/vfio/vfio", "")?;
        host.file(
            "proc/sys/kernel/random/boot_id",
            "00000000-0000-4000-8000-000000000000\n",
        )?;
        for number in 0..size.parents {
            host.parent(&parent(number), size.types)?;
        }
        for number in 0..size.devices {
            host.device(
                &parent(number % size.parents),
                &format!("type-{}", number % size.types),
                number,
            )?;
        }
        for number in 0..size.definitions {
            let path = format!(
                "etc/mdevctl.d/{}/{}",
                parent(number % size.parents),
                defined(number)
            );
            host.file(
                &path,
                r#"{"mdev_type":"type-0","start":"manual","attrs":[{"power/control":"on"}]}"#,
            )?;
        }
        Ok(host)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn folder(&self, path: &str) -> Result<()> {
        make_folder(&self.0.join(path), 0o755)
    }

    pub(crate) fn file(&self, path: &str, text: &str) -> Result<()> {
        write(&self.0.join(path), text)
    }

    fn parent(&self, name: &str, types: usize) -> Result<()> {
        for number in 0..types {
            let folder = format!("sys/devices/{name}/mdev_supported_types/type-{number}");
            self.folder(&format!("{folder}/devices"))?;
            for (file, text) in [
                ("available_instances", "8\n"),
                ("device_api", "vfio-pci\n"),
                ("description", "a type\n"),
                ("name", "Type\n"),
                ("create", ""),
            ] {
                self.file(&format!("{folder}/{file}"), text)?;
            }
        }
        symlink(
            format!("../../devices/{name}"),
            self.0.join(format!("sys/class/mdev_bus/{name}")),
        )
        .context("a link")
    }

    fn device(&self, parent: &str, mdev_type: &str, number: usize) -> Result<()> {
        let uuid = format!("a0000000-0000-4000-8000-{number:012x}");
        let folder = format!("sys/devices/{parent}/{uuid}");
        self.folder(&folder)?;
        let links = [
            (
                format!("{folder}/mdev_type"),
                format!("../mdev_supported_types/{mdev_type}"),
            ),
            (
                format!("sys/bus/mdev/devices/{uuid}"),
                format!("../../../devices/{parent}/{uuid}"),
            ),
        ];
        for (link, target) in links {
            symlink(target, self.0.join(link)).context("a link")?;
        }
        Ok(())
    }
}

fn parent(number: usize) -> String {
    format!("0000:{:02x}:{:02x}.0", number / 32, number % 32)
}

/// The UUID of a definition.
pub(crate) fn defined(number: usize) -> String {
    format!("d0000000-0000-4000-8000-{number:012x}")
}

/// The XML of the domain `bench`, of at least so many bytes: with marked devices, or of a pool, or with neither.
pub(crate) fn domain(devices: &[String], pool: Option<&str>, bytes: usize) -> String {
    domain_of(1, devices, pool, bytes)
}

/// The same with another UUID.
pub(crate) fn domain_of(number: usize, devices: &[String], pool: Option<&str>, bytes: usize) -> String {
    let (mut marks, mut hostdevs) = (String::new(), String::new());
    for uuid in devices {
        let of_pool = pool.map(|pool| format!(" pool='{pool}'")).unwrap_or_default();
        write!(marks, "<automdev:mdev uuid='{uuid}'{of_pool}/>").expect("a String takes it");
        writeln!(
            hostdevs,
            "    <hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='{uuid}'/></source></hostdev>"
        )
        .expect("a String takes it");
    }
    if !marks.is_empty() {
        marks = format!(
            "  <metadata><automdev:devices xmlns:automdev='urn:automdev:domain:1'>{marks}</automdev:devices></metadata>\n"
        );
    }
    let mut disks = String::new();
    while disks.len() + hostdevs.len() < bytes {
        let disk = disks.len();
        writeln!(
            disks,
            "    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/var/lib/libvirt/images/{disk}.qcow2'/><target dev='vda' bus='virtio'/></disk>"
        )
        .expect("a String takes it");
    }
    format!(
        "<domain type='kvm'>\n  <name>bench</name>\n  <uuid>b0000000-0000-4000-8000-{number:012x}</uuid>\n{marks}  <devices>\n{disks}{hostdevs}  </devices>\n</domain>\n"
    )
}
