//! What becomes of the list under `<metadata>`.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::{Document, Node};

use super::super::domain::xml::{attribute, child, is_element, value_range};
use super::super::domain::{List, ListElement, ListEntry, NAMESPACE};
use super::super::names::{MdevUuid, PoolName};
use super::edit::Edits;
use super::layout::{Layout, qname};

/// A device that belongs on the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// The device.
    pub(super) uuid: MdevUuid,
    /// The pool that it is taken from.
    pub(super) pool: Option<PoolName>,
}

impl Item {
    fn print(&self, prefix: &str) -> String {
        let Item { uuid, pool } = self;
        match pool {
            None => format!("<{prefix}mdev uuid=\"{uuid}\"/>"),
            Some(pool) => format!("<{prefix}mdev uuid=\"{uuid}\" pool=\"{pool}\"/>"),
        }
    }
}

/// What the domain's hostdevs say about the list.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Those that had no UUID yet, or are not on the list, in the document's order.
    listed: Vec<(Option<MdevUuid>, Item)>,
    unlisted: BTreeSet<MdevUuid>,
}

impl Listing {
    /// The device, under the UUID that it had, if any, belongs on the list.
    pub(super) fn list(&mut self, old: Option<MdevUuid>, item: Item) {
        self.listed.push((old, item));
    }

    /// The device does not belong on the list.
    pub(super) fn unlist(&mut self, uuid: Option<MdevUuid>) {
        self.unlisted.extend(uuid);
    }

    /// Makes the list so. What the list has beyond what the hostdevs say stays.
    pub(super) fn edit(
        &self,
        document: &Document<'_>,
        list: &List<'_, '_>,
        layout: &Layout<'_>,
        edits: &mut Edits,
    ) {
        let belongs: BTreeMap<MdevUuid, &Item> = self
            .listed
            .iter()
            .filter_map(|(old, item)| Some(((*old)?, item)))
            .collect();
        // libvirt keeps but one element of a namespace, the first: what further ones have moves there.
        let (first, further) = match &list.elements[..] {
            [] => (None, &[][..]),
            [first, further @ ..] => (Some(first), further),
        };
        let (gone, kept): (Vec<&ListEntry<'_, '_>>, Vec<_>) = first
            .iter()
            .flat_map(|first| &first.entries)
            .partition(|entry| self.unlisted.contains(&entry.uuid));
        for entry in &kept {
            if let Some(item) = belongs.get(&entry.uuid) {
                amend(entry, item, edits);
            }
        }
        let mut kept: BTreeSet<MdevUuid> = kept.iter().map(|entry| entry.uuid).collect();
        let is_new = |(old, _): &&(Option<MdevUuid>, Item)| old.is_none_or(|old| !kept.contains(&old));
        let mut new: Vec<Item> = self
            .listed
            .iter()
            .filter(is_new)
            .map(|(_, item)| item.clone())
            .collect();
        for ListEntry { uuid, pool, .. } in further.iter().flat_map(|element| &element.entries) {
            let is_said = belongs.contains_key(uuid) || self.unlisted.contains(uuid);
            if !is_said && kept.insert(*uuid) {
                new.push(Item {
                    uuid: *uuid,
                    pool: pool.clone(),
                });
            }
        }
        if let Some(first) = first {
            if new.is_empty() {
                remove(first.node, &gone, layout, edits);
            } else {
                for entry in gone {
                    edits.delete(layout.removal(entry.node));
                }
            }
        }
        for ListElement { node, entries } in further {
            remove(*node, &entries.iter().collect::<Vec<_>>(), layout, edits);
        }
        if !new.is_empty() {
            add(
                &new,
                document.root_element(),
                first.map(|first| first.node),
                layout,
                edits,
            );
        }
    }
}

/// Deletes those entries of an element, and the element too if it has nothing else.
fn remove(element: Node<'_, '_>, gone: &[&ListEntry<'_, '_>], layout: &Layout<'_>, edits: &mut Edits) {
    if !gone.is_empty() && is_nothing_but(element, gone.len()) {
        return edits.delete(layout.removal(element));
    }
    for entry in gone {
        edits.delete(layout.removal(entry.node));
    }
}

/// Whether the element has so many children and no others but white space.
fn is_nothing_but(element: Node<'_, '_>, count: usize) -> bool {
    let is_blank =
        |node: &Node<'_, '_>| node.is_text() && node.text().is_some_and(|text| text.trim().is_empty());
    element.children().filter(|child| !is_blank(child)).count() == count
}

/// Makes an entry say what the hostdev says.
fn amend(entry: &ListEntry<'_, '_>, item: &Item, edits: &mut Edits) {
    let text = entry.node.document().input_text();
    let Some(uuid) = attribute(entry.node, "uuid") else {
        return;
    };
    if entry.uuid != item.uuid {
        edits.replace(value_range(text, uuid), item.uuid.to_string());
    }
    if entry.pool != item.pool {
        if let Some(new) = &item.pool {
            match attribute(entry.node, "pool") {
                Some(pool) => edits.replace(value_range(text, pool), new.to_string()),
                None => edits.insert(uuid.range().end, format!(" pool=\"{new}\"")),
            }
        }
    }
}

/// Puts entries on the list; makes the list, and `<metadata>`, where there is none.
fn add(
    items: &[Item],
    domain: Node<'_, '_>,
    list: Option<Node<'_, '_>>,
    layout: &Layout<'_>,
    edits: &mut Edits,
) {
    if let Some(list) = list {
        let name = qname(&domain.document().input_text()[list.range()]);
        let prefix = name.find(':').map_or("", |colon| &name[..=colon]);
        let block: Vec<_> = items.iter().map(|item| (0, item.print(prefix))).collect();
        return layout.append(list, &block, edits);
    }
    let metadata = child(domain, "metadata");
    // A prefix that is there already will do.
    let scope = metadata.unwrap_or(domain);
    let prefix = scope.lookup_prefix(NAMESPACE);
    let (open, prefix) = match prefix {
        Some(prefix) => (format!("<{prefix}:devices>"), prefix),
        None => (
            format!("<automdev:devices xmlns:automdev=\"{NAMESPACE}\">"),
            "automdev",
        ),
    };
    let level = usize::from(metadata.is_none());
    let mut block = vec![(level, open)];
    block.extend(
        items
            .iter()
            .map(|item| (level + 1, item.print(&format!("{prefix}:")))),
    );
    block.push((level, format!("</{prefix}:devices>")));
    if let Some(metadata) = metadata {
        return layout.append(metadata, &block, edits);
    }
    block.insert(0, (0, "<metadata>".to_owned()));
    block.push((0, "</metadata>".to_owned()));
    // The order in which libvirt prints them; its schema takes any.
    let is_before = |node: &Node<'_, '_>| {
        ["name", "uuid", "genid", "title", "description"]
            .iter()
            .any(|name| is_element(*node, name))
    };
    layout.insert_early(domain, is_before, &block, edits);
}
