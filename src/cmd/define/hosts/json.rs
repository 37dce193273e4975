//! What came of it for programs: one object a host, one a line. Its keys are documented and stable.

use serde::Serialize;

use super::{Missing, Outcome};
use crate::cmd::format::{SCHEMA, push_json};
use crate::model::far::State;
use crate::model::names::{HostName, MdevUuid};

#[derive(Serialize)]
struct HostLine<'a> {
    schema: u32,
    host: &'a HostName,
    parent: Option<&'a str>,
    uuid: MdevUuid,
    defined: &'static str,
    model: Option<&'static str>,
    state: &'static str,
    reason: Option<&'a str>,
}

/// The lines of all hosts.
pub(super) fn lines(uuid: MdevUuid, outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for Outcome { on, result } in outcomes {
        let silence = result.as_ref().err().map(Missing::silence);
        let line = HostLine {
            schema: SCHEMA,
            host: &on.host,
            parent: on.parent.as_deref(),
            uuid,
            defined: match result {
                Ok(_) => "yes",
                Err(Missing::Refused(_)) => "no",
                Err(Missing::Unknown(_)) => "unknown",
            },
            model: result.as_ref().ok().map(|model| model.as_str()),
            state: silence.map_or(State::Answered, |silence| silence.state).as_str(),
            reason: silence.map(|silence| silence.reason.as_str()),
        };
        push_json(&mut text, &line);
    }
    text
}
