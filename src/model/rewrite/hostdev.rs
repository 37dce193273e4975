//! What becomes of a hostdev: what libvirt does not know goes, a pool's device gets its UUID.

use roxmltree::{Attribute, Node};

use super::super::domain::xml::{attribute, child, value_range};
use super::super::names::MdevUuid;
use super::edit::Edits;
use super::layout::{Layout, qname};

/// Takes our attributes away, and puts a UUID in, where there is one to be put in.
pub(super) fn lower(node: Node<'_, '_>, uuid: Option<MdevUuid>, layout: &Layout<'_>, edits: &mut Edits) {
    let text = node.document().input_text();
    if let Some(autocreate) = attribute(node, "autocreate") {
        take_away(text, autocreate, edits);
    }
    let Some(source) = child(node, "source") else {
        return;
    };
    let pool = attribute(source, "pool");
    if let Some(pool) = pool {
        take_away(text, pool, edits);
    }
    let Some(uuid) = uuid else {
        return;
    };
    let quote = pool.map_or('\'', |pool| quote(text, pool));
    let said = format!("uuid={quote}{uuid}{quote}");
    let Some(address) = child(source, "address") else {
        return layout.append(source, &[(0, format!("<address {said}/>"))], edits);
    };
    if let Some(old) = attribute(address, "uuid") {
        edits.replace(value_range(text, old), uuid.to_string());
    } else {
        let range = address.range();
        edits.insert(range.start + 1 + qname(&text[range]).len(), format!(" {said}"));
    }
}

fn quote(text: &str, attribute: Attribute<'_, '_>) -> char {
    if text[..attribute.range().end].ends_with('"') {
        '"'
    } else {
        '\''
    }
}

/// Deletes an attribute and the white space before it.
fn take_away(text: &str, attribute: Attribute<'_, '_>, edits: &mut Edits) {
    let range = attribute.range();
    let before = text[..range.start].trim_end_matches([' ', '\t', '\n', '\r']);
    edits.delete(before.len()..range.end);
}
