//! A libvirt domain as far as it is about mediated devices: which it has, and which of them are *marked*,
//! that is, to be made by automdev.
//!
//! The marks come in two forms. People write `autocreate='yes'` on the hostdev; libvirt drops an attribute
//! that it does not know, so what it keeps is a list under `<metadata>`, in the namespace [`NAMESPACE`]:
//!
//! ```xml
//! <automdev:devices xmlns:automdev="urn:automdev:domain:1">
//!   <automdev:mdev uuid="c2177883-f1bb-47f0-914d-32a22e3a8804"/>
//! </automdev:devices>
//! ```
//!
//! An explicit attribute wins over the list. The elements are those of libvirt's formatdomain, "Host device
//! assignment".

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use roxmltree::{Document, Node, ParsingOptions};
use serde::Deserialize;

use super::fault::{Fault, Place};
use super::names::{DomainUuid, MdevUuid, PoolName, Shown};

/// The namespace of our element under `<metadata>`.
pub const NAMESPACE: &str = "urn:automdev:domain:1";

/// The most that a domain's XML may be, in bytes.
pub const MOST_BYTES: usize = 8 << 20;

/// So many faults are told at a time; who has more than that has the wrong file.
pub const MOST_FAULTS: usize = 100;

/// A domain, as far as it is about mediated devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its name; empty where the XML has none.
    pub name: String,
    /// Its UUID; libvirt makes one up at definition where the XML has none.
    pub uuid: Option<DomainUuid>,
    /// Its mediated devices, in the document's order.
    pub hostdevs: Vec<Hostdev>,
    /// Entries of the list that are no hostdev of this domain (one that was unplugged, say).
    pub stray: Vec<MdevUuid>,
}

/// A `<hostdev type='mdev'>` of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hostdev {
    /// Which device.
    pub source: Source,
    /// The device's interface to the guest.
    pub model: Model,
    /// Whether the domain asks automdev to make it.
    pub mark: Mark,
    /// Whether it says `managed='yes'`, which libvirt keeps and ignores on mediated devices.
    pub managed: bool,
    /// The byte at which the element starts.
    pub offset: usize,
}

/// Which device a hostdev is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The one of this UUID.
    Uuid(MdevUuid),
    /// One of this pool, not yet given a UUID (only before `automdev rewrite`).
    Pool(PoolName),
    /// One of this pool, under this UUID.
    PoolAs(PoolName, MdevUuid),
}

impl Source {
    /// The device's UUID, where it has one yet.
    #[must_use]
    pub fn uuid(&self) -> Option<MdevUuid> {
        match self {
            Source::Uuid(uuid) | Source::PoolAs(_, uuid) => Some(*uuid),
            Source::Pool(_) => None,
        }
    }
}

/// Whether the domain asks automdev to make a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// `autocreate='no'`.
    No,
    /// Neither the attribute nor the list says anything.
    Absent,
    /// `autocreate='yes'`, or the list under `<metadata>` has it.
    Yes,
}

/// Which hostdevs count as marked: the setting `select`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Select {
    /// Those that the domain marks.
    #[default]
    Marked,
    /// Also those with `managed='yes'`.
    Managed,
    /// All whose UUID has a definition.
    Defined,
}

/// A device's interface to the guest: the hostdev's `model`, the type's `device_api`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Model {
    /// A PCI function.
    VfioPci,
    /// An s390 channel device.
    VfioCcw,
    /// An s390 crypto adapter.
    VfioAp,
}

impl Model {
    /// All models.
    pub const ALL: [Model; 3] = [Model::VfioPci, Model::VfioCcw, Model::VfioAp];

    /// As libvirt's XML and the kernel's `device_api` say it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Model::VfioPci => "vfio-pci",
            Model::VfioCcw => "vfio-ccw",
            Model::VfioAp => "vfio-ap",
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Domain {
    /// Reads a domain's XML.
    ///
    /// # Errors
    /// All that is wrong with it, in the document's order; never empty.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let document = parse_document(text)?;
        Reader {
            document: &document,
            faults: Vec::new(),
        }
        .read()
    }
}

/// Reads the XML of a domain into a tree, refusing what no domain of libvirt's is: a document type, another
/// encoding than UTF-8, another root element.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse_document(text: &str) -> Result<Document<'_>, Vec<Fault>> {
    if text.len() > MOST_BYTES {
        let message = format!("the XML is larger than {} MiB", MOST_BYTES >> 20);
        return Err(vec![Fault::at(text, MOST_BYTES, message)]);
    }
    if text.trim().is_empty() {
        return Err(vec![Fault::at(text, 0, "there is no XML, only an empty text")]);
    }
    check_encoding(text)?;
    let options = ParsingOptions {
        allow_dtd: false,
        ..ParsingOptions::default()
    };
    let document =
        Document::parse_with_options(text, options).map_err(|error| vec![fault_of(text, &error)])?;
    let root = document.root_element();
    if root.has_tag_name("domain") {
        Ok(document)
    } else {
        let message = format!("the root element is <{}>, not <domain>", root.tag_name().name());
        Err(vec![Fault::at(text, root.range().start, message)])
    }
}

fn fault_of(text: &str, error: &roxmltree::Error) -> Fault {
    let place = error.pos();
    let place = Place {
        line: place.row,
        column: place.col,
    };
    let message = match error {
        roxmltree::Error::DtdDetected => "a document type may not be in a domain's XML".to_owned(),
        // Its text ends in the place, which the fault says already.
        other => {
            let message = other.to_string();
            let message = message
                .rsplit_once(" at ")
                .map_or(message.as_str(), |(message, _)| message)
                .to_owned();
            format!("the XML is not well-formed: {message}")
        }
    };
    let end = Place::of_offset(text, text.len());
    Fault {
        place: if place > end { end } else { place },
        message,
    }
}

/// The text is UTF-8 by now, so a declaration that says something else is wrong, whatever it says.
fn check_encoding(text: &str) -> Result<(), Vec<Fault>> {
    let Some(declaration) = text.trim_start_matches('\u{feff}').strip_prefix("<?xml") else {
        return Ok(());
    };
    let declaration = declaration
        .split_once("?>")
        .map_or("", |(declaration, _)| declaration);
    let Some((_, value)) = declaration.split_once("encoding") else {
        return Ok(());
    };
    let value = value
        .trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '=')
        .trim_start();
    let Some(quote) = value.chars().next().filter(|quote| "'\"".contains(*quote)) else {
        return Ok(());
    };
    let encoding = value[1..].split(quote).next().unwrap_or_default();
    if encoding.eq_ignore_ascii_case("utf-8") || encoding.eq_ignore_ascii_case("us-ascii") {
        return Ok(());
    }
    let offset = text.find(encoding).unwrap_or_default();
    Err(vec![Fault::at(
        text,
        offset,
        format!("the encoding is {}, not UTF-8", Shown(encoding)),
    )])
}

/// The first child element of that name, in no namespace.
#[must_use]
pub fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.has_tag_name(name))
}

/// Whether the element is a hostdev that gives a mediated device.
#[must_use]
pub fn is_mdev_hostdev(node: Node<'_, '_>) -> bool {
    node.has_tag_name("hostdev") && node.attribute("type") == Some("mdev")
}

/// The mark that an `autocreate` attribute says, where there is one.
///
/// # Errors
/// The value is neither `yes` nor `no`.
pub fn read_autocreate(node: Node<'_, '_>) -> Result<Option<bool>, Fault> {
    let Some(attribute) = node.attribute_node("autocreate") else {
        return Ok(None);
    };
    match attribute.value() {
        "yes" => Ok(Some(true)),
        "no" => Ok(Some(false)),
        other => {
            let message = format!("autocreate is \"yes\" or \"no\", not {}", Shown(other));
            Err(Fault::at(
                node.document().input_text(),
                attribute.range_value().start,
                message,
            ))
        }
    }
}

/// An entry of the list under `<metadata>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The device.
    pub uuid: MdevUuid,
    /// The pool that it is taken from.
    pub pool: Option<PoolName>,
}

/// Reads the list under `<metadata>`, adding to `faults` what is wrong with it.
pub fn read_list(domain: Node<'_, '_>, faults: &mut Vec<Fault>) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut seen = BTreeSet::new();
    let ours = |node: &Node<'_, '_>| node.tag_name().namespace() == Some(NAMESPACE);
    let lists = child(domain, "metadata")
        .into_iter()
        .flat_map(|metadata| metadata.children().filter(ours));
    for list in lists {
        if list.tag_name().name() != "devices" {
            faults.push(newer(
                list,
                &format!("the element {}", Shown(list.tag_name().name())),
            ));
            continue;
        }
        for attribute in list.attributes() {
            if attribute
                .namespace()
                .is_none_or(|namespace| namespace == NAMESPACE)
            {
                faults.push(newer(list, &format!("the attribute {}", Shown(attribute.name()))));
            }
        }
        for entry in list.children().filter(ours) {
            match read_entry(entry) {
                Ok(entry) if seen.insert(entry.uuid) => entries.push(entry),
                Ok(_) => {}
                Err(fault) if faults.len() < MOST_FAULTS => faults.push(fault),
                Err(_) => return entries,
            }
        }
    }
    entries
}

fn read_entry(node: Node<'_, '_>) -> Result<Entry, Fault> {
    let text = node.document().input_text();
    if node.tag_name().name() != "mdev" {
        return Err(newer(
            node,
            &format!("the element {}", Shown(node.tag_name().name())),
        ));
    }
    let (mut uuid, mut pool) = (None, None);
    for attribute in node.attributes() {
        let at = attribute.range_value().start;
        match (attribute.namespace(), attribute.name()) {
            (None, "uuid") => uuid = Some(read_name(text, at, attribute.value())?),
            (None, "pool") => pool = Some(read_name(text, at, attribute.value())?),
            (None | Some(NAMESPACE), name) => {
                return Err(newer(node, &format!("the attribute {}", Shown(name))));
            }
            _ => {}
        }
    }
    let uuid = uuid.ok_or_else(|| Fault::at(text, node.range().start, "this entry has no uuid"))?;
    Ok(Entry { uuid, pool })
}

fn newer(node: Node<'_, '_>, what: &str) -> Fault {
    let message = format!("{what} of {NAMESPACE} is not known here: this domain needs a newer automdev");
    Fault::at(node.document().input_text(), node.range().start, message)
}

/// Reads a name that stands at the byte `offset`.
fn read_name<T: std::str::FromStr>(text: &str, offset: usize, value: &str) -> Result<T, Fault>
where
    T::Err: fmt::Display,
{
    value
        .parse()
        .map_err(|error: T::Err| Fault::at(text, offset, error.to_string()))
}

struct Reader<'a, 'input> {
    document: &'a Document<'input>,
    faults: Vec<Fault>,
}

impl Reader<'_, '_> {
    fn read(mut self) -> Result<Domain, Vec<Fault>> {
        let domain = self.document.root_element();
        let uuid = child(domain, "uuid").and_then(|node| {
            let text = node.text().unwrap_or_default();
            let offset = node
                .first_child()
                .map_or(node.range().start, |text| text.range().start);
            self.keep(read_name(self.document.input_text(), offset, text))
        });
        let list = read_list(domain, &mut self.faults);
        let mut hostdevs: Vec<Hostdev> = Vec::new();
        let mut seen = BTreeSet::new();
        let pools: BTreeMap<MdevUuid, &Entry> = list.iter().map(|entry| (entry.uuid, entry)).collect();
        let devices = child(domain, "devices");
        for node in devices.iter().flat_map(Node::children).filter(Node::is_element) {
            if self.faults.len() >= MOST_FAULTS {
                break;
            }
            let read = self.read_hostdev(node, &pools);
            let Some(Some(hostdev)) = self.keep(read) else {
                continue;
            };
            if let Some(uuid) = hostdev.source.uuid()
                && !seen.insert(uuid)
            {
                let message = format!("the device {uuid} is in this domain twice");
                self.faults
                    .push(Fault::at(self.document.input_text(), hostdev.offset, message));
            }
            hostdevs.push(hostdev);
        }
        if !self.faults.is_empty() {
            self.faults.sort_by_key(|fault| fault.place);
            return Err(self.faults);
        }
        let stray = list
            .iter()
            .map(|entry| entry.uuid)
            .filter(|uuid| !seen.contains(uuid))
            .collect();
        let name = child(domain, "name")
            .and_then(|name| name.text())
            .unwrap_or_default()
            .to_owned();
        Ok(Domain {
            name,
            uuid,
            hostdevs,
            stray,
        })
    }

    fn keep<T>(&mut self, read: Result<T, Fault>) -> Option<T> {
        read.map_err(|fault| self.faults.push(fault)).ok()
    }

    /// Reads a device's element; nothing where it is no mediated device.
    fn read_hostdev(
        &self,
        node: Node<'_, '_>,
        list: &BTreeMap<MdevUuid, &Entry>,
    ) -> Result<Option<Hostdev>, Fault> {
        let text = self.document.input_text();
        let autocreate = read_autocreate(node)?;
        if !is_mdev_hostdev(node) {
            return match node.attribute_node("autocreate") {
                Some(attribute) if node.has_tag_name("hostdev") => {
                    let message = "autocreate is for mediated devices (type=\"mdev\") only";
                    Err(Fault::at(text, attribute.range().start, message))
                }
                _ => Ok(None),
            };
        }
        let (source, mark) = self.read_source(node, autocreate, list)?;
        let model = node.attribute_node("model").ok_or_else(|| {
            Fault::at(
                text,
                node.range().start,
                "this mediated device has no model (vfio-pci, say)",
            )
        })?;
        let model = Model::ALL
            .into_iter()
            .find(|known| known.as_str() == model.value())
            .ok_or_else(|| {
                let message = format!(
                    "the model is vfio-pci, vfio-ccw or vfio-ap, not {}",
                    Shown(model.value())
                );
                Fault::at(text, model.range_value().start, message)
            })?;
        Ok(Some(Hostdev {
            source,
            model,
            mark,
            managed: node.attribute("managed") == Some("yes"),
            offset: node.range().start,
        }))
    }

    fn read_source(
        &self,
        node: Node<'_, '_>,
        autocreate: Option<bool>,
        list: &BTreeMap<MdevUuid, &Entry>,
    ) -> Result<(Source, Mark), Fault> {
        let text = self.document.input_text();
        let start = node.range().start;
        let source = child(node, "source")
            .ok_or_else(|| Fault::at(text, start, "this mediated device has no <source>"))?;
        let uuid = match child(source, "address").and_then(|address| address.attribute_node("uuid")) {
            Some(uuid) => Some(read_name::<MdevUuid>(
                text,
                uuid.range_value().start,
                uuid.value(),
            )?),
            None => None,
        };
        let pool = match source.attribute_node("pool") {
            Some(pool) => Some(read_name::<PoolName>(
                text,
                pool.range_value().start,
                pool.value(),
            )?),
            None => None,
        };
        let entry = uuid.and_then(|uuid| list.get(&uuid));
        let mark = match (autocreate, entry) {
            (Some(false), _) => Mark::No,
            (Some(true), _) | (None, Some(_)) => Mark::Yes,
            // A pool's device exists only once it is made: naming the pool is asking for it.
            (None, None) if pool.is_some() => Mark::Yes,
            (None, None) => Mark::Absent,
        };
        if pool.is_some() && mark == Mark::No {
            let message = "a pool's device is always made for the domain: autocreate cannot be \"no\" here";
            return Err(Fault::at(text, start, message));
        }
        let pool = pool.or_else(|| {
            entry
                .and_then(|entry| entry.pool.clone())
                .filter(|_| mark == Mark::Yes)
        });
        let source = match (pool, uuid) {
            (Some(pool), Some(uuid)) => Source::PoolAs(pool, uuid),
            (Some(pool), None) => Source::Pool(pool),
            (None, Some(uuid)) => Source::Uuid(uuid),
            (None, None) => {
                return Err(Fault::at(
                    text,
                    start,
                    "this mediated device names neither a uuid nor a pool",
                ));
            }
        };
        Ok((source, mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
    const B: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

    fn domain(metadata: &str, devices: &str) -> String {
        format!(
            "<domain type='kvm'>\n<name>vm</name>\n{metadata}\n<devices>\n{devices}\n</devices>\n</domain>\n"
        )
    }

    fn list(entries: &str) -> String {
        format!("<metadata><a:devices xmlns:a='{NAMESPACE}'>{entries}</a:devices></metadata>")
    }

    fn hostdev(attributes: &str, source: &str) -> String {
        format!(
            "<hostdev mode='subsystem' type='mdev' model='vfio-pci' {attributes}><source{source}</hostdev>"
        )
    }

    fn address(uuid: &str) -> String {
        format!("><address uuid='{uuid}'/></source>")
    }

    fn marks(text: &str) -> Vec<Mark> {
        Domain::parse(text)
            .expect(text)
            .hostdevs
            .iter()
            .map(|hostdev| hostdev.mark)
            .collect()
    }

    #[test]
    fn the_attribute_wins_over_the_list() {
        let listed = list(&format!("<a:mdev uuid='{A}'/>"));
        for (metadata, attribute, mark) in [
            ("", "", Mark::Absent),
            ("", "autocreate='yes'", Mark::Yes),
            ("", "autocreate='no'", Mark::No),
            (listed.as_str(), "", Mark::Yes),
            (listed.as_str(), "autocreate='yes'", Mark::Yes),
            (listed.as_str(), "autocreate='no'", Mark::No),
        ] {
            let text = domain(metadata, &hostdev(attribute, &address(&A.to_uppercase())));
            assert_eq!(marks(&text), [mark], "{text}");
        }
    }

    #[test]
    fn a_pool_is_read_from_the_source_and_from_the_list() {
        let raw = domain("", &hostdev("autocreate='yes'", " pool='p'/>"));
        let pool: PoolName = "p".parse().expect("a name");
        assert_eq!(
            Domain::parse(&raw).expect("good").hostdevs[0].source,
            Source::Pool(pool.clone())
        );
        let lowered = domain(
            &list(&format!("<a:mdev uuid='{A}' pool='p'/>")),
            &hostdev("", &address(A)),
        );
        let uuid = A.parse().expect("a uuid");
        assert_eq!(
            Domain::parse(&lowered).expect("good").hostdevs[0].source,
            Source::PoolAs(pool, uuid)
        );
    }

    #[test]
    fn an_entry_without_its_hostdev_is_stray() {
        let text = domain(
            &list(&format!("<a:mdev uuid='{A}'/><a:mdev uuid='{B}'/>")),
            &hostdev("", &address(B)),
        );
        let read = Domain::parse(&text).expect("good");
        assert_eq!(read.stray, [A.parse().expect("a uuid")]);
        assert_eq!(read.hostdevs.len(), 1);
    }

    #[test]
    fn other_devices_and_other_peoples_metadata_are_left_alone() {
        let text = domain(
            "<metadata><x:devices xmlns:x='urn:other'><x:mdev future='1'/></x:devices></metadata>",
            "<disk/><hostdev mode='subsystem' type='pci'><source/></hostdev>",
        );
        assert_eq!(Domain::parse(&text).map(|domain| domain.hostdevs), Ok(Vec::new()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let one = |attributes: &str, source: &str| domain("", &hostdev(attributes, source));
        for (text, line, message) in [
            (String::new(), 1, "no XML"),
            ("<domain>".to_owned(), 1, "not well-formed"),
            ("<network/>".to_owned(), 1, "not <domain>"),
            (
                "<!DOCTYPE domain [<!ENTITY a 'b'>]>\n<domain/>".to_owned(),
                1,
                "document type",
            ),
            (
                "<?xml version='1.0' encoding='latin1'?>\n<domain/>".to_owned(),
                1,
                "not UTF-8",
            ),
            (one("autocreate='maybe'", &address(A)), 5, "not \"maybe\""),
            (one("autocreate='no'", " pool='p'/>"), 5, "cannot be \"no\""),
            (one("", " pool='../p'/>"), 5, "not a pool's name"),
            (one("", "/>"), 5, "neither a uuid nor a pool"),
            (one("", &address("12")), 5, "not a UUID"),
            (
                domain(
                    "",
                    &format!("{}\n{}", hostdev("", &address(A)), hostdev("", &address(A))),
                ),
                6,
                "twice",
            ),
            (
                domain("", "<hostdev type='pci' autocreate='yes'/>"),
                5,
                "mediated devices",
            ),
            (domain("", "<hostdev type='mdev'/>"), 5, "no <source>"),
            (
                one("", &address(A)).replace("vfio-pci", "vfio-x"),
                5,
                "not \"vfio-x\"",
            ),
            (domain(&list("<a:mdev/>"), ""), 3, "no uuid"),
            (
                domain(&list(&format!("<a:mdev uuid='{A}' colour='red'/>")), ""),
                3,
                "newer automdev",
            ),
            (domain(&list("<a:gpu/>"), ""), 3, "newer automdev"),
            (
                domain(&format!("<metadata><gpus xmlns='{NAMESPACE}'/></metadata>"), ""),
                3,
                "newer automdev",
            ),
        ] {
            let faults = Domain::parse(&text).expect_err(&text);
            assert_eq!(faults[0].place.line, line, "{text}: {faults:?}");
            assert!(faults[0].message.contains(message), "{text}: {faults:?}");
        }
    }

    #[test]
    fn all_faults_are_told() {
        let bad = hostdev("autocreate='maybe'", &address(A));
        let faults = Domain::parse(&domain("", &format!("{bad}\n{bad}"))).expect_err("both are wrong");
        assert_eq!(
            faults.iter().map(|fault| fault.place.line).collect::<Vec<_>>(),
            [5, 6]
        );
    }

    #[test]
    fn deep_nesting_is_read_or_refused_without_a_crash() {
        let deep = domain(
            "",
            &format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000)),
        );
        let _: Result<Domain, Vec<Fault>> = Domain::parse(&deep);
    }
}
