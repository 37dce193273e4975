//! The list under `<metadata>`.

use std::collections::BTreeSet;

use roxmltree::Node;

use super::super::fault::Faults;
use super::super::names::{MdevUuid, PoolName, Shown};
use super::NAMESPACE;
use super::read::read_name;
use super::xml::{attribute, child};

/// An entry of the list.
#[derive(Debug, Clone)]
pub(crate) struct ListEntry<'a, 'input> {
    /// The device.
    pub(crate) uuid: MdevUuid,
    /// The pool that it is taken from.
    pub(crate) pool: Option<PoolName>,
    /// Its element.
    pub(crate) node: Node<'a, 'input>,
}

/// The list. There should be one element of our namespace, as libvirt keeps no more than one of each; what
/// further ones say is taken in all the same.
#[derive(Debug, Default)]
pub(crate) struct List<'a, 'input> {
    /// Its elements, in the document's order.
    pub(crate) elements: Vec<ListElement<'a, 'input>>,
}

/// An element `devices`.
#[derive(Debug)]
pub(crate) struct ListElement<'a, 'input> {
    /// The element.
    pub(crate) node: Node<'a, 'input>,
    /// Its entries, in the document's order.
    pub(crate) entries: Vec<ListEntry<'a, 'input>>,
}

/// Reads the list of a domain, adding to `faults` what is wrong with it.
pub(super) fn read_list<'a, 'input>(domain: Node<'a, 'input>, faults: &mut Faults<'_>) -> List<'a, 'input> {
    let mut list = List::default();
    let Some(metadata) = child(domain, "metadata") else {
        return list;
    };
    for element in metadata.children().filter(|node| is_ours(*node)) {
        if element.tag_name().name() != "devices" {
            newer(faults, element, "element", element.tag_name().name());
            continue;
        }
        check_attributes(element, &[], faults);
        let mut entries = Vec::new();
        for node in element.children().filter(Node::is_element) {
            if faults.is_full() {
                return list;
            }
            if node.tag_name().namespace().is_none() {
                let message = format!(
                    "this element is in no namespace: in this list it must be of {NAMESPACE}, like the list itself"
                );
                faults.push(node.range().start, message);
            } else if is_ours(node) {
                entries.extend(read_entry(node, faults));
            }
        }
        let node = element;
        list.elements.push(ListElement { node, entries });
    }
    list
}

fn is_ours(node: Node<'_, '_>) -> bool {
    node.is_element() && node.tag_name().namespace() == Some(NAMESPACE)
}

fn read_entry<'a, 'input>(node: Node<'a, 'input>, faults: &mut Faults<'_>) -> Option<ListEntry<'a, 'input>> {
    if node.tag_name().name() != "mdev" {
        newer(faults, node, "element", node.tag_name().name());
        return None;
    }
    let known = check_attributes(node, &["uuid", "pool"], faults);
    if let Some(inner) = node.children().find(|child| is_ours(*child)) {
        newer(faults, inner, "element", inner.tag_name().name());
        return None;
    }
    let Some(uuid) = attribute(node, "uuid") else {
        faults.push(node.range().start, "this entry has no uuid");
        return None;
    };
    let uuid = read_name(uuid, node, faults);
    let pool = match attribute(node, "pool") {
        Some(pool) => Some(read_name(pool, node, faults)?),
        None => None,
    };
    Some(ListEntry {
        uuid: uuid.filter(|_| known)?,
        pool,
        node,
    })
}

/// Whether the element has no other attributes of ours than those.
fn check_attributes(node: Node<'_, '_>, known: &[&str], faults: &mut Faults<'_>) -> bool {
    let mut good = true;
    for attribute in node.attributes() {
        let unknown = match attribute.namespace() {
            None => !known.contains(&attribute.name()),
            Some(namespace) => namespace == NAMESPACE,
        };
        if unknown {
            newer(faults, node, "attribute", attribute.name());
            good = false;
        }
    }
    good
}

fn newer(faults: &mut Faults<'_>, node: Node<'_, '_>, kind: &str, name: &str) {
    let message = format!(
        "the {kind} {} of {NAMESPACE} is not known here: this domain needs a newer automdev",
        Shown(name)
    );
    faults.push(node.range().start, message);
}

impl<'a, 'input> List<'a, 'input> {
    /// All entries, in the document's order. One device may have several: the first counts.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &ListEntry<'a, 'input>> {
        self.elements.iter().flat_map(|element| &element.entries)
    }

    /// The UUIDs of the entries that are no device of the domain.
    pub(super) fn stray(&self, is_device: impl Fn(MdevUuid) -> bool) -> Vec<MdevUuid> {
        let mut seen = BTreeSet::new();
        self.entries()
            .map(|entry| entry.uuid)
            .filter(|uuid| !is_device(*uuid) && seen.insert(*uuid))
            .collect()
    }
}
