//! What `automdev define` says on another host.

use super::{End, FAILED, NOT_EXECUTABLE, NOT_FOUND, Reply, Silence, USAGE};
use crate::model::domain::Model;
use crate::model::names::MdevUuid;

/// Why a host does not say that it has the definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// It was not written.
    Refused(Silence),
    /// It may have been.
    Unknown(Silence),
}

impl Missing {
    /// Why.
    #[must_use]
    pub const fn silence(&self) -> &Silence {
        let (Missing::Refused(silence) | Missing::Unknown(silence)) = self;
        silence
    }
}

/// How a guest sees the device, where the host says that it has the definition now.
///
/// # Errors
/// It has not, or does not say so.
pub fn read(reply: &Reply, uuid: MdevUuid) -> Result<Model, Missing> {
    let text = String::from_utf8_lossy(&reply.stdout);
    let uuid = uuid.to_string();
    // A shell may have greeted somebody before. It is printed once all is written.
    let mut rest = text.lines().skip_while(|line| line.trim() != uuid);
    let is_written = rest.next().is_some();
    let element = rest.next().unwrap_or_default();
    let says = |model: &Model| element.contains(&format!("model='{}'", model.as_str()));
    let model = Model::ALL.into_iter().find(says);
    let silence = match (reply.status(), model) {
        (Ok(0), Some(model)) => return Ok(model),
        (Err(_), Some(model)) if matches!(reply.end, End::Late(_)) => return Ok(model),
        (Ok(0), None) => reply.not_understood(),
        (Ok(_), _) => reply.failure(),
        (Err(silence), _) => silence,
    };
    // Any other status, that of a killed one say, tells nothing of what was done before.
    let is_refused = match reply.end {
        End::Exited(FAILED | USAGE | NOT_EXECUTABLE | NOT_FOUND) => !is_written,
        End::NotStarted(_) => true,
        _ => false,
    };
    Err(if is_refused {
        Missing::Refused(silence)
    } else {
        Missing::Unknown(silence)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::State;
    use super::*;

    const UUID: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";

    #[test]
    fn only_what_define_prints_is_believed() {
        let good = format!("Hello\n{UUID}\n<hostdev mode='subsystem' type='mdev' model='vfio-ap'>\n");
        let late = || End::Late(Duration::from_secs(1));
        let not_started = End::NotStarted("x".to_owned());
        for (end, stdout, expected) in [
            (End::Exited(0), good.as_str(), Ok(Model::VfioAp)),
            (late(), good.as_str(), Ok(Model::VfioAp)),
            (late(), "", Err((State::Late, false))),
            (late(), UUID, Err((State::Late, false))),
            (End::Exited(1), "", Err((State::Failed, true))),
            (End::Exited(1), good.as_str(), Err((State::Failed, false))),
            (End::Exited(2), "", Err((State::Older, true))),
            (End::Exited(3), "", Err((State::Failed, false))),
            (End::Exited(126), "", Err((State::NoAutomdev, true))),
            (End::Exited(127), "", Err((State::NoAutomdev, true))),
            // A shell's that has seen it killed.
            (End::Exited(137), "", Err((State::Failed, false))),
            (End::Exited(0), "", Err((State::NotUnderstood, false))),
            (End::Exited(0), "fine\n", Err((State::NotUnderstood, false))),
            (End::Exited(0), UUID, Err((State::NotUnderstood, false))),
            (End::Exited(255), good.as_str(), Err((State::Unreachable, false))),
            (End::Killed(9), "", Err((State::Unreachable, false))),
            (End::TooMuch, good.as_str(), Err((State::TooMuch, false))),
            (not_started, "", Err((State::NotAsked, true))),
        ] {
            let reply = Reply {
                end,
                stdout: stdout.into(),
                stderr: Vec::new(),
            };
            let read = read(&reply, UUID.parse().expect("a UUID")).map_err(|missing| {
                let is_refused = matches!(missing, Missing::Refused(_));
                (missing.silence().state, is_refused)
            });
            assert_eq!(read, expected, "{:?} {stdout}", reply.end);
        }
    }
}
