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
    let mut is_any_kept = false;
    for (index, item) in items.iter().enumerate() {
        if !is_cut(item) {
            is_any_kept = true;
        } else if is_any_kept {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts the items of this text that start with `x`.
    fn cut(text: &str) -> String {
        let mut at = 0;
        let items: Vec<Item> = text
            .split(',')
            .map(|part| {
                let start = at + (part.len() - part.trim_start().len());
                at += part.len() + 1;
                Item {
                    span: start..start + part.trim().len(),
                    name: part.trim().as_bytes().to_vec(),
                    value: Value::Truth(true),
                }
            })
            .collect();
        let edits: Vec<_> = cuts(&items, |item| item.name.starts_with(b"x"))
            .into_iter()
            .map(|span| (span, Vec::new()))
            .collect();
        String::from_utf8(splice(text.as_bytes(), &edits)).expect("it is UTF-8")
    }

    #[test]
    fn each_cut_takes_one_comma_with_it() {
        for (text, expected) in [
            ("a,b", "a,b"),
            ("a,x,b", "a,b"),
            ("a,x", "a"),
            ("x,a", "a"),
            ("x,x,a,x,x,b,x,x", "a,b"),
            ("x", ""),
            ("x,x", ""),
            (" x , a , x , b ", " a , b "),
            (" a , x ", " a "),
        ] {
            assert_eq!(cut(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_last_value_of_a_name_counts() {
        let item = |name: &[u8], truth| Item {
            span: 0..0,
            name: name.to_vec(),
            value: Value::Truth(truth),
        };
        let items = [item(b"a", true), item(b"b", true), item(b"a", false)];
        assert_eq!(last(&items, b"a"), Some(&Value::Truth(false)));
        assert_eq!(last(&items, b"c"), None);
    }
}
