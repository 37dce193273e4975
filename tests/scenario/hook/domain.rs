//! A domain, and its XML as libvirt passes it to its hook.

use std::fmt::Write;

/// A domain and its mediated devices.
#[derive(Debug, Clone)]
pub(crate) struct Domain {
    pub(crate) name: String,
    pub(crate) uuid: String,
    devices: Vec<Device>,
    listed: Vec<(String, Option<String>)>,
    tuning: String,
}

#[derive(Debug, Clone)]
struct Device {
    uuid: String,
    model: &'static str,
    managed: &'static str,
}

impl Domain {
    /// A domain with no devices, whose UUID ends in this number.
    pub(crate) fn new(name: &str, number: u32) -> Self {
        Domain {
            name: name.to_owned(),
            uuid: format!("d0000000-0000-4000-8000-{number:012x}"),
            devices: Vec::new(),
            listed: Vec::new(),
            tuning: String::new(),
        }
    }

    /// With one device more, which the metadata lists.
    pub(crate) fn with(self, uuid: &str) -> Self {
        self.unmarked(uuid).listing(uuid)
    }

    /// With one device more that automdev is not asked for.
    pub(crate) fn unmarked(mut self, uuid: &str) -> Self {
        self.devices.push(Device {
            uuid: uuid.to_owned(),
            model: "vfio-pci",
            managed: "no",
        });
        self
    }

    /// With an entry of the metadata, be it a device of the domain or not.
    pub(crate) fn listing(mut self, uuid: &str) -> Self {
        self.listed.push((uuid.to_owned(), None));
        self
    }

    /// With one device more, of this pool.
    pub(crate) fn of_pool(self, uuid: &str, pool: &str) -> Self {
        let mut domain = self.unmarked(uuid);
        domain.listed.push((uuid.to_owned(), Some(pool.to_owned())));
        domain
    }

    /// With elements that say where it runs.
    pub(crate) fn tuned(mut self, tuning: &str) -> Self {
        tuning.clone_into(&mut self.tuning);
        self
    }

    /// With another interface for the device added last.
    pub(crate) fn model(mut self, model: &'static str) -> Self {
        self.devices.last_mut().expect("a device").model = model;
        self
    }

    /// With `managed='yes'` at the device added last.
    pub(crate) fn managed(mut self) -> Self {
        self.devices.last_mut().expect("a device").managed = "yes";
        self
    }

    /// How the ledger names it.
    pub(crate) fn claimant(&self) -> String {
        format!("domain-{}", self.uuid)
    }

    /// What libvirt writes to the hook.
    pub(crate) fn xml(&self) -> String {
        let name = self.name.replace('&', "&amp;").replace('<', "&lt;");
        let mut xml = format!(
            "<domain type='kvm'>\n  <name>{name}</name>\n  <uuid>{}</uuid>\n",
            self.uuid
        );
        let mut add = |text: String| xml.push_str(&text);
        if !self.listed.is_empty() {
            let mut list = String::new();
            for (uuid, pool) in &self.listed {
                let pool = pool
                    .as_ref()
                    .map_or(String::new(), |pool| format!(" pool=\"{pool}\""));
                writeln!(list, "      <automdev:mdev uuid=\"{uuid}\"{pool}/>").expect("a text grows");
            }
            add(format!(
                "  <metadata>\n    <automdev:devices xmlns:automdev=\"urn:automdev:domain:1\">\n{list}    \
                 </automdev:devices>\n  </metadata>\n"
            ));
        }
        add(self.tuning.clone());
        add("  <memory unit='KiB'>65536</memory>\n  <currentMemory unit='KiB'>65536</currentMemory>\n  \
             <vcpu placement='static'>1</vcpu>\n  <os>\n    <type arch='x86_64' machine='pc-q35-10.0'>hvm</type>\n    \
             <boot dev='hd'/>\n  </os>\n  <on_poweroff>destroy</on_poweroff>\n  <devices>\n    \
             <emulator>/usr/bin/qemu-system-x86_64</emulator>\n    \
             <controller type='pci' index='0' model='pcie-root'>\n      <alias name='pcie.0'/>\n    \
             </controller>\n"
            .to_owned());
        for (index, device) in self.devices.iter().enumerate() {
            let Device { uuid, model, managed } = device;
            let display = if *model == "vfio-pci" {
                " display='off'"
            } else {
                ""
            };
            add(format!(
                "    <hostdev mode='subsystem' type='mdev' managed='{managed}' model='{model}'{display}>\n      \
                 <source>\n        <address uuid='{uuid}'/>\n      </source>\n      \
                 <alias name='hostdev{index}'/>\n    </hostdev>\n"
            ));
        }
        add("    <memballoon model='none'/>\n  </devices>\n</domain>\n".to_owned());
        xml
    }
}
