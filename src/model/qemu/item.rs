//! The properties of a `-device`, and cutting some of them out of its text.

use std::ops::Range;

/// One property, and where it stands in the text of the `-device`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Its bytes: `name=value`, or `"name": value`, without the comma on either side.
    pub(super) span: Range<usize>,
    /// Its name, unquoted.
    pub(super) name: Vec<u8>,
    /// Its value, unquoted.
    pub(super) value: Value,
}

/// The value of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A text.
    Text(Vec<u8>),
    /// A truth: JSON's, or a bare `name` or `noname` among `name=value`.
    Truth(bool),
    /// JSON that is neither, as it stands there.
    Other(Vec<u8>),
}

impl Value {
    /// The value as QEMU's text properties take it; JSON's numbers, lists and objects they refuse.
    pub(super) fn text(&self) -> Option<&[u8]> {
        match self {
            Value::Text(text) => Some(text),
            Value::Truth(true) => Some(b"on"),
            Value::Truth(false) => Some(b"off"),
            Value::Other(_) => None,
        }
    }

    /// The value for a person to read.
    pub(super) fn shown(&self) -> String {
        let bytes = match self {
            Value::Text(bytes) | Value::Other(bytes) => bytes,
            Value::Truth(true) => return "true".to_owned(),
            Value::Truth(false) => return "false".to_owned(),
        };
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// The last value of that name, which is the one that counts where QEMU allows several.
pub(super) fn last<'a>(items: &'a [Item], name: &[u8]) -> Option<&'a Value> {
    items
        .iter()
        .rfind(|item| item.name == name)
        .map(|item| &item.value)
}

/// The spans to cut out so that the items for which `is_cut` holds are gone with one comma each, and the
/// rest is what it was. In the text's order, and apart from each other.
pub(super) fn cuts(items: &[Item], is_cut: impl Fn(&Item) -> bool) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut kept_end = None;
    for (index, item) in items.iter().enumerate() {
        if !is_cut(item) {
            kept_end = Some(item.span.end);
        } else if kept_end.is_some() {
            // With the comma before it. What stands before that is kept, or cut up to its own end.
            spans.push(items[index - 1].span.end..item.span.end);
        } else {
            // Nothing is kept before it: with the comma after it.
            let end = items.get(index + 1).map_or(item.span.end, |next| next.span.start);
            spans.push(item.span.start..end);
        }
    }
    spans
}

/// The text with these spans replaced, which are in the text's order and apart from each other.
pub(super) fn splice(text: &[u8], edits: &[(Range<usize>, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for (span, new) in edits {
        out.extend_from_slice(&text[at..span.start]);
        out.extend_from_slice(new);
        at = span.end;
    }
    out.extend_from_slice(&text[at..]);
    out
}
