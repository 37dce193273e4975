//! Makes domains from a seed: such as libvirt prints, and such as people write, with everything that XML allows
//! in places where nobody expects it.

use std::ops::Range;

use uuid::Uuid;

use super::random::Random;

/// What a hostdev asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Yes,
    No,
    Nothing,
}

/// A mediated device, as it was decided before it was written.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    /// 32 digits, lower case, with dashes.
    pub(crate) uuid: Option<String>,
    pub(crate) pool: Option<String>,
    pub(crate) wish: Wish,
}

/// An entry of the list, as it was decided before it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) uuid: String,
    pub(crate) pool: Option<String>,
}

/// A domain, decided and written.
#[derive(Debug, Clone)]
pub(crate) struct Generated {
    pub(crate) text: String,
    /// The text without what has to go, the list's entries aside: our attributes, and the slash of an empty
    /// element that must take something in.
    pub(crate) bared: String,
    /// The bytes of the entries in `bared`.
    pub(crate) entry_ranges: Vec<Range<usize>>,
    /// The bytes of the lists in `bared`: there may be two, of which libvirt would drop the second.
    pub(crate) lists: Vec<List>,
    pub(crate) devices: Vec<Device>,
    pub(crate) entries: Vec<Entry>,
    /// `uuid:…` or `name:…`.
    pub(crate) identity: String,
}

/// A list, as it was written.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) range: Range<usize>,
    /// Which of the entries it has.
    pub(crate) entries: Range<usize>,
}

const NAMESPACE: &str = "urn:automdev:domain:1";

struct Writer {
    random: Random,
    text: String,
    bared: String,
    line_end: &'static str,
    unit: &'static str,
    is_one_line: bool,
    entry_ranges: Vec<Range<usize>>,
    lists: Vec<List>,
}

/// Makes the domain of that seed.
pub(crate) fn generate(seed: u64) -> Generated {
    let mut random = Random::new(seed);
    let line_end = ["\n", "\n", "\n", "\r\n", "\r"][random.below(5)];
    let unit = ["  ", "  ", "    ", "\t", "", " "][random.below(6)];
    let is_one_line = random.once_in(6);
    let devices = devices(&mut random);
    let entries = entries(&mut random, &devices);
    let mut writer = Writer {
        random,
        text: String::new(),
        bared: String::new(),
        line_end,
        unit,
        is_one_line,
        entry_ranges: Vec::new(),
        lists: Vec::new(),
    };
    let identity = writer.domain(&devices, &entries);
    Generated {
        text: writer.text,
        bared: writer.bared,
        entry_ranges: writer.entry_ranges,
        lists: writer.lists,
        devices,
        entries,
        identity,
    }
}

fn uuid(number: usize) -> String {
    format!("ABCDEF{number:02x}-f1bb-47f0-914d-32a22e3a8804").to_lowercase()
}

/// The UUID of that name in the namespace of pools.
pub(crate) fn derive(name: &str) -> String {
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, NAMESPACE.as_bytes());
    Uuid::new_v5(&namespace, name.as_bytes()).to_string()
}

fn devices(random: &mut Random) -> Vec<Device> {
    let count = random.below(7);
    (0..count)
        .map(|number| {
            let pool = random
                .once_in(3)
                .then(|| random.pick(&["p", "q", "vgpu-4g.x_1"]).to_owned());
            let uuid = (pool.is_none() || random.once_in(4)).then(|| uuid(number));
            let wish = match random.below(4) {
                0 | 1 => Wish::Yes,
                2 if pool.is_none() => Wish::No,
                _ => Wish::Nothing,
            };
            Device { uuid, pool, wish }
        })
        .collect()
}

fn entries(random: &mut Random, devices: &[Device]) -> Vec<Entry> {
    if random.once_in(2) {
        return Vec::new();
    }
    let mut uuids: Vec<String> = devices.iter().filter_map(|device| device.uuid.clone()).collect();
    uuids.extend((0..random.below(3)).map(|number| uuid(100 + number)));
    // A device that is gone may have one that a pool's device would get.
    let taken = ["p/0/", "p/1/", "q/1/"].into_iter().flat_map(|start| {
        ["name:vm & 1", "uuid:11111111-2222-3333-4444-555555555555"]
            .map(|identity| derive(&[start, identity].concat()))
    });
    uuids.extend(taken);
    let keep = random.below(4);
    uuids.retain(|_| random.below(4) <= keep);
    uuids
        .into_iter()
        .map(|uuid| Entry {
            uuid,
            pool: random.once_in(3).then(|| random.pick(&["p", "r"]).to_owned()),
        })
        .collect()
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
        self.bared.push_str(text);
    }

    /// What has to go.
    fn put_extra(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// A new line of that level, perhaps with something else first.
    fn line(&mut self, level: usize) {
        if self.is_one_line {
            return;
        }
        if self.random.once_in(12) {
            let trailing = self.random.pick(&[" ", "\t ", " <!-- c -->", "<?p i?>"]);
            self.put(trailing);
        }
        if self.random.once_in(12) {
            self.put(self.line_end);
        }
        self.put(self.line_end);
        for _ in 0..level {
            self.put(self.unit);
        }
        if self.random.once_in(12) {
            let comment = self.random.pick(&[
                "<!-- <hostdev autocreate='yes'/> -->",
                "<!---->",
                "<?pi </metadata>?>",
            ]);
            self.put(comment);
            self.put(self.line_end);
            for _ in 0..level {
                self.put(self.unit);
            }
        }
    }

    /// An element of somebody else's.
    fn other(&mut self) {
        let other = self.random.pick(&[
            "<memory unit='KiB'>1</memory>",
            "<vcpu/>",
            "<os><type>hvm</type></os>",
            "<description><![CDATA[<metadata/> </domain> ]] > &]]></description>",
            "<x:y xmlns:x='urn:automdev:domain:1'><x:devices><x:mdev/></x:devices></x:y>",
            "<features>\u{e4} &lt; &#x41; \u{1f600}</features >",
            "<domain><devices><hostdev type='mdev' autocreate='yes'/></devices></domain>",
            "<a b=\"'\" c='\"' d='&gt;' e = '>'/>",
        ]);
        self.put(other);
    }

    fn domain(&mut self, devices: &[Device], entries: &[Entry]) -> String {
        if self.random.once_in(8) {
            self.put("\u{feff}");
        }
        if self.random.once_in(2) {
            let declaration = self.random.pick(&[
                "<?xml version='1.0'?>",
                "<?xml version=\"1.0\" encoding=\"utf-8\" ?>",
            ]);
            self.put(declaration);
            self.put(self.line_end);
        }
        if self.random.once_in(4) {
            self.put("<!-- WARNING: --><?x y?>");
            self.put(self.line_end);
        }
        let declared = self.random.once_in(4);
        let declaration = if declared {
            format!(" xmlns:root='{NAMESPACE}'")
        } else {
            String::new()
        };
        let more = self.random.pick(&[
            "",
            " type='kvm'",
            "\n id='1'",
            " xmlns:automdev='urn:somebody:else'",
        ]);
        self.put(&format!("<domain{declaration}{more}>"));
        let identity = self.names();
        for _ in 0..self.random.below(2) {
            self.line(1);
            self.other();
        }
        let wants_list = devices
            .iter()
            .any(|device| device.wish == Wish::Yes || device.pool.is_some());
        self.metadata(entries, declared, wants_list);
        for _ in 0..self.random.below(3) {
            self.line(1);
            self.other();
        }
        self.line(1);
        self.put("<devices>");
        for device in devices {
            self.line(2);
            self.hostdev(device);
            if self.random.once_in(3) {
                self.line(2);
                let other = self.random.pick(&[
                    "<disk autocreate='yes'><source pool='x'/></disk>",
                    "<hostdev type='pci'><source/></hostdev>",
                    "<x:hostdev xmlns:x='u' type='mdev' autocreate='yes'/>",
                    "<!-- <hostdev type='mdev' autocreate='yes'/> -->",
                ]);
                self.put(other);
            }
        }
        self.line(1);
        self.put("</devices>");
        self.line(0);
        self.put("</domain>");
        if self.random.once_in(2) {
            self.put(self.line_end);
            self.put("<!-- after -->");
        }
        identity
    }

    /// The domain's names, and what they make it.
    fn names(&mut self) -> String {
        let has_uuid = self.random.once_in(2);
        let mut parts = vec!["<name>vm &amp; <!-- - -->1</name>", "<title>t</title>"];
        if has_uuid {
            parts.push("<uuid> 11111111222233334444555555555555 </uuid>");
        }
        if self.random.once_in(3) {
            parts.reverse();
        }
        for part in parts {
            self.line(1);
            self.put(part);
        }
        if has_uuid {
            "uuid:11111111-2222-3333-4444-555555555555".to_owned()
        } else {
            "name:vm & 1".to_owned()
        }
    }

    fn metadata(&mut self, entries: &[Entry], root_declared: bool, wants_list: bool) {
        if entries.is_empty() && self.random.once_in(2) {
            return;
        }
        self.line(1);
        if entries.is_empty() && self.random.once_in(2) {
            let empty = self.random.pick(&[
                "<metadata/>",
                "<metadata />",
                "<metadata></metadata>",
                "<metadata> </metadata >",
                "<metadata>\n  </metadata>",
                "<metadata xmlns:m='urn:automdev:domain:1'/>",
            ]);
            match empty.strip_suffix("/>") {
                Some(open) if wants_list => {
                    self.put(open);
                    self.put_extra("/");
                    self.put(">");
                }
                _ => self.put(empty),
            }
            return;
        }
        let declared = self.random.once_in(4);
        let declaration = format!(" xmlns:m=\"{NAMESPACE}\"");
        self.put("<metadata");
        if declared {
            self.put(&declaration);
        }
        self.put(">");
        self.others_metadata();
        if !entries.is_empty() {
            let first = if self.random.once_in(5) {
                self.random.below(entries.len() + 1)
            } else {
                entries.len()
            };
            self.line(2);
            self.list(&entries[..first], root_declared, declared);
            self.others_metadata();
            if first < entries.len() {
                self.line(2);
                self.list(&entries[first..], root_declared, declared);
            }
        }
        self.line(1);
        self.put("</metadata>");
    }

    fn others_metadata(&mut self) {
        for _ in 0..self.random.below(2) {
            self.line(2);
            let other = self.random.pick(&[
                "<a xmlns='u'><devices><mdev uuid='0'/></devices></a>",
                "<automdev:devices xmlns:automdev='urn:automdev:domain:2'/>",
                "<l:l xmlns:l='l'>\n text <l:m/></l:l>",
            ]);
            self.put(other);
        }
    }

    fn list(&mut self, entries: &[Entry], root_declared: bool, metadata_declared: bool) {
        let (prefix, declaration) = match self.random.below(4) {
            0 if root_declared => ("root:", String::new()),
            1 if metadata_declared => ("m:", String::new()),
            2 => ("", format!(" xmlns='{NAMESPACE}'")),
            _ => ("automdev:", format!("\n  xmlns:automdev = \"{NAMESPACE}\" ")),
        };
        let start = self.bared.len();
        self.put(&format!("<{prefix}devices{declaration}>"));
        for entry in entries {
            self.line(3);
            let uuid = self.spelled(&entry.uuid);
            let pool = entry
                .pool
                .as_ref()
                .map(|pool| format!("pool='{pool}'"))
                .unwrap_or_default();
            let uuid = format!("uuid=\"{uuid}\"");
            let (one, other) = if self.random.once_in(2) {
                (uuid, pool)
            } else {
                (pool, uuid)
            };
            let end = self.random.pick(&["/>", " />"]);
            let start = self.bared.len();
            if self.random.once_in(4) {
                self.put(&format!("<{prefix}mdev {one} {other}></{prefix}mdev>"));
            } else {
                self.put(&format!("<{prefix}mdev {one} {other}{end}"));
            }
            self.entry_ranges.push(start..self.bared.len());
        }
        self.line(2);
        self.put(&format!("</{prefix}devices>"));
        self.lists.push(List {
            range: start..self.bared.len(),
            entries: self.entry_ranges.len() - entries.len()..self.entry_ranges.len(),
        });
    }

    /// One of the ways to write a UUID.
    fn spelled(&mut self, uuid: &str) -> String {
        match self.random.below(5) {
            0 => uuid.to_uppercase(),
            1 => uuid.replace('-', ""),
            2 => uuid.replacen('a', "&#97;", 1),
            _ => uuid.to_owned(),
        }
    }

    fn hostdev(&mut self, device: &Device) {
        let autocreate = match device.wish {
            Wish::Yes => Some("yes"),
            Wish::No => Some("no"),
            Wish::Nothing => None,
        };
        let autocreate = autocreate.map(|value| {
            let space = self.random.pick(&[" ", "\n\t\t", "  "]);
            let equals = self.random.pick(&["=", " = ", "\n="]);
            let quote = self.random.pick(&["'", "\""]);
            let value = if self.random.once_in(6) {
                value.replace('o', "&#111;").replace('e', "&#x65;")
            } else {
                value.to_owned()
            };
            format!("{space}autocreate{equals}{quote}{value}{quote}")
        });
        let place = self.random.below(4);
        self.put("<hostdev");
        for (number, attribute) in ["mode='subsystem'", "type=\"mdev\"", "model='vfio-pci'", ""]
            .into_iter()
            .enumerate()
        {
            if number == place {
                if let Some(autocreate) = &autocreate {
                    self.put_extra(autocreate);
                }
            }
            let space = self.random.pick(&[" ", "\n\t"]);
            self.put(space);
            self.put(attribute);
        }
        self.put(">");
        self.line(3);
        self.source(device);
        if self.random.once_in(4) {
            self.line(3);
            self.put("<address type='pci' uuid='not ours'/>");
        }
        self.line(2);
        self.put("</hostdev>");
    }

    fn source(&mut self, device: &Device) {
        self.put("<source");
        if let Some(pool) = &device.pool {
            let quote = self.random.pick(&["'", "\""]);
            self.put_extra(&format!(" pool={quote}{pool}{quote}"));
        }
        match &device.uuid {
            None => {
                let end =
                    self.random
                        .pick(&["/>", " />", "></source>", "> </source>", "><!-- any --></source>"]);
                let (before, slash) = end
                    .strip_suffix("/>")
                    .map_or((end, false), |before| (before, true));
                self.put(before);
                if slash {
                    self.put_extra("/");
                    self.put(">");
                }
            }
            Some(uuid) => {
                self.put(">");
                self.line(4);
                let uuid = self.spelled(uuid);
                let address = self.random.pick(&["<address uuid='", "<address\n  uuid = '"]);
                self.put(address);
                self.put(&uuid);
                let end = self.random.pick(&["'/>", "' ></address >"]);
                self.put(end);
                self.line(3);
                self.put("</source>");
            }
        }
    }
}
