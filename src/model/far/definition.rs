//! What `automdev define` says on another host.

use super::{Reply, Silence};
use crate::model::domain::Model;
use crate::model::names::MdevUuid;

/// How a guest sees the device, where the host says that it has the definition now.
///
/// # Errors
/// It has not, or does not say so.
pub fn read(reply: &Reply, uuid: MdevUuid) -> Result<Model, Silence> {
    let status = reply.status()?;
    if status != 0 {
        return Err(reply.failure());
    }
    let text = String::from_utf8_lossy(&reply.stdout);
    let uuid = uuid.to_string();
    // A shell may have greeted somebody before.
    let mut rest = text.lines().skip_while(|line| line.trim() != uuid);
    if rest.next().is_none() {
        return Err(reply.not_understood());
    }
    let element = rest.next().unwrap_or_default();
    let says = |model: &Model| element.contains(&format!("model='{}'", model.as_str()));
    Model::ALL
        .into_iter()
        .find(says)
        .ok_or_else(|| reply.not_understood())
}

#[cfg(test)]
mod tests {
    use super::super::{End, State};
    use super::*;

    const UUID: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";

    #[test]
    fn only_what_define_prints_is_believed() {
        let good = format!("Hello\n{UUID}\n<hostdev mode='subsystem' type='mdev' model='vfio-ap'>\n");
        for (status, stdout, expected) in [
            (0, good.as_str(), Ok(Model::VfioAp)),
            (1, good.as_str(), Err(State::Failed)),
            (3, "", Err(State::Failed)),
            (0, "", Err(State::NotUnderstood)),
            (0, "fine\n", Err(State::NotUnderstood)),
            (0, UUID, Err(State::NotUnderstood)),
            (255, good.as_str(), Err(State::Unreachable)),
        ] {
            let reply = Reply {
                end: End::Exited(status),
                stdout: stdout.into(),
                stderr: Vec::new(),
            };
            let read = read(&reply, UUID.parse().expect("a UUID"));
            assert_eq!(read.map_err(|silence| silence.state), expected, "{stdout}");
        }
    }
}
