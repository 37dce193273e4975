//! How long each thing is waited for.

use crate::host::clock::Deadline;
use crate::host::machine::{self, Machine};
use crate::model::plan::Wait;

/// When the waits of one call end. Each kind of them has its own time, from the moment at which there is
/// something of that kind to be waited for.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    claim: Option<Deadline>,
    late: Option<Deadline>,
    others: Option<Deadline>,
    busy: Option<Deadline>,
    room: Option<Deadline>,
    /// The host is still coming up; what is late then does not use up the call's budget.
    pub(super) is_at_boot: bool,
}

impl Bounds {
    /// When this wait ends.
    pub(super) fn until(&mut self, machine: &Machine<'_>, wait: &Wait) -> Deadline {
        let timeouts = &machine.timeouts;
        match wait {
            Wait::Claim(..) | Wait::Removal(_) | Wait::Creation(_) | Wait::Users => *self
                .claim
                .get_or_insert_with(|| machine.deadline.or_after(timeouts.claim)),
            Wait::Others(_) => *self
                .others
                .get_or_insert_with(|| machine.deadline.or_after(timeouts.claim)),
            Wait::Busy(_) => *self
                .busy
                .get_or_insert_with(|| machine.deadline.or_after(timeouts.claim.max(timeouts.gone))),
            // Its driver's time, and ours to remove it.
            Wait::Room(_) => *self
                .room
                .get_or_insert_with(|| machine.deadline.or_after(timeouts.gone + timeouts.idle)),
            Wait::Late(_) | Wait::LateMembers(_) => *self.late.get_or_insert_with(|| {
                self.is_at_boot = timeouts.is_at_boot(machine::uptime(&machine.root));
                if self.is_at_boot {
                    Deadline::after(timeouts.parent_at_boot)
                } else {
                    machine.deadline.or_after(timeouts.parent)
                }
            }),
        }
    }
}
