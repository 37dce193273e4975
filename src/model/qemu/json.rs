//! `{"driver":"vfio-pci",…}`: the members of a JSON object, and where they stand.
//!
//! QEMU reads a little more than JSON (`qobject/json-lexer.c`, `json-parser.c`: strings in single quotes),
//! and where it reads a device, so must this. Where it refuses, this may read something: QEMU gets the text
//! and says what is wrong with it.

use super::item::{Item, Value};

/// Reads the members of an object; none where it is none, or broken.
pub(super) fn parse(text: &[u8]) -> Option<Vec<Item>> {
    let mut scanner = Scanner { text, at: 0 };
    let mut items = Vec::new();
    if scanner.next()? != b'{' {
        return None;
    }
    scanner.skip_space();
    if scanner.peek()? == b'}' {
        scanner.at += 1;
    } else {
        loop {
            items.push(scanner.member()?);
            match scanner.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
    }
    scanner.skip_space();
    (scanner.at == text.len()).then_some(items)
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// The next byte that is no white space.
    fn next(&mut self) -> Option<u8> {
        self.skip_space();
        self.take()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.at += 1;
        }
    }

    fn member(&mut self) -> Option<Item> {
        self.skip_space();
        let start = self.at;
        let name = self.string()?;
        if self.next()? != b':' {
            return None;
        }
        self.skip_space();
        let value = self.value()?;
        Some(Item {
            span: start..self.at,
            name,
            value,
        })
    }

    fn value(&mut self) -> Option<Value> {
        if matches!(self.peek()?, b'"' | b'\'') {
            return self.string().map(Value::Text);
        }
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' | b'\'' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 0 => depth -= 1,
                b'}' | b']' | b',' if depth == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
        let value = self.text[start..self.at].trim_ascii_end();
        self.at = start + value.len();
        match value {
            b"" => None,
            b"true" => Some(Value::Truth(true)),
            b"false" => Some(Value::Truth(false)),
            other => Some(Value::Other(other.to_vec())),
        }
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        let quote = self.take().filter(|byte| matches!(byte, b'"' | b'\''))?;
        let mut string = Vec::new();
        loop {
            match self.take()? {
                b'\\' => self.escape(&mut string)?,
                byte if byte == quote => return Some(string),
                byte => string.push(byte),
            }
        }
    }

    fn escape(&mut self, string: &mut Vec<u8>) -> Option<()> {
        string.push(match self.take()? {
            byte @ (b'"' | b'\'' | b'\\' | b'/') => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let character = self.character()?;
                string.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Some(());
            }
            _ => return None,
        });
        Some(())
    }

    /// What follows `\u`, with its second half where it is the first of a surrogate pair.
    fn character(&mut self) -> Option<char> {
        let first = self.hex()?;
        if let Some(character) = char::from_u32(first) {
            return Some(character);
        }
        if (self.take()?, self.take()?) != (b'\\', b'u') {
            return None;
        }
        let second = self.hex()?;
        let (high, low) = (first.checked_sub(0xd800)?, second.checked_sub(0xdc00)?);
        if high >= 0x400 || low >= 0x400 {
            return None;
        }
        char::from_u32(0x1_0000 + (high << 10 | low))
    }

    fn hex(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |number, _| {
            let digit = char::from(self.take()?).to_digit(16)?;
            Some(number << 4 | digit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.as_bytes().to_vec())
    }

    fn other(text: &str) -> Value {
        Value::Other(text.as_bytes().to_vec())
    }

    #[test]
    fn members_are_read_with_their_spans() {
        for (json, expected) in [
            ("{}", vec![]),
            ("{ }\n", vec![]),
            (r#"{"a":"b"}"#, vec![("a", text("b"), r#""a":"b""#)]),
            (
                r#"{ "a" : "b" , "c" :true, "d":false , "e":null,"f": -1.5e3 }"#,
                vec![
                    ("a", text("b"), r#""a" : "b""#),
                    ("c", Value::Truth(true), r#""c" :true"#),
                    ("d", Value::Truth(false), r#""d":false"#),
                    ("e", other("null"), r#""e":null"#),
                    ("f", other("-1.5e3"), r#""f": -1.5e3"#),
                ],
            ),
            (
                r#"{"a":{"pool":["}",{}]} , "b":[1,[2]]}"#,
                vec![
                    ("a", other(r#"{"pool":["}",{}]}"#), r#""a":{"pool":["}",{}]}"#),
                    ("b", other("[1,[2]]"), r#""b":[1,[2]]"#),
                ],
            ),
            ("{'a\"':'\"'}", vec![("a\"", text("\""), "'a\"':'\"'")]),
            (
                r#"{"p\u006fol":"\"\\\/\b\f\n\r\t\'\u00e4\ud83d\ude00"}"#,
                vec![(
                    "pool",
                    text("\"\\/\u{8}\u{c}\n\r\t'ä😀"),
                    r#""p\u006fol":"\"\\\/\b\f\n\r\t\'\u00e4\ud83d\ude00""#,
                )],
            ),
        ] {
            let items = parse(json.as_bytes()).expect(json);
            let read: Vec<_> = items
                .iter()
                .map(|item| {
                    let name = String::from_utf8_lossy(&item.name).into_owned();
                    (name, item.value.clone(), &json[item.span.clone()])
                })
                .collect();
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(name, value, span)| (name.to_owned(), value, span))
                .collect();
            assert_eq!(read, expected, "{json}");
        }
    }

    #[test]
    fn what_is_broken_has_no_members() {
        for json in [
            "",
            "{",
            "[]",
            "x",
            "{}}",
            "{} x",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1"#,
            r#"{"a":[1}"#,
            r#"{"a":1,}"#,
            r#"{,"a":1}"#,
            "{a:1}",
            r#"{"a":"b}"#,
            r#"{"a":"b'}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\u00g0"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\ud800\ud800"}"#,
            r#"{"a":"\udc00\udc00"}"#,
            r#"{"a" 1}"#,
        ] {
            assert_eq!(parse(json.as_bytes()), None, "{json}");
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        assert_eq!(parse(deep.as_bytes()).map(|items| items.len()), Some(1));
    }
}
