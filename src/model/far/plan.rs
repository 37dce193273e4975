//! What `automdev plan --format json` says on another host.

use serde::Deserialize;
use serde_json::Value;

use super::{End, FAILED, Reply, Silence, State, said};
use crate::model::plan::Startable;

/// The version of the objects that are understood.
const SCHEMA: u64 = 1;

/// Whether a domain can start there, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Whether.
    pub startable: Startable,
    /// Device by device, as it was said.
    pub devices: Vec<Value>,
    read: Vec<Device>,
}

/// What is shown of a device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Device {
    uuid: Option<String>,
    action: String,
    parent: Option<String>,
    #[serde(rename = "type")]
    mdev_type: Option<String>,
    code: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    file: String,
    startable: Startable,
    devices: Vec<Value>,
}

/// The most refusals of one domain that are shown.
const MOST_REFUSALS: usize = 8;

impl Plan {
    fn of(value: Value) -> Option<(String, Self)> {
        let line: Line = serde_json::from_value(value).ok()?;
        let devices = line.devices.iter();
        let read = devices.map(|device| serde_json::from_value(device.clone()));
        let plan = Plan {
            startable: line.startable,
            read: read.collect::<Result<_, _>>().ok()?,
            devices: line.devices,
        };
        Some((line.file, plan))
    }

    /// Where its devices would be, in few words; none where it cannot start.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        if self.startable == Startable::No {
            return None;
        }
        let mut places: Vec<String> = Vec::new();
        for device in &self.read {
            let (Some(mdev_type), Some(parent)) = (&device.mdev_type, &device.parent) else {
                continue;
            };
            let is_there = if device.action == "adopt" {
                ", there already"
            } else {
                ""
            };
            let place = format!("{} on {}{is_there}", said::shown(mdev_type), said::shown(parent));
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let others = places.len().saturating_sub(1);
        Some(match places.into_iter().next() {
            None if self.read.is_empty() => "no mediated devices".to_owned(),
            None => "there already".to_owned(),
            Some(first) if others == 0 => first,
            Some(first) => format!("{first}, and {others} more"),
        })
    }

    /// Why it cannot start: the devices that are in the way, and how many more there are.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        let is_refused =
            |device: &&Device| device.action == "refuse" || device.code.as_deref() == Some("not-there");
        let refused = self.read.iter().filter(is_refused);
        let others = refused.clone().count().saturating_sub(MOST_REFUSALS);
        let refusals = refused.take(MOST_REFUSALS).map(|device| {
            let uuid = device.uuid.as_deref().unwrap_or("a device of a pool");
            let reason = device.reason.as_deref().or(device.code.as_deref());
            format!(
                "{}: {}",
                said::shown(uuid),
                said::shown(reason.unwrap_or_default())
            )
        });
        let rest = (others > 0).then(|| format!("and {others} more"));
        refusals.chain(rest).collect()
    }
}

/// What a host says of each document, which it was given in one go where they are several. They go by these names here.
#[must_use]
pub fn read(reply: &Reply, files: &[&str]) -> Vec<Result<Plan, Silence>> {
    let ended = reply.status();
    if let (Err(silence), false) = (&ended, matches!(reply.end, End::Late(_))) {
        return vec![Err(silence.clone()); files.len()];
    }
    // What was said before the time had passed holds.
    let mut plans: Vec<Option<Plan>> = vec![None; files.len()];
    let mut newer = None;
    let text = String::from_utf8_lossy(&reply.stdout);
    // A shell may have greeted somebody before.
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        match value.get("schema").and_then(Value::as_u64) {
            Some(SCHEMA) => {}
            Some(other) => {
                newer = Some(other);
                continue;
            }
            None => continue,
        }
        if let Some((file, plan)) = Plan::of(value) {
            if let Some(place) = number(&file).and_then(|number| plans.get_mut(number)) {
                *place = Some(plan);
            }
        }
    }
    let silence = |number: usize| match (newer, &ended) {
        (_, Err(silence)) => silence.clone(),
        (Some(schema), _) => Silence::new(
            State::Newer,
            format!("its automdev answers in a newer form ({schema}); install a newer one here"),
        ),
        (None, Ok(FAILED)) => failure(reply, number, files),
        (None, Ok(_)) => reply.not_understood(),
    };
    let plans = plans.into_iter().enumerate();
    plans
        .map(|(number, plan)| plan.ok_or_else(|| silence(number)))
        .collect()
}

/// What is said of a domain that has something in it which is not known yet.
const NEEDS_NEWER: &str = "this domain needs a newer automdev";

/// Why it could not read a document there, or none of them.
fn failure(reply: &Reply, number: usize, files: &[&str]) -> Silence {
    let name = match files {
        [_] => STANDARD_INPUT.to_owned(),
        _ => document_name(number),
    };
    let file = files.get(number).copied().unwrap_or(STANDARD_INPUT);
    let reason = said::of_document(&reply.stderr, &reply.stdout, &name, file);
    // It was read here, so that only there something is not known yet.
    let state = if reason.contains(NEEDS_NEWER) {
        State::Older
    } else {
        State::Failed
    };
    Silence::new(state, reason)
}

/// Which of the documents it is, from nought, by the name that it has there.
fn number(file: &str) -> Option<usize> {
    match file.strip_prefix(STANDARD_INPUT)? {
        "" => Some(0),
        rest => {
            let number = rest.strip_prefix(" (")?.strip_suffix(')')?;
            number.parse::<usize>().ok()?.checked_sub(1)
        }
    }
}

/// What one document is called that is read from there.
pub const STANDARD_INPUT: &str = "standard input";

/// What the document of this number, from nought, is called where there are several.
#[must_use]
pub fn document_name(number: usize) -> String {
    format!("{STANDARD_INPUT} ({})", number + 1)
}

/// What stands behind each document where there are several: no XML has it.
pub const SEPARATOR: u8 = 0;

/// Of how many hosts it is asked that a domain can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// One of them.
    Any,
    /// Each of them.
    All,
}

/// The answer about one domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As many can as need be.
    Yes,
    /// They cannot.
    No,
    /// Those that would have to be asked do not answer.
    Unknown,
}

/// What follows from what the hosts say of one domain, none for those that did not answer.
#[must_use]
pub fn verdict(answers: &[Option<Startable>], need: Need) -> Verdict {
    let can = |answer: &Option<Startable>| answer.is_some_and(|startable| startable != Startable::No);
    match need {
        Need::Any if answers.iter().any(can) => Verdict::Yes,
        Need::Any if answers.iter().any(Option::is_some) => Verdict::No,
        Need::All if answers.contains(&Some(Startable::No)) => Verdict::No,
        Need::All if answers.iter().all(can) => Verdict::Yes,
        Need::Any | Need::All => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::domain::Domain;

    fn reply(status: i32, stdout: &str, stderr: &str) -> Reply {
        Reply {
            end: End::Exited(status),
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }

    fn line(file: &str, startable: &str, devices: &str) -> String {
        format!(
            r#"{{"schema":1,"file":"{file}","domain":{{"name":"x","uuid":null}},"startable":"{startable}","later":1,"devices":[{devices}]}}"#
        )
    }

    const ONE: [&str; 1] = ["a.xml"];
    const TWO: [&str; 2] = ["a.xml", "b.xml"];

    const CREATE: &str =
        r#"{"uuid":"u","action":"create","parent":"p","type":"t","model":"m","code":null,"reason":null}"#;

    #[test]
    fn an_answer_is_read_by_the_documents_names() {
        let one = line("standard input", "yes", CREATE);
        let greeted = format!("Welcome!\n{one}\n");
        let plan = read(&reply(0, &greeted, ""), &ONE).remove(0).expect("a plan");
        assert_eq!(plan.startable, Startable::Yes);
        assert_eq!(plan.place().as_deref(), Some("t on p"));
        assert_eq!(plan.devices[0]["model"], "m");

        let second = line("standard input (2)", "no", "");
        let both = read(&reply(1, &second, "automdev: the first is broken\n"), &TWO);
        assert_eq!(both[0], Err(Silence::new(State::Failed, "the first is broken")));
        assert_eq!(both[1].as_ref().map(|plan| plan.startable), Ok(Startable::No));
        // One that was never asked for changes nothing.
        let other = line("standard input (3)", "yes", "") + "\n" + &line("/etc/passwd", "yes", "");
        assert!(read(&reply(0, &other, ""), &TWO).iter().all(Result::is_err));
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let deep = "[".repeat(100_000);
        for (status, stdout, state) in [
            (0, "", State::NotUnderstood),
            (0, "hello\u{1b}", State::NotUnderstood),
            (0, "{}", State::NotUnderstood),
            (0, r#"{"schema":1}"#, State::NotUnderstood),
            (3, &line("standard input", "perhaps", ""), State::NotUnderstood),
            (0, &line("standard input", "yes", "7"), State::NotUnderstood),
            (0, &format!("{{\"schema\":{deep}"), State::NotUnderstood),
            (0, r#"{"schema":2,"file":"standard input"}"#, State::Newer),
            (1, "This account is currently not available.", State::Failed),
        ] {
            let silence = read(&reply(status, stdout, ""), &ONE)
                .remove(0)
                .expect_err(stdout);
            assert_eq!(silence.state, state, "{stdout}");
            assert!(!silence.reason.contains('\u{1b}'), "{}", silence.reason);
        }
    }

    #[test]
    fn what_was_said_in_time_holds() {
        let text = line("standard input (2)", "yes", "") + "\n" + r#"{"schema":1,"#;
        let late = Reply {
            end: End::Late(std::time::Duration::from_secs(3)),
            ..reply(0, &text, "")
        };
        let [first, second] = &read(&late, &TWO)[..] else {
            panic!("two");
        };
        assert_eq!(first, &Err(Silence::new(State::Late, "no answer within 3 s")));
        assert_eq!(second.as_ref().map(|plan| plan.startable), Ok(Startable::Yes));
    }

    #[test]
    fn each_document_has_what_is_said_of_it() {
        let newer = "<domain><metadata><a:devices xmlns:a='urn:automdev:domain:1'><a:x/></a:devices></metadata></domain>";
        let newer = Domain::parse(newer).expect_err("a newer one");
        let said = format!(
            "automdev: standard input (2):3:4: {}\nautomdev: standard input (1):1:1: z\n",
            newer[0].message
        );
        let silences = read(&reply(1, "", &said), &TWO);
        let silence = |state, reason: &str| Err(Silence::new(state, reason));
        assert_eq!(silences[0], silence(State::Failed, "a.xml:1:1: z"));
        let older = format!("b.xml:3:4: {}", newer[0].message);
        assert_eq!(silences[1], silence(State::Older, &older));
    }

    #[test]
    fn few_words_say_where() {
        let device = |action: &str, parent: &str, code: &str| {
            format!(
                r#"{{"uuid":"u","action":"{action}","parent":{parent},"type":"t","code":"{code}","reason":"r\u001b"}}"#
            )
        };
        for (startable, devices, place, refusals) in [
            ("yes", vec![], Some("no mediated devices"), 0),
            (
                "yes",
                vec![device("skip", "null", "not-marked")],
                Some("there already"),
                0,
            ),
            (
                "yes",
                vec![device("adopt", "\"p\"", "")],
                Some("t on p, there already"),
                0,
            ),
            (
                "uncertain",
                vec![
                    device("create", "\"p\"", ""),
                    device("create", "\"p\"", ""),
                    device("create", "\"q\"", ""),
                ],
                Some("t on p, and 1 more"),
                0,
            ),
            (
                "yes",
                vec![device("create", r#""\u001b""#, "")],
                Some("t on \"\\u{1b}\""),
                0,
            ),
            (
                "no",
                vec![device("create", "\"p\"", ""), device("refuse", "\"p\"", "x")],
                None,
                1,
            ),
            ("no", vec![device("skip", "null", "not-there")], None, 1),
            (
                "no",
                vec![device("refuse", "\"p\"", "x"); MOST_REFUSALS],
                None,
                MOST_REFUSALS,
            ),
        ] {
            let text = line("standard input", startable, &devices.join(","));
            let plan = read(&reply(0, &text, ""), &ONE).remove(0).expect("a plan");
            assert_eq!(plan.place().as_deref(), place);
            assert_eq!(plan.refusals(), vec!["u: \"r\\u{1b}\""; refusals]);
        }
        let twelve = vec![device("refuse", "\"p\"", "x"); 12].join(",");
        let text = line("standard input", "no", &twelve);
        let refusals = read(&reply(0, &text, ""), &ONE)
            .remove(0)
            .expect("a plan")
            .refusals();
        assert_eq!(refusals.len(), MOST_REFUSALS + 1);
        assert_eq!(refusals.last().map(String::as_str), Some("and 4 more"));
    }

    #[test]
    fn one_that_can_is_enough_unless_all_are_asked_for() {
        use Startable::{No, Uncertain, Yes};
        for (answers, any, all) in [
            (vec![Some(Yes), Some(Uncertain)], Verdict::Yes, Verdict::Yes),
            (vec![Some(Yes), Some(No)], Verdict::Yes, Verdict::No),
            (vec![Some(Yes), None], Verdict::Yes, Verdict::Unknown),
            (vec![Some(No), None], Verdict::No, Verdict::No),
            (vec![None, None], Verdict::Unknown, Verdict::Unknown),
        ] {
            assert_eq!(verdict(&answers, Need::Any), any, "{answers:?}");
            assert_eq!(verdict(&answers, Need::All), all, "{answers:?}");
        }
    }

    #[test]
    fn a_document_is_found_by_its_name() {
        for (name, found) in [
            (STANDARD_INPUT, Some(0)),
            (&document_name(0), Some(0)),
            (&document_name(41), Some(41)),
            ("standard input (0)", None),
            ("standard input (x)", None),
            ("vm.xml", None),
        ] {
            assert_eq!(number(name), found, "{name}");
        }
    }
}
