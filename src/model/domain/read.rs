//! Reads the tree of a domain: its names, its mediated devices and their marks.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use roxmltree::{Attribute, Document, Node};

use super::super::affinity::Affinity;
use super::super::fault::{Fault, Faults, Place};
use super::super::names::{DomainUuid, MdevUuid, PoolName, Shown};
use super::super::nearest::nearest;
use super::list::{List, ListEntry, read_list};
use super::xml::{attribute, child, children, string_value, value_range};
use super::{Domain, Hostdev, Mark, Model, Source};

/// The attribute that marks a device.
const AUTOCREATE: &str = "autocreate";

/// A domain, and the elements that say so.
#[derive(Debug)]
pub(crate) struct Reading<'a, 'input> {
    /// What is said.
    pub(crate) domain: Domain,
    /// The elements of `domain.hostdevs`, in the same order.
    pub(crate) hostdevs: Vec<Node<'a, 'input>>,
    /// The list under `<metadata>`.
    pub(crate) list: List<'a, 'input>,
}

/// Reads the tree of a domain.
///
/// # Errors
/// All that is wrong with it, in the document's order; never empty.
pub(crate) fn read<'a, 'input>(document: &'a Document<'input>) -> Result<Reading<'a, 'input>, Vec<Fault>> {
    let root = document.root_element();
    let text = document.input_text();
    let mut faults = Faults::of(text);
    let uuid = read_uuid(root, &mut faults);
    let list = read_list(root, &mut faults);
    let mut reader = Reader {
        text,
        faults,
        odd: Faults::of(text),
        entries: BTreeMap::new(),
        seen: BTreeMap::new(),
    };
    for entry in list.entries() {
        reader.entries.entry(entry.uuid).or_insert(entry);
    }
    let nodes = children(root, "devices")
        .flat_map(|devices| children(devices, "hostdev"))
        .filter_map(|node| Some((reader.read_hostdev(node)?, node)));
    let (hostdevs, nodes) = nodes.unzip();
    let Reader {
        faults, odd, seen, ..
    } = reader;
    faults.finish()?;
    let stray = list.stray(|uuid| seen.contains_key(&uuid));
    Ok(Reading {
        domain: Domain {
            name: child(root, "name").map(string_value).unwrap_or_default(),
            uuid,
            hostdevs,
            stray,
            affinity: Affinity::read(root),
            odd: odd.finish().err().unwrap_or_default(),
        },
        hostdevs: nodes,
        list,
    })
}

fn read_uuid(root: Node<'_, '_>, faults: &mut Faults<'_>) -> Option<DomainUuid> {
    let node = child(root, "uuid")?;
    let text = string_value(node);
    if text.is_empty() {
        // libvirt makes one up, as though the element were not there.
        return None;
    }
    let offset = node
        .children()
        .find(Node::is_text)
        .map_or(node.range().start, |text| text.range().start);
    text.parse()
        .map_err(|error: <DomainUuid as FromStr>::Err| faults.push(offset, error.to_string()))
        .ok()
}

/// Reads the name that an attribute gives.
pub(super) fn read_name<T: FromStr<Err: fmt::Display>>(
    attribute: Attribute<'_, '_>,
    node: Node<'_, '_>,
    faults: &mut Faults<'_>,
) -> Option<T> {
    let offset = value_range(node.document().input_text(), attribute).start;
    attribute
        .value()
        .parse()
        .map_err(|error: T::Err| faults.push(offset, error.to_string()))
        .ok()
}

fn known_model(node: Node<'_, '_>) -> Option<Model> {
    let model = attribute(node, "model")?;
    Model::ALL
        .into_iter()
        .find(|known| known.as_str() == model.value())
}

struct Reader<'text, 'list, 'a, 'input> {
    text: &'text str,
    faults: Faults<'text>,
    /// What is worth a warning.
    odd: Faults<'text>,
    /// The list's first entry for each device.
    entries: BTreeMap<MdevUuid, &'list ListEntry<'a, 'input>>,
    /// The devices so far, and the bytes at which they are named.
    seen: BTreeMap<MdevUuid, usize>,
}

impl Reader<'_, '_, '_, '_> {
    /// Reads a hostdev's element; nothing where it is no mediated device, or is wrong.
    fn read_hostdev(&mut self, node: Node<'_, '_>) -> Option<Hostdev> {
        if self.faults.is_full() {
            return None;
        }
        if attribute(node, "type").is_none_or(|kind| kind.value() != "mdev") {
            self.check_other(node);
            return None;
        }
        self.look_for_slips(node);
        // All that is wrong with it is told, so nothing returns early.
        let autocreate = self.read_autocreate(node);
        // A model of a newer libvirt is nothing to us on a device that is not ours to make.
        let model = if self.is_asked_for(node) {
            self.read_model(node)
        } else {
            known_model(node)
        };
        let source = self.read_source(node);
        let (autocreate, model, (pool, uuid)) = (autocreate?, model?, source?);
        let entry = uuid.and_then(|uuid| self.entries.get(&uuid));
        let mark = match (autocreate, entry) {
            (Mark::Absent, Some(_)) => Mark::Yes,
            // A pool's device exists only once it is made: naming the pool is asking for it.
            (Mark::Absent, None) if pool.is_some() => Mark::Yes,
            (mark, _) => mark,
        };
        if pool.is_some() && mark == Mark::No {
            let offset = attribute(node, "autocreate").map_or(node.range().start, |a| a.range().start);
            let message = "a pool's device is always made for the domain: autocreate cannot be \"no\" here";
            self.faults.push(offset, message);
            return None;
        }
        let listed = entry.filter(|_| mark == Mark::Yes);
        let pool = pool.or_else(|| listed.and_then(|entry| entry.pool.clone()));
        let source = match (pool, uuid) {
            (Some(pool), Some(uuid)) => Source::PoolAs(pool, uuid),
            (Some(pool), None) => Source::Pool(pool),
            (None, uuid) => Source::Uuid(uuid?),
        };
        Some(Hostdev {
            source,
            model,
            mark,
            managed: attribute(node, "managed").is_some_and(|managed| managed.value() == "yes"),
            offset: node.range().start,
        })
    }

    /// What is for mediated devices only may not be on another hostdev.
    fn check_other(&mut self, node: Node<'_, '_>) {
        if let Some(autocreate) = attribute(node, "autocreate") {
            let message = "autocreate is for mediated devices (type=\"mdev\") only";
            self.faults.push(autocreate.range().start, message);
        }
        if let Some(pool) = child(node, "source").and_then(|source| attribute(source, "pool")) {
            let message = "a pool is for mediated devices (type=\"mdev\") only";
            self.faults.push(pool.range().start, message);
        }
    }

    /// Tells of attributes that are hardly meant to be anything but `autocreate`: libvirt would drop them, and nobody
    /// would make the device.
    fn look_for_slips(&mut self, node: Node<'_, '_>) {
        let source = child(node, "source");
        let address = source.and_then(|source| child(source, "address"));
        for element in [Some(node), source, address].into_iter().flatten() {
            for attribute in element.attributes() {
                let name = attribute.name();
                let is_it = name == AUTOCREATE && attribute.namespace().is_none();
                let lower = name.to_lowercase();
                let is_near = !nearest(&lower.as_str(), vec![AUTOCREATE]).is_empty();
                if !is_near || (is_it && element == node) {
                    continue;
                }
                let message = if name == AUTOCREATE {
                    "autocreate marks the device only as an attribute of the <hostdev> itself, without a prefix; here it is dropped".to_owned()
                } else {
                    format!(
                        "{} means nothing, and libvirt drops it; did you mean autocreate?",
                        Shown(name)
                    )
                };
                self.odd.push(attribute.range().start, message);
            }
        }
    }

    /// What the attribute says; nothing where it is wrong.
    fn read_autocreate(&mut self, node: Node<'_, '_>) -> Option<Mark> {
        let Some(autocreate) = attribute(node, "autocreate") else {
            return Some(Mark::Absent);
        };
        match autocreate.value() {
            "yes" => Some(Mark::Yes),
            "no" => Some(Mark::No),
            other => {
                let message = format!("autocreate is \"yes\" or \"no\", not {}", Shown(other));
                self.faults
                    .push(value_range(self.text, autocreate).start, message);
                None
            }
        }
    }

    /// Whether the attribute, a pool or the list asks for the device.
    fn is_asked_for(&self, node: Node<'_, '_>) -> bool {
        let source = child(node, "source");
        let uuid = source
            .and_then(|source| child(source, "address"))
            .and_then(|address| attribute(address, "uuid"))
            .and_then(|uuid| uuid.value().parse().ok());
        attribute(node, "autocreate").is_some()
            || source.is_some_and(|source| attribute(source, "pool").is_some())
            || uuid.is_some_and(|uuid| self.entries.contains_key(&uuid))
    }

    fn read_model(&mut self, node: Node<'_, '_>) -> Option<Model> {
        let Some(model) = attribute(node, "model") else {
            let message = "this mediated device has no model (vfio-pci, say)";
            self.faults.push(node.range().start, message);
            return None;
        };
        let known = known_model(node);
        if known.is_none() {
            let message = format!(
                "the model is vfio-pci, vfio-ccw or vfio-ap, not {}",
                Shown(model.value())
            );
            self.faults.push(value_range(self.text, model).start, message);
        }
        known
    }

    /// The pool and the UUID, of which there is at least one.
    fn read_source(&mut self, node: Node<'_, '_>) -> Option<(Option<PoolName>, Option<MdevUuid>)> {
        let Some(source) = child(node, "source") else {
            self.faults
                .push(node.range().start, "this mediated device has no <source>");
            return None;
        };
        let uuid_attribute = child(source, "address").and_then(|address| attribute(address, "uuid"));
        let pool_attribute = attribute(source, "pool");
        if uuid_attribute.is_none() && pool_attribute.is_none() {
            let message = "this mediated device names neither a uuid nor a pool";
            self.faults.push(source.range().start, message);
            return None;
        }
        let uuid: Option<MdevUuid> = uuid_attribute.and_then(|uuid| read_name(uuid, node, &mut self.faults));
        let pool = pool_attribute.and_then(|pool| read_name(pool, node, &mut self.faults));
        if uuid.is_none() && uuid_attribute.is_some() || pool.is_none() && pool_attribute.is_some() {
            return None;
        }
        if let (Some(uuid), Some(attribute)) = (uuid, uuid_attribute) {
            self.check_twice(uuid, value_range(self.text, attribute).start)?;
        }
        Some((pool, uuid))
    }

    fn check_twice(&mut self, uuid: MdevUuid, offset: usize) -> Option<()> {
        let Some(first) = self.seen.insert(uuid, offset) else {
            return Some(());
        };
        let message = format!(
            "the device {uuid} is in this domain twice, first in line {}",
            Place::of_offset(self.text, first).line
        );
        self.faults.push(offset, message);
        None
    }
}
