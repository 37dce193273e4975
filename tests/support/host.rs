//! The rest of a host: definitions, domains that run, processes that have devices open.

use std::fs;

use super::Tree;
use super::files;

impl Tree {
    /// A persistent definition in mdevctl's store, as mdevctl writes it.
    pub(crate) fn definition(
        &self,
        parent: &str,
        uuid: &str,
        type_name: &str,
        attributes: &[(&str, &str)],
    ) -> &Self {
        let attributes: Vec<_> = attributes
            .iter()
            .map(|(name, value)| serde_json::json!({ *name: value }))
            .collect();
        let mut definition = serde_json::json!({ "mdev_type": type_name, "start": "manual" });
        if !attributes.is_empty() {
            definition["attrs"] = attributes.into();
        }
        let text = serde_json::to_string_pretty(&definition).expect("it can be written down");
        self.file(&format!("etc/mdevctl.d/{parent}/{uuid}"), &text)
    }

    /// A process: its name, its arguments, the clock tick at which it started.
    pub(crate) fn process(&self, pid: u32, name: &str, arguments: &[&str], started: u64) -> &Self {
        let stat = format!(
            "{pid} ({name}) S 1 {pid} {pid} 0 -1 4194304{} {started} 0\n",
            " 0".repeat(12)
        );
        let mut line = arguments.join("\0");
        line.push('\0');
        self.file(&format!("proc/{pid}/stat"), &stat)
            .file(&format!("proc/{pid}/comm"), &format!("{name}\n"))
            .file(&format!("proc/{pid}/cmdline"), &line)
            .link_text(&format!("proc/{pid}/fd/0"), "/dev/null")
    }

    /// A domain that libvirt runs: its QEMU, and what libvirt keeps of it at run time.
    pub(crate) fn domain(&self, name: &str, uuid: &str, pid: u32) -> &Self {
        let guest = format!("guest={name},debug-threads=on");
        let arguments = ["/usr/bin/qemu-system-x86_64", "-name", &guest, "-uuid", uuid];
        let status = format!(
            "<domstatus state='running' reason='booted' pid='{pid}'>\n\
             \x20 <domain type='kvm' id='1'>\n    <name>{name}</name>\n    <uuid>{uuid}</uuid>\n  </domain>\n\
             </domstatus>\n"
        );
        self.process(pid, "qemu-system-x86", &arguments, 100 + u64::from(pid))
            .file(&format!("run/libvirt/qemu/{name}.pid"), &pid.to_string())
            .file(&format!("run/libvirt/qemu/{name}.xml"), &status)
    }

    /// Takes a process away, as if it had died: what it had open is closed. What libvirt keeps of it stays.
    pub(crate) fn kill(&self, pid: u32) -> &Self {
        fs::remove_dir_all(self.at(format!("proc/{pid}"))).expect("there is such a process");
        self.kernel().settle();
        self
    }

    /// Takes away what libvirt keeps of a domain that runs.
    pub(crate) fn forget_domain(&self, name: &str) -> &Self {
        for end in ["pid", "xml"] {
            files::unlink(&self.at(format!("run/libvirt/qemu/{name}.{end}"))).expect("a run-time file");
        }
        self
    }

    /// Lets a process open an active device, as QEMU does: a write to its `remove` will now block.
    pub(crate) fn open_device(&self, pid: u32, uuid: &str) -> &Self {
        let group = self.group(uuid).expect("the device is active");
        let number = self.names(format!("proc/{pid}/fd")).len();
        self.link_text(&format!("proc/{pid}/fd/{number}"), "/dev/vfio/vfio")
            .link_text(
                &format!("proc/{pid}/fd/{}", number + 1),
                &format!("/dev/vfio/{group}"),
            )
            .link_text(
                &format!("proc/{pid}/fd/{}", number + 2),
                "anon_inode:[vfio-device]",
            )
    }

    /// Closes all that a process has open of VFIO; removals that waited for it come to their end.
    pub(crate) fn close_devices(&self, pid: u32) -> &Self {
        for number in self.names(format!("proc/{pid}/fd")) {
            let path = self.at(format!("proc/{pid}/fd/{number}"));
            if fs::read_link(&path).is_ok_and(|target| target.to_string_lossy().contains("vfio")) {
                fs::remove_file(path).expect("an open file");
            }
        }
        self.kernel().settle();
        self
    }

    /// The IOMMU group of an active device.
    pub(crate) fn group(&self, uuid: &str) -> Option<String> {
        files::link_name(&self.at(format!("sys/bus/mdev/devices/{uuid}/iommu_group")))
    }
}
