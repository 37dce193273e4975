//! What rewriting should make of a generated domain, said without the code that does it: from what was decided
//! before the text was written.

use std::collections::BTreeSet;

use roxmltree::{Document, Node};
use uuid::Uuid;

use super::generate::{Device, Entry, Generated, Wish, derive};

const NAMESPACE: &str = "urn:automdev:domain:1";

/// What has to come out.
pub(crate) struct Expected {
    /// The UUID of each device, in the document's order.
    pub(crate) devices: Vec<String>,
    /// The list.
    pub(crate) entries: BTreeSet<Entry>,
    /// Whether the text stays as it is.
    pub(crate) is_same: bool,
}

pub(crate) fn expect(domain: &Generated) -> Expected {
    let mut used: BTreeSet<String> = domain
        .devices
        .iter()
        .filter_map(|device| device.uuid.clone())
        .chain(domain.entries.iter().map(|entry| entry.uuid.clone()))
        .collect();
    let mut devices = Vec::new();
    let mut entries: BTreeSet<Entry> = domain.entries.iter().cloned().collect();
    for device in &domain.devices {
        let uuid = match (&device.uuid, &device.pool) {
            (Some(uuid), _) => uuid.clone(),
            (None, Some(pool)) => {
                let free = (0..).map(|ordinal| derive(&format!("{pool}/{ordinal}/{}", domain.identity)));
                let free = free.into_iter().find(|uuid| used.insert(uuid.clone()));
                free.expect("there are enough")
            }
            (None, None) => panic!("{device:?}"),
        };
        let listed = entries.iter().find(|entry| entry.uuid == uuid).cloned();
        let is_wanted = device.wish == Wish::Yes || device.pool.is_some();
        if device.wish == Wish::No || is_wanted {
            entries.retain(|entry| entry.uuid != uuid);
        }
        if is_wanted {
            entries.insert(Entry {
                uuid: uuid.clone(),
                pool: device.pool.clone().or(listed.and_then(|entry| entry.pool)),
            });
        }
        devices.push(uuid);
    }
    let says = |device: &Device| device.wish != Wish::Nothing || device.pool.is_some();
    Expected {
        devices,
        entries,
        is_same: !domain.devices.iter().any(says) && domain.lists.len() < 2,
    }
}

fn is_list(node: Node<'_, '_>) -> bool {
    node.tag_name().namespace() == Some(NAMESPACE)
        && node.tag_name().name() == "devices"
        && path(node) == ["domain", "metadata", "devices"]
}

fn is_hostdev(node: Node<'_, '_>) -> bool {
    path(node) == ["domain", "devices", "hostdev"] && node.attribute("type") == Some("mdev")
}

fn path<'a>(node: Node<'a, '_>) -> Vec<&'a str> {
    let mut path: Vec<&str> = node
        .ancestors()
        .filter(Node::is_element)
        .map(|node| node.tag_name().name())
        .collect();
    path.reverse();
    path
}

/// The UUIDs of the devices of a text, and its list.
pub(crate) fn look(text: &str) -> (Vec<String>, Vec<Entry>) {
    let document = Document::parse(text).expect(text);
    let canonical = |uuid: &str| Uuid::try_parse(uuid.trim()).expect(uuid).to_string();
    let mut devices = Vec::new();
    let mut entries = Vec::new();
    for node in document.descendants().filter(Node::is_element) {
        if is_hostdev(node) && node.tag_name().namespace().is_none() {
            let address = node
                .descendants()
                .find(|inner| path(*inner).ends_with(&["source", "address"]));
            let uuid = address.and_then(|address| address.attribute("uuid")).expect(text);
            devices.push(canonical(uuid));
        }
        if is_list(node) {
            entries.extend(node.children().filter(Node::is_element).map(|entry| {
                assert_eq!(entry.tag_name(), (NAMESPACE, "mdev").into());
                Entry {
                    uuid: canonical(entry.attribute("uuid").expect(text)),
                    pool: entry.attribute("pool").map(str::to_owned),
                }
            }));
        }
    }
    (devices, entries)
}

/// The tree without what rewriting is about: our attributes, the addresses of devices, the list, the metadata that
/// has nothing else, and white space next to where these may be.
pub(crate) fn rest(text: &str) -> Vec<String> {
    let document = Document::parse(text).expect(text);
    let mut lines = Vec::new();
    // Not recursive, and the depth is told, so that this is the whole tree.
    for node in document.descendants() {
        let inside = |what: fn(Node<'_, '_>) -> bool| node.ancestors().any(what);
        let depth = node.ancestors().count();
        if inside(|node| node.is_element() && is_list(node)) || inside(is_address) {
            continue;
        }
        if node.is_text() {
            // A text that something was inserted into is two, and its white space has moved.
            let said = node.text().unwrap_or_default().trim();
            if !said.is_empty() {
                lines.push(format!("{depth} text {said:?}"));
            }
        } else if node.is_element() {
            if path(node) == ["domain", "metadata"] && !has_others(node) {
                continue;
            }
            let attributes: Vec<String> = node
                .attributes()
                .filter(|attribute| !is_ours(node, attribute.name()))
                .map(|a| format!("{:?} {} {:?}", a.namespace(), a.name(), a.value()))
                .collect();
            lines.push(format!("{depth} {:?} {attributes:?}", node.tag_name()));
        } else {
            lines.push(format!("{depth} {node:?}"));
        }
    }
    lines
}

fn is_ours(node: Node<'_, '_>, attribute: &str) -> bool {
    let is_source = node.parent().is_some_and(is_hostdev) && node.tag_name().name() == "source";
    is_hostdev(node) && attribute == "autocreate" || is_source && attribute == "pool"
}

fn is_address(node: Node<'_, '_>) -> bool {
    path(node) == ["domain", "devices", "hostdev", "source", "address"]
}

fn has_others(metadata: Node<'_, '_>) -> bool {
    metadata
        .children()
        .any(|child| !(child.is_text() || child.is_element() && is_list(child)))
}
