//! Whatever the bytes, a pool is read, or it is told where it is wrong; and its patterns match any name in time.

use automdev::model::fault::Place;
use automdev::model::pool::{Member, Pool};

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let name = "fuzzed".parse().expect("a name");
    match Pool::parse(name, text) {
        Err(fault) => {
            assert!(fault.place <= Place::of_offset(text, text.len()), "{fault:?}");
            assert_eq!(fault.to_string().lines().count(), 1, "{fault:?}");
        }
        Ok(pool) => {
            assert!(!pool.members.is_empty());
            for member in &pool.members {
                let Member::Type(member) = member else { continue };
                for parent in ["mtty", "0000:41:00.0", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
                    let parent = parent.parse().expect("a name");
                    assert!(
                        member
                            .rank(&parent)
                            .is_none_or(|rank| rank <= member.parents.len())
                    );
                }
            }
        }
    }
}
