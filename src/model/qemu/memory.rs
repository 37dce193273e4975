//! `-object memory-backend-*`: on which nodes of the host the guest's memory is (`HostMemoryBackendProperties` of
//! QEMU's `qapi/qom.json`).

use std::collections::BTreeSet;

use super::item::{self, Value};
use super::{json, key_value};
use crate::model::affinity::parse_list;

/// The nodes to which an object binds its memory; none where it is no memory or bound to none.
pub(super) fn nodes(text: &[u8]) -> BTreeSet<u32> {
    // By its first byte, as `vl.c` does.
    let items = if text.first() == Some(&b'{') {
        json::parse(text).unwrap_or_default()
    } else {
        key_value::parse(text, b"qom-type")
    };
    let text = |name: &[u8]| item::last(&items, name).and_then(Value::text);
    let is_memory = text(b"qom-type").is_some_and(|name| name.starts_with(b"memory-backend-"));
    // Without a policy, QEMU takes no nodes.
    let is_bound = text(b"policy").is_some_and(|policy| policy != b"default");
    if !is_memory || !is_bound {
        return BTreeSet::new();
    }
    // `host-nodes=0-1,host-nodes=3` adds up.
    let lists = items.iter().filter(|item| item.name == b"host-nodes");
    let lists = lists.filter_map(|item| match &item.value {
        Value::Text(list) => std::str::from_utf8(list).ok(),
        Value::Other(list) => {
            let list = std::str::from_utf8(list).ok()?;
            list.strip_prefix('[')?.strip_suffix(']')
        }
        Value::Truth(_) => None,
    });
    lists.filter_map(parse_list).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bound_as_qemu_reads_it() {
        for (text, expected) in [
            (
                "memory-backend-ram,id=m,size=1G,host-nodes=0-1,policy=bind",
                &[0, 1][..],
            ),
            (
                "qom-type=memory-backend-file,id=m,policy=preferred,host-nodes=3",
                &[3],
            ),
            (
                "memory-backend-memfd,host-nodes=0-1,host-nodes=3,policy=interleave,id=m",
                &[0, 1, 3],
            ),
            (
                r#"{"qom-type":"memory-backend-ram","id":"m","size":1073741824,"host-nodes":[1, 2],"policy":"bind"}"#,
                &[1, 2],
            ),
            (
                r#"{"qom-type":"memory-backend-ram","host-nodes":[],"policy":"bind"}"#,
                &[],
            ),
            ("memory-backend-ram,id=m,size=1G", &[]),
            // QEMU refuses these itself.
            ("memory-backend-ram,id=m,size=1G,host-nodes=1", &[]),
            ("memory-backend-ram,id=m,host-nodes=1,policy=default", &[]),
            ("memory-backend-ram,id=m,host-nodes=x,policy=bind", &[]),
            // Something else.
            ("iothread,id=m,host-nodes=1,policy=bind", &[]),
            ("{", &[]),
            ("", &[]),
        ] {
            let expected: BTreeSet<u32> = expected.iter().copied().collect();
            assert_eq!(nodes(text.as_bytes()), expected, "{text}");
        }
    }
}
