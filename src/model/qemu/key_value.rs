//! `driver,key=value,…`: QEMU's options as `get_opt_name_value` of its `util/qemu-option.c` reads them.

use super::item::{Item, Value};

/// Reads the properties of a text whose first one may be a value without a name, which is then `implied`.
///
/// In a value a doubled comma is a comma. A name without a value is `on`, or `off` under the rest of its
/// name where that starts with `no`. Nothing is malformed.
pub(super) fn parse(text: &[u8], implied: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let start = at;
        let name_end = text[at..]
            .iter()
            .position(|byte| b"=,".contains(byte))
            .map_or(text.len(), |length| at + length);
        let name = &text[at..name_end];
        let (name, value) = if text.get(name_end) == Some(&b'=') {
            at = name_end + 1;
            (name, Value::Text(read_value(text, &mut at)))
        } else if start == 0 {
            (implied, Value::Text(read_value(text, &mut at)))
        } else {
            at = name_end;
            name.strip_prefix(b"no")
                .map_or((name, Value::Truth(true)), |name| (name, Value::Truth(false)))
        };
        items.push(Item {
            span: start..at,
            name: name.to_vec(),
            value,
        });
        // The comma after it, or one past the end.
        at += 1;
    }
    items
}

/// Reads a value up to its comma.
fn read_value(text: &[u8], at: &mut usize) -> Vec<u8> {
    let mut value = Vec::new();
    while let Some(byte) = text.get(*at) {
        if *byte == b',' {
            if text.get(*at + 1) != Some(&b',') {
                break;
            }
            *at += 1;
        }
        value.push(*byte);
        *at += 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text.as_bytes(), b"driver")
            .iter()
            .map(|item| {
                let value = item.value.text().expect("it is text");
                (
                    String::from_utf8_lossy(&item.name).into_owned(),
                    String::from_utf8_lossy(value).into_owned(),
                )
            })
            .collect()
    }

    /// What QEMU 7.2 said to these (by its error messages), but for those without a driver.
    #[test]
    fn a_text_is_read_as_qemu_reads_it() {
        for (text, expected) in [
            ("", vec![]),
            ("vfio-pci", vec![("driver", "vfio-pci")]),
            ("vfio-pci,", vec![("driver", "vfio-pci")]),
            ("vfio-pci,id=a", vec![("driver", "vfio-pci"), ("id", "a")]),
            ("id=a,driver=vfio-pci", vec![("id", "a"), ("driver", "vfio-pci")]),
            ("a,,b,c=d,,,e=f", vec![("driver", "a,b"), ("c", "d,"), ("e", "f")]),
            ("a,b=,,", vec![("driver", "a"), ("b", ",")]),
            ("a,b=,,,", vec![("driver", "a"), ("b", ",")]),
            ("a,b=c=d", vec![("driver", "a"), ("b", "c=d")]),
            ("a,b,nob", vec![("driver", "a"), ("b", "on"), ("b", "off")]),
            ("a,no", vec![("driver", "a"), ("", "off")]),
            ("a,b=1,,c", vec![("driver", "a"), ("b", "1,c")]),
            (
                "a,b,,c=1",
                vec![("driver", "a"), ("b", "on"), ("", "on"), ("c", "1")],
            ),
            (",a=b", vec![("driver", ""), ("a", "b")]),
            ("=b", vec![("", "b")]),
            ("a, b=c", vec![("driver", "a"), (" b", "c")]),
        ] {
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_span_has_neither_comma() {
        let text = b"vfio-pci,pool=a,,b,flag,id=c,";
        let spans: Vec<&[u8]> = parse(text, b"driver")
            .into_iter()
            .map(|item| &text[item.span])
            .collect();
        assert_eq!(spans, [&b"vfio-pci"[..], b"pool=a,,b", b"flag", b"id=c"]);
    }
}
