//! What libvirt passes to its `qemu` hook: `PATH DOMAIN OPERATION SUB_OPERATION EXTRA`, see libvirt's "Hooks
//! for specific system management".

use std::ffi::OsStr;

/// What a hook call is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// `prepare begin`: the domain is about to start and nothing of it has been looked at yet.
    Prepare,
    /// `release end`: the domain has stopped, or its start has failed, and nothing of it is left.
    Release,
    /// Whatever else libvirt says, now or in years to come: there is nothing to do, and nothing may fail. A
    /// failed `reconnect` would end a running domain.
    Other,
}

impl Event {
    /// Reads operation and sub-operation.
    #[must_use]
    pub fn parse(operation: &OsStr, sub_operation: &OsStr) -> Self {
        match (operation.as_encoded_bytes(), sub_operation.as_encoded_bytes()) {
            (b"prepare", b"begin") => Event::Prepare,
            (b"release", b"end") => Event::Release,
            _ => Event::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prepare_begin_and_release_end_are_to_be_done() {
        for (operation, sub_operation, event) in [
            ("prepare", "begin", Event::Prepare),
            ("release", "end", Event::Release),
            ("prepare", "end", Event::Other),
            ("release", "begin", Event::Other),
            ("start", "begin", Event::Other),
            ("started", "begin", Event::Other),
            ("stopped", "end", Event::Other),
            ("reconnect", "begin", Event::Other),
            ("migrate", "begin", Event::Other),
            ("restore", "begin", Event::Other),
            ("attach", "begin", Event::Other),
            ("", "", Event::Other),
            ("Prepare", "begin", Event::Other),
        ] {
            let read = Event::parse(operation.as_ref(), sub_operation.as_ref());
            assert_eq!(read, event, "{operation} {sub_operation}");
        }
    }
}
