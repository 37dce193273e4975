//! A domain's XML as a tree with places: what is read, and what is refused before anything looks inside.

use roxmltree::{Attribute, Document, Error, Node, ParsingOptions};

use super::super::fault::{Fault, Place};
use super::super::names::Shown;
use super::MOST_BYTES;

/// More attributes than this has no element that libvirt knows. The tree compares each with each.
const MOST_ATTRIBUTES: usize = 256;

/// More namespaces than this are nowhere in scope at once. The tree copies them at each declaration.
const MOST_NAMESPACES: usize = 64;

/// Takes bytes for the text that they should be.
///
/// # Errors
/// They are not UTF-8: the text as far as it can be shown, and what is wrong with it.
pub fn decode(bytes: Vec<u8>) -> Result<String, (String, Fault)> {
    if bytes.len() > MOST_BYTES {
        // Perhaps cut in the middle of a character: the size is what is wrong with it.
        let text = String::from_utf8_lossy(&bytes[..MOST_BYTES]).into_owned();
        let fault = Fault::at(&text, text.len(), too_large());
        return Err((text, fault));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let bytes = error.into_bytes();
        let utf16 = match bytes[..] {
            [0xff, 0xfe, ..] => Some(from_utf16(&bytes, u16::from_le_bytes)),
            [0xfe, 0xff, ..] => Some(from_utf16(&bytes, u16::from_be_bytes)),
            _ => None,
        };
        if let Some(text) = utf16 {
            let fault = Fault::at(&text, 0, "the encoding is UTF-16, not UTF-8");
            return (text, fault);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let fault = check_encoding(&text).err().unwrap_or_else(|| {
            let message = format!(
                "the encoding is not UTF-8: no character has the byte {:#04x} here",
                bytes[valid]
            );
            Fault::at(&text, valid, message)
        });
        (text, fault)
    })
}

/// For people to see, so that what is wrong with it does not matter.
fn from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    char::decode_utf16(units)
        .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// Reads the XML of a domain into a tree, refusing what no domain of libvirt's is: a document type, another
/// encoding than UTF-8, another root element, more than [`MOST_BYTES`].
///
/// # Errors
/// The first thing that is wrong.
pub fn parse_document(text: &str) -> Result<Document<'_>, Vec<Fault>> {
    let document = parse_tree(text)?;
    let root = document.root_element();
    let name = root.tag_name();
    let message = match (name.name(), name.namespace()) {
        ("domain", None) => return Ok(document),
        ("domain", Some(namespace)) => format!(
            "the root element is a domain of the namespace {}, while libvirt's is of none",
            Shown(namespace)
        ),
        (other, _) => format!("the root element is {}, not \"domain\"", Shown(other)),
    };
    Err(vec![Fault::at(text, root.range().start, message)])
}

/// The domain within what libvirt keeps of one that runs: `<domstatus … ><domain … >`.
///
/// # Errors
/// It is none of that.
pub fn of_status(status: &str) -> Result<&str, Vec<Fault>> {
    let document = parse_tree(status)?;
    let root = document.root_element();
    match child(root, "domain") {
        Some(domain) if is_element(root, "domstatus") => Ok(&status[domain.range()]),
        _ => Err(vec![Fault::at(
            status,
            root.range().start,
            "this is no status of a domain that runs",
        )]),
    }
}

fn parse_tree(text: &str) -> Result<Document<'_>, Vec<Fault>> {
    let one = |fault| Err(vec![fault]);
    if text.len() > MOST_BYTES {
        return one(Fault::at(text, MOST_BYTES, too_large()));
    }
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        return one(Fault::at(text, 0, "there is no XML, only an empty text"));
    }
    if let Err(fault) = check_encoding(text).and_then(|()| check_tags(text)) {
        return one(fault);
    }
    let options = ParsingOptions {
        allow_dtd: false,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(text, options).or_else(|error| one(fault_of(text, &error)))
}

fn too_large() -> String {
    format!("the XML is larger than {} MiB", MOST_BYTES >> 20)
}

/// The text is UTF-8 by now, so a declaration that says something else is wrong, whatever it says.
fn check_encoding(text: &str) -> Result<(), Fault> {
    let start = text.len() - text.trim_start_matches('\u{feff}').len();
    let Some(declaration) = text[start..]
        .strip_prefix("<?xml")
        .and_then(|rest| rest.split_once("?>"))
        .map(|(declaration, _)| declaration)
    else {
        return Ok(());
    };
    let Some((_, value)) = declaration.split_once("encoding") else {
        return Ok(());
    };
    let value = value.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '=');
    let Some(quote) = value.chars().next().filter(|quote| "'\"".contains(*quote)) else {
        return Ok(());
    };
    let encoding = value[1..].split(quote).next().unwrap_or_default();
    let offset = offset_in(text, value) + 1;
    if encoding.eq_ignore_ascii_case("utf-8") || encoding.eq_ignore_ascii_case("utf8") {
        return Ok(());
    }
    if encoding.eq_ignore_ascii_case("us-ascii") || encoding.eq_ignore_ascii_case("ascii") {
        return match text[start..].find(|c: char| !c.is_ascii()) {
            None => Ok(()),
            Some(other) => {
                let message = format!(
                    "the encoding is {}, which does not have this character",
                    Shown(encoding)
                );
                Err(Fault::at(text, start + other, message))
            }
        };
    }
    let message = format!("the encoding is {}, not UTF-8", Shown(encoding));
    Err(Fault::at(text, offset, message))
}

/// Where `part`, a slice of `text`, starts in it.
fn offset_in(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}

/// A tag, found without a look at what it means.
struct Tag {
    offset: usize,
    kind: TagKind,
    attributes: usize,
    namespaces: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TagKind {
    Open,
    Empty,
    Close,
    DocumentType,
}

/// The tags of a text, as far as it is well-formed.
struct Tags<'text> {
    text: &'text str,
    at: usize,
}

impl Iterator for Tags<'_> {
    type Item = Tag;

    fn next(&mut self) -> Option<Tag> {
        loop {
            let offset = self.at + self.text[self.at..].find('<')?;
            let rest = &self.text[offset..];
            let skipped = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")]
                .into_iter()
                .find(|(open, _)| rest.starts_with(open));
            if let Some((open, close)) = skipped {
                self.at = offset + open.len() + rest[open.len()..].find(close)? + close.len();
                continue;
            }
            let mut tag = Tag {
                offset,
                kind: TagKind::Open,
                attributes: 0,
                namespaces: 0,
            };
            if rest.starts_with("<!") {
                self.at = offset + 2;
                tag.kind = TagKind::DocumentType;
            } else {
                self.at = offset + measure(rest, &mut tag)?;
            }
            return Some(tag);
        }
    }
}

/// Counts what is in the tag that `text` starts with; its length, where it ends.
fn measure(text: &str, tag: &mut Tag) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        match *bytes.get(at)? {
            b'>' => break,
            b'=' => tag.attributes += 1,
            quote @ (b'\'' | b'"') => at += 1 + text[at + 1..].find(char::from(quote))?,
            b'x' if bytes[at - 1].is_ascii_whitespace() && bytes[at..].starts_with(b"xmlns") => {
                tag.namespaces += 1;
            }
            _ => {}
        }
        at += 1;
    }
    tag.kind = match (bytes[1], bytes[at - 1]) {
        (b'/', _) => TagKind::Close,
        (_, b'/') => TagKind::Empty,
        _ => TagKind::Open,
    };
    Some(at + 1)
}

/// Refuses what would take the tree's reader more than linear time, and document types.
fn check_tags(text: &str) -> Result<(), Fault> {
    let mut scopes = Vec::new();
    let mut in_scope = 0;
    for tag in (Tags { text, at: 0 }) {
        let wrong = |message: String| Err(Fault::at(text, tag.offset, message));
        match tag.kind {
            TagKind::DocumentType => {
                return wrong("a document type may not be in a domain's XML".to_owned());
            }
            TagKind::Close => in_scope -= scopes.pop().unwrap_or_default(),
            TagKind::Empty => {}
            TagKind::Open => {
                scopes.push(tag.namespaces);
                in_scope += tag.namespaces;
            }
        }
        if tag.attributes > MOST_ATTRIBUTES {
            return wrong(format!("this element has more than {MOST_ATTRIBUTES} attributes"));
        }
        if in_scope.max(tag.namespaces) > MOST_NAMESPACES {
            return wrong(format!(
                "more than {MOST_NAMESPACES} namespaces are declared around here"
            ));
        }
    }
    Ok(())
}

/// The element that is still open at the text's end.
fn last_open(text: &str) -> Option<usize> {
    let mut open = Vec::new();
    for tag in (Tags { text, at: 0 }) {
        match tag.kind {
            TagKind::Open => open.push(tag.offset),
            TagKind::Close => drop(open.pop()),
            TagKind::Empty | TagKind::DocumentType => {}
        }
    }
    open.pop()
}

fn fault_of(text: &str, error: &Error) -> Fault {
    let place = error.pos();
    let place = Place {
        line: place.row,
        column: place.col,
    };
    let end = || Place::of_offset(text, text.len());
    let (place, message) = match error {
        Error::UnclosedRootNode | Error::UnexpectedEndOfStream => match last_open(text) {
            Some(offset) => (
                Place::of_offset(text, offset),
                "this element is never closed".to_owned(),
            ),
            None => (end(), "the text ends in the middle".to_owned()),
        },
        Error::NoRootNode => (end(), "there is no element".to_owned()),
        Error::UnexpectedCloseTag(expected, actual, _) => (
            place,
            format!(
                "this closes {}, but {} is still open",
                Shown(actual),
                Shown(expected)
            ),
        ),
        other => {
            // Its text ends in the place, which the fault says already.
            let message = other.to_string();
            let message = message
                .rsplit_once(" at ")
                .map_or(message.as_str(), |(message, _)| message);
            (place, printable(message))
        }
    };
    Fault {
        place: place.min(end()),
        message: format!("the XML is not well-formed: {message}"),
    }
}

/// What the reader says quotes the document, however long and whatever is in it.
fn printable(message: &str) -> String {
    let shown = Shown(message).to_string();
    shown[1..shown.len() - 1].to_owned()
}

/// The element's children of that name, in no namespace, which is where libvirt looks for them.
pub(crate) fn children<'a, 'input: 'a>(
    node: Node<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(move |child| is_element(*child, name))
}

/// The first of the element's children of that name, in no namespace.
#[must_use]
pub fn child<'a, 'input: 'a>(node: Node<'a, 'input>, name: &'static str) -> Option<Node<'a, 'input>> {
    children(node, name).next()
}

/// Whether this is the element of that name, in no namespace.
pub(crate) fn is_element(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().namespace().is_none() && node.tag_name().name() == name
}

/// The element's attribute of that name, in no namespace.
pub(crate) fn attribute<'a, 'input: 'a>(node: Node<'a, 'input>, name: &str) -> Option<Attribute<'a, 'input>> {
    node.attributes()
        .find(|attribute| attribute.namespace().is_none() && attribute.name() == name)
}

/// Where the attribute's value is in the text, without its quotes.
///
/// The tree's own `range_value` is wrong where there is much white space around the equals sign.
pub(crate) fn value_range(text: &str, attribute: Attribute<'_, '_>) -> std::ops::Range<usize> {
    let range = attribute.range();
    // Neither a name nor white space nor an equals sign has a quote.
    let quote = text[range.clone()].find(['\'', '"']).unwrap_or_default();
    range.start + quote + 1..range.end - 1
}

/// All of the element's text, joined, which is what libvirt takes for its value.
pub(crate) fn string_value(node: Node<'_, '_>) -> String {
    node.descendants()
        .filter(Node::is_text)
        .filter_map(|text| text.text())
        .collect()
}
