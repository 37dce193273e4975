//! What was tried in vain, and is left alone for a while: what a driver does not do is not asked of it all the time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::host::clock::Deadline;
use crate::model::leftover::Leftover;
use crate::model::names::MdevUuid;

/// For so long nothing is tried again after the first time, and at most later; twice as long each time.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What was tried in vain, device by device.
#[derive(Debug, Default)]
pub(super) struct Rests(BTreeMap<MdevUuid, Rest>);

#[derive(Debug)]
struct Rest {
    until: Deadline,
    pause: Duration,
    /// Why it stays.
    left: Leftover,
}

impl Rests {
    /// Puts in the place of what could be tried, but rests, why it stays. Whether anything can be tried now.
    pub(super) fn apply(&self, left: &mut [Leftover]) -> bool {
        let mut is_due = false;
        for one in left.iter_mut().filter(|one| one.outcome.hindrance().is_none()) {
            let rest = one.uuid.and_then(|uuid| self.0.get(&uuid));
            match rest.filter(|rest| !rest.until.has_passed()) {
                Some(rest) => *one = rest.left.clone(),
                None => is_due = true,
            }
        }
        is_due
    }

    /// Notes what has come of these, which were tried.
    pub(super) fn note(&mut self, tried: &[MdevUuid], left: &[Leftover]) {
        for uuid in tried {
            let of_it = |one: &&Leftover| one.uuid == Some(*uuid) && one.outcome.hindrance().is_some();
            let Some(left) = left.iter().find(of_it).cloned() else {
                self.0.remove(uuid);
                continue;
            };
            let before = self.0.get(uuid).map(|rest| rest.pause);
            let pause = before.map_or(PAUSES.0, |pause| (pause * 2).min(PAUSES.1));
            let until = Deadline::after(pause);
            self.0.insert(*uuid, Rest { until, pause, left });
        }
    }
}
