//! Domains that have no mediated device: most are, and each start of one is in our way.

use memchr::{memchr2_iter, memmem};

use super::NAMESPACE;

use super::super::names::DomainUuid;

/// What makes it worth to read a domain: a word about mediated devices or their marks.
const WORDS: [&[u8]; 2] = [b"mdev", b"autocreate"];

/// A domain that has no mediated device, marked or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plain {
    /// Whose it is, where it says so.
    pub uuid: Option<DomainUuid>,
}

/// Looks over a domain's XML, as libvirt hands it over, without reading it. None where only [`super::Domain::parse`]
/// can tell: it may have a mediated device, or is no whole domain. Whether all else in it is well-formed, or even text, is not
/// looked at.
#[must_use]
pub fn glance(text: &[u8]) -> Option<Plain> {
    let is_whole = text.starts_with(b"<domain") && text.trim_ascii_end().ends_with(b"</domain>");
    let may_have_one = || WORDS.iter().any(|word| memmem::find(text, word).is_some());
    if !is_whole || may_have_one() || may_hide_one(text) {
        return None;
    }
    // libvirt prints it right after the name; elsewhere it may be somebody else's.
    let inside = after(text, b">")?;
    let after_name = match inside.strip_prefix(b"<name>") {
        Some(name) => after(name, b"</name>")?,
        None => inside,
    };
    if let Some(uuid) = after_name.strip_prefix(b"<uuid>") {
        let end = memmem::find(uuid, b"</uuid>")?;
        let uuid = std::str::from_utf8(&uuid[..end]).ok()?;
        return Some(Plain {
            uuid: Some(uuid.parse().ok()?),
        });
    }
    let has_none = memmem::find(after_name, b"<uuid").is_none();
    has_none.then_some(Plain { uuid: None })
}

/// Whether a word could be written in it in a way that is not seen: by a character's number, by a document type, or by what
/// looks like one (a comment, CDATA).
fn may_hide_one(text: &[u8]) -> bool {
    let is_way = |at: usize| matches!(text.get(at.wrapping_sub(1)..=at), Some(b"&#" | b"<!"));
    memchr2_iter(b'#', b'!', text).any(is_way)
}

/// What comes after the first `mark`, and after the white space that follows it.
fn after<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let start = memmem::find(text, mark)? + mark.len();
    Some(text[start..].trim_ascii_start())
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
        assert_eq!(glance(plain.as_bytes()), Some(Plain { uuid }));
        assert_eq!(Domain::parse(&plain).expect("a domain").uuid, uuid);
        assert_eq!(
            glance(b"<domain><name>a</name></domain>"),
            Some(Plain { uuid: None })
        );
    }

    #[test]
    fn what_hides_nothing_need_not_be_read() {
        for inside in ["<title>#1!</title>", "<a b='&amp;#'/>", "<name>x! < #</name>"] {
            let text = format!("<domain>{inside}</domain>");
            assert_eq!(glance(text.as_bytes()), Some(Plain { uuid: None }), "{inside}");
        }
        assert_eq!(glance(b"<domain>\xff</domain>"), Some(Plain { uuid: None }));
    }

    #[test]
    fn what_may_have_one_has_to_be_read() {
        let with = |inside: &str| format!("<domain><uuid>{UUID}</uuid>{inside}</domain>");
        assert!(glance(with("").as_bytes()).is_some());
        for inside in [
            "<devices><hostdev type='mdev'/></devices>",
            "<devices><hostdev type='&#109;dev'/></devices>",
            "<devices><hostdev type='pci' autocreate='yes'/></devices>",
            "<metadata><a:devices xmlns:a='urn:automdev:domain:1'/></metadata>",
            "<!-- a comment -->",
            "#<!-- a comment -->",
            "!&#109;",
            "<description><![CDATA[<uuid>]]></description>",
        ] {
            assert_eq!(glance(with(inside).as_bytes()), None, "{inside}");
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
            assert_eq!(glance(text.as_bytes()), None, "{text}");
        }
    }
}
