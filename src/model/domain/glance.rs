//! Domains that have no mediated device: most are, and each start of one is in our way.

use memchr::memmem;

use super::NAMESPACE;

use super::super::names::DomainUuid;

/// What makes it worth to read a domain: a word about mediated devices or their marks, or a way to write one that is
/// not seen (a character by its number, a document type, or what looks like one: a comment, CDATA).
const WORDS: [&str; 4] = ["mdev", "autocreate", "&#", "<!"];

/// A domain that has no mediated device, marked or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plain {
    /// Whose it is, where it says so.
    pub uuid: Option<DomainUuid>,
}

/// Looks over a domain's XML, as libvirt hands it over, without reading it. None where only [`super::Domain::parse`]
/// can tell: it may have a mediated device, or is no whole domain. Whether all else in it is well-formed is not looked at.
#[must_use]
pub fn glance(text: &str) -> Option<Plain> {
    let is_whole = text.starts_with("<domain") && text.trim_ascii_end().ends_with("</domain>");
    if !is_whole
        || WORDS
            .iter()
            .any(|word| memmem::find(text.as_bytes(), word.as_bytes()).is_some())
    {
        return None;
    }
    // libvirt prints it right after the name; elsewhere it may be somebody else's.
    let (_, inside) = text.split_once('>')?;
    let inside = inside.trim_ascii_start();
    let after_name = match inside.strip_prefix("<name>") {
        Some(name) => name.split_once("</name>")?.1.trim_ascii_start(),
        None => inside,
    };
    if let Some(uuid) = after_name.strip_prefix("<uuid>") {
        let (uuid, _) = uuid.split_once("</uuid>")?;
        return Some(Plain {
            uuid: Some(uuid.parse().ok()?),
        });
    }
    let has_none = memmem::find(after_name.as_bytes(), b"<uuid").is_none();
    has_none.then_some(Plain { uuid: None })
}

/// Whether a domain's metadata may have a list of devices of ours: the list's namespace stands somewhere in it.
#[must_use]
pub fn may_list(text: &str) -> bool {
    memmem::find(text.as_bytes(), NAMESPACE.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::Domain;
    use super::*;

    const UUID: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";

    #[test]
    fn a_domain_without_is_seen_to_be_one() {
        let plain = format!(
            "<domain type='kvm'>\n  <name>a &amp; b</name>\n  <uuid>{UUID}</uuid>\n  <devices>\n    <hostdev mode='subsystem' \
             type='pci'/>\n  </devices>\n</domain>\n"
        );
        let uuid = UUID.parse().ok();
        assert_eq!(glance(&plain), Some(Plain { uuid }));
        assert_eq!(Domain::parse(&plain).expect("a domain").uuid, uuid);
        assert_eq!(
            glance("<domain><name>a</name></domain>"),
            Some(Plain { uuid: None })
        );
    }

    #[test]
    fn what_may_have_one_has_to_be_read() {
        let with = |inside: &str| format!("<domain><uuid>{UUID}</uuid>{inside}</domain>");
        assert!(glance(&with("")).is_some());
        for inside in [
            "<devices><hostdev type='mdev'/></devices>",
            "<devices><hostdev type='&#109;dev'/></devices>",
            "<devices><hostdev type='pci' autocreate='yes'/></devices>",
            "<metadata><a:devices xmlns:a='urn:automdev:domain:1'/></metadata>",
            "<!-- a comment -->",
            "<description><![CDATA[<uuid>]]></description>",
        ] {
            assert_eq!(glance(&with(inside)), None, "{inside}");
        }
    }

    #[test]
    fn what_is_no_whole_domain_has_to_be_read() {
        for text in [
            "",
            "garbage",
            "<network></network>",
            "<domain>",
            "<domain><name>a</name></doma",
            "<?xml version='1.0'?><domain></domain>",
            "<!DOCTYPE domain [<!ENTITY m 'mde'>]><domain></domain>",
            "<domain><uuid>none</uuid></domain>",
            "<domain><uuid></domain>",
            "<domain><metadata><uuid>c2177883-f1bb-47f0-914d-32a22e3a8804</uuid></metadata></domain>",
            "<domain a='>'><uuid>c2177883-f1bb-47f0-914d-32a22e3a8804</uuid></domain>",
        ] {
            assert_eq!(glance(text), None, "{text}");
        }
    }
}
