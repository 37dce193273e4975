//! The UUIDs of devices that are taken from a pool.

use std::collections::{BTreeMap, BTreeSet};

use uuid::{Uuid, uuid};

use super::super::domain::{Domain, Reading, Source};
use super::super::fault::Fault;
use super::super::names::{MdevUuid, PoolName};
use super::PoolUuids;

/// The namespace of the UUIDs (RFC 9562, version 5) of devices taken from a pool: itself the UUID of
/// `urn:automdev:domain:1` in the RFC's namespace for URLs.
///
/// The name within it is `POOL/ORDINAL/uuid:UUID` or, of a domain that has no UUID yet, `POOL/ORDINAL/name:NAME`:
/// the pool's name, the ordinal in decimal from 0 on, the domain's UUID in lower case with dashes, its name as it
/// is. A device gets the lowest ordinal whose UUID is not yet in the document. This never changes: the same domain
/// must come out the same on every host, today and after an upgrade.
pub const NAMESPACE: Uuid = uuid!("eed39ef3-9c36-5288-a962-9b1b1c06aa04");

/// The UUID for each of the domain's hostdevs that is to have one, or another one, than it has.
pub(super) fn assign(
    text: &str,
    reading: &Reading<'_, '_>,
    pools: PoolUuids,
) -> Result<Vec<Option<MdevUuid>>, Vec<Fault>> {
    let domain = &reading.domain;
    let is_given = |source: &Source| match source {
        Source::Pool(_) => true,
        Source::PoolAs(..) => pools == PoolUuids::Fresh,
        Source::Uuid(_) => false,
    };
    let Some(first) = domain.hostdevs.iter().find(|hostdev| is_given(&hostdev.source)) else {
        return Ok(vec![None; domain.hostdevs.len()]);
    };
    let Some(identity) = identity(domain) else {
        let message = "the UUID of a pool's device is derived from the domain's, or from its name: this domain has neither";
        return Err(vec![Fault::at(text, first.offset, message)]);
    };
    let kept = domain
        .hostdevs
        .iter()
        .filter(|hostdev| !is_given(&hostdev.source));
    let mut used: BTreeSet<MdevUuid> = kept.filter_map(|hostdev| hostdev.source.uuid()).collect();
    used.extend(&domain.stray);
    let mut ordinals = BTreeMap::<&PoolName, u64>::new();
    let uuids = domain.hostdevs.iter().map(|hostdev| {
        let pool = hostdev.source.pool().filter(|_| is_given(&hostdev.source))?;
        // What is used stays used, so the search goes on where it ended.
        let ordinal = ordinals.entry(pool).or_default();
        loop {
            let uuid = derive(&identity, pool, *ordinal);
            *ordinal += 1;
            if used.insert(uuid) {
                return Some(uuid);
            }
        }
    });
    Ok(uuids.collect())
}

fn identity(domain: &Domain) -> Option<String> {
    match domain.uuid {
        Some(uuid) => Some(format!("uuid:{uuid}")),
        None if domain.name.is_empty() => None,
        None => Some(format!("name:{}", domain.name)),
    }
}

fn derive(identity: &str, pool: &PoolName, ordinal: u64) -> MdevUuid {
    Uuid::new_v5(&NAMESPACE, format!("{pool}/{ordinal}/{identity}").as_bytes()).into()
}
