//! Whatever the text, what comes out is a domain that says the same, and stays as it is when it goes in again.

use automdev::model::domain::{Domain, Mark};
use automdev::model::names::PoolName;
use automdev::model::rewrite::{PoolUuids, rewrite};

/// What counts about the devices: whether each is marked, and of which pool it is.
fn devices(domain: &Domain) -> Vec<(bool, Option<&str>)> {
    let devices = domain.hostdevs.iter();
    devices
        .map(|hostdev| {
            (
                hostdev.mark == Mark::Yes,
                hostdev.source.pool().map(PoolName::as_str),
            )
        })
        .collect()
}

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let read = Domain::parse(text);
    for pools in [PoolUuids::Keep, PoolUuids::Fresh] {
        let Ok(rewritten) = rewrite(text, pools) else {
            continue;
        };
        let before = read.as_ref().expect("what is rewritten can be read");
        let after = Domain::parse(&rewritten.text).expect("what comes out can be read");
        assert_eq!(devices(before), devices(&after), "{}", rewritten.text);
        assert_eq!((&before.name, before.uuid), (&after.name, after.uuid));
        assert!(after.hostdevs.iter().all(|hostdev| hostdev.mark != Mark::No));
        assert_eq!(before.stray, after.stray);
        assert_eq!(rewritten.is_changed(), rewritten.text != text);
        for (before, after) in before.hostdevs.iter().zip(&after.hostdevs) {
            let uuid = after.source.uuid().expect("each has one");
            if pools == PoolUuids::Keep || before.source.pool().is_none() {
                assert!(before.source.uuid().is_none_or(|before| before == uuid));
            }
        }
        for again in [pools, PoolUuids::Keep] {
            let twice = rewrite(&rewritten.text, again).expect("what comes out goes in");
            assert!(!twice.is_changed(), "{}\n{}", rewritten.text, twice.text);
        }
    }
}
