//! mdevctl's scripts: what they are called with, and what they answer (mdevctl(8), "Invoking external scripts").

use serde::Deserialize;

use super::definition::{Attribute, Definition, Start};
use super::names::{MdevUuid, ParentName, TypeName};

/// When a script is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// To be asked what it knows.
    Get,
    /// Before the act.
    Pre,
    /// After it.
    Post,
    /// After all, to be told.
    Notify,
}

impl Event {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Event::Get => "get",
            Event::Pre => "pre",
            Event::Post => "post",
            Event::Notify => "notify",
        }
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// A script says what it knows.
    Capabilities,
    /// A device is made.
    Start,
    /// A device is removed.
    Stop,
}

impl Act {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Act::Capabilities => "capabilities",
            Act::Start => "start",
            Act::Stop => "stop",
        }
    }
}

/// How far the act is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It has not been tried.
    None,
    /// It was done.
    Success,
    /// It failed.
    Failure,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::None => "none",
            Outcome::Success => "success",
            Outcome::Failure => "failure",
        }
    }
}

/// The device that an act is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Which.
    pub uuid: MdevUuid,
    /// Where.
    pub parent: ParentName,
    /// As what.
    pub mdev_type: TypeName,
}

impl Subject {
    /// What a script is called with.
    #[must_use]
    pub fn arguments(&self, event: Event, act: Act, outcome: Outcome) -> Vec<String> {
        let pairs = [
            ("-t", self.mdev_type.to_string()),
            ("-e", event.as_str().to_owned()),
            ("-a", act.as_str().to_owned()),
            ("-s", outcome.as_str().to_owned()),
            ("-u", self.uuid.to_string()),
            ("-p", self.parent.to_string()),
        ];
        let pairs = pairs.into_iter();
        pairs
            .flat_map(|(option, value)| [option.to_owned(), value])
            .collect()
    }

    /// What a script is given before and after a start: the definition.
    #[must_use]
    pub fn start_input(&self, start: Start, attributes: &[Attribute]) -> String {
        self.input(start, attributes.to_vec())
    }

    /// What a script is given before and after a stop: what mdevctl sees of an active device, which is no
    /// attribute.
    #[must_use]
    pub fn stop_input(&self) -> String {
        self.input(Start::Manual, Vec::new())
    }

    fn input(&self, start: Start, attributes: Vec<Attribute>) -> String {
        let definition = Definition {
            mdev_type: self.mdev_type.clone(),
            start,
            attributes,
        };
        serde_json::to_string(&definition).expect("a definition can be written down")
    }
}

/// What a script is given when it is asked what it knows: what mdevctl 1.4 says of itself, as automdev calls
/// scripts as that does.
pub const PROVIDES: &str = r#"{"provides":{"version":2,"actions":["start","stop","define","undefine","modify","attributes","capabilities"],"events":["pre","post","notify","get","live"]}}"#;

/// What a script knows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Supports {
    // Read so that what has none is no answer.
    #[serde(rename = "version")]
    _version: u32,
    actions: Vec<String>,
    events: Vec<String>,
}

impl Supports {
    /// Reads a script's answer; none where it is another one, as of a script that does not know the question.
    #[must_use]
    pub fn parse(answer: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer {
            supports: Option<Supports>,
        }
        let end = answer
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        serde_json::from_slice::<Answer>(&answer[..end]).ok()?.supports
    }

    /// Whether it knows what to do.
    #[must_use]
    pub fn knows(&self, event: Event, act: Act) -> bool {
        self.actions.iter().any(|name| name == act.as_str())
            && self.events.iter().any(|name| name == event.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject {
            uuid: "c2177883-f1bb-47f0-914d-32a22e3a8804".parse().expect("a UUID"),
            parent: "mtty".parse().expect("a name"),
            mdev_type: "mtty-1".parse().expect("a name"),
        }
    }

    #[test]
    fn a_script_is_called_as_mdevctl_calls_it() {
        let arguments = subject().arguments(Event::Post, Act::Stop, Outcome::Failure);
        assert_eq!(
            arguments.join(" "),
            "-t mtty-1 -e post -a stop -s failure -u c2177883-f1bb-47f0-914d-32a22e3a8804 -p mtty"
        );
        let attributes = ["power/control=on", "power/control=auto\n"].map(|text| text.parse().expect(text));
        assert_eq!(
            subject().start_input(Start::Auto, &attributes),
            r#"{"mdev_type":"mtty-1","start":"auto","attrs":[{"power/control":"on"},{"power/control":"auto\n"}]}"#
        );
        assert_eq!(
            subject().stop_input(),
            r#"{"mdev_type":"mtty-1","start":"manual","attrs":[]}"#
        );
    }

    #[test]
    fn what_a_script_knows_is_read_as_mdevctl_reads_it() {
        let answer = br#"{"supports":{"version":2,"actions":["start","later"],"events":["pre","post"]}}"#;
        for answer in [answer.to_vec(), [&answer[..], b"\n\0\0"].concat()] {
            let supports = Supports::parse(&answer).expect("an answer");
            assert!(supports.knows(Event::Pre, Act::Start));
            assert!(!supports.knows(Event::Pre, Act::Stop));
            assert!(!supports.knows(Event::Notify, Act::Start));
        }
        for answer in [
            "",
            "\0",
            "{}",
            "[]",
            r#"{"supports":null}"#,
            r#"{"supports":{"actions":[],"events":[]}}"#,
            "usage: x",
        ] {
            assert_eq!(Supports::parse(answer.as_bytes()), None, "{answer}");
        }
    }
}
