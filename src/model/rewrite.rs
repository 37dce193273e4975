//! From the XML that people write to what libvirt keeps.
//!
//! libvirt drops an attribute that it does not know, `autocreate` on a hostdev, say, but keeps an element of
//! another namespace under `<metadata>`. So the attribute is taken away and the device listed there (see
//! [`super::domain`]); `autocreate='no'` takes a device off the list. A `<source pool='NAME'/>`, which libvirt
//! refuses, becomes a UUID of the domain's own, and the list says which pool it belongs to.
//!
//! The text is edited, not printed anew: whatever need not change stays byte for byte, and what is inserted
//! follows the text's own indentation and line ends. Rewriting twice is rewriting once.

mod edit;
mod hostdev;
mod layout;
mod list;
mod pool;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::edit::Edits;
use self::layout::Layout;
use self::list::Listing;
use super::domain::{MOST_BYTES, Mark, read, xml};
use super::fault::Fault;
use super::names::MdevUuid;

pub use self::pool::NAMESPACE as POOL_NAMESPACE;

/// What becomes of the UUIDs that devices taken from a pool already have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolUuids {
    /// They stay.
    #[default]
    Keep,
    /// They are derived from the domain as though none had one yet: for the copy of another domain, whose
    /// devices they still are.
    Fresh,
}

/// A domain's XML as libvirt keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten<'text> {
    /// The XML; borrowed where nothing needs to change.
    pub text: Cow<'text, str>,
    /// Entries of the list that are no hostdev of this domain. They are left alone.
    pub stray: Vec<MdevUuid>,
    /// What is hardly what its writer meant; by its place in the text that was rewritten.
    pub odd: Vec<Fault>,
}

impl Rewritten<'_> {
    /// Whether anything needs to change.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        matches!(self.text, Cow::Owned(_))
    }
}

/// Puts other devices in the place of some: `text` is a rewritten domain. None where the result would not be such a
/// domain, for a UUID is spelt in an unusual way, say.
#[must_use]
pub fn replace_devices(text: &str, others: &[(MdevUuid, MdevUuid)]) -> Option<String> {
    let before = super::domain::Domain::parse(text).ok()?;
    let mut replaced = text.to_owned();
    for (old, new) in others {
        replaced = replaced.replace(&old.to_string(), &new.to_string());
    }
    let after = super::domain::Domain::parse(&replaced).ok()?;
    let other = |uuid: MdevUuid| {
        others
            .iter()
            .find(|(old, _)| *old == uuid)
            .map_or(uuid, |(_, new)| *new)
    };
    let expected = before
        .hostdevs
        .iter()
        .map(|one| (one.source.uuid().map(other), one.mark));
    let found = after.hostdevs.iter().map(|one| (one.source.uuid(), one.mark));
    (expected.eq(found) && before.uuid == after.uuid).then_some(replaced)
}

/// Turns a domain's XML into what libvirt keeps.
///
/// # Errors
/// All that is wrong with it, in the document's order; never empty.
pub fn rewrite(text: &str, pools: PoolUuids) -> Result<Rewritten<'_>, Vec<Fault>> {
    let document = xml::parse_document(text)?;
    let reading = read(&document)?;
    let uuids = pool::assign(text, &reading, pools)?;
    let layout = Layout::of(document.root_element());
    let mut edits = Edits::default();
    let mut listing = Listing::default();
    for ((hostdev, node), given) in reading.domain.hostdevs.iter().zip(&reading.hostdevs).zip(uuids) {
        hostdev::lower(
            *node,
            given.filter(|uuid| Some(*uuid) != hostdev.source.uuid()),
            &layout,
            &mut edits,
        );
        let old = hostdev.source.uuid();
        match (hostdev.mark, given.or(old)) {
            (Mark::Yes, Some(uuid)) => listing.list(
                old,
                list::Item {
                    uuid,
                    pool: hostdev.source.pool().cloned(),
                },
            ),
            (Mark::No, _) => listing.unlist(old),
            _ => {}
        }
    }
    listing.edit(&document, &reading.list, &layout, &mut edits);
    let text = edits.apply(text);
    if text.len() > MOST_BYTES {
        let message = format!("rewritten, the XML would be larger than {} MiB", MOST_BYTES >> 20);
        return Err(vec![Fault::at(
            document.input_text(),
            document.root_element().range().start,
            message,
        )]);
    }
    Ok(Rewritten {
        text,
        stray: reading.domain.stray,
        odd: reading.domain.odd,
    })
}
