//! What other hosts print and say: it is read or told as no answer, and whatever of it is shown harms no terminal. A word of a
//! command stays that word in a shell.

use automdev::model::far::{End, Reply, Silence, State, command, definition, plan};
use automdev::model::names::{HostName, MdevUuid, is_unprintable};
use automdev::model::plan::Startable;

/// The statuses that mean something, and one that means nothing.
const STATUSES: [i32; 8] = [0, 1, 3, 2, 42, 126, 127, 255];

fn check_shown(text: &str) {
    assert!(!text.is_empty() && !text.contains(is_unprintable), "{text:?}");
}

fn check_silence(silence: &Silence) {
    assert_ne!(silence.state, State::Answered);
    check_shown(&silence.reason);
}

/// What a shell makes of a word.
fn read_by_a_shell(word: &str) -> String {
    let mut read = String::new();
    let mut is_quoted = false;
    let mut rest = word.chars();
    while let Some(one) = rest.next() {
        match one {
            '\'' => is_quoted = !is_quoted,
            '\\' if !is_quoted => read.extend(rest.next()),
            _ => {
                assert!(
                    is_quoted || one.is_ascii_alphanumeric() || "-_./:@%+".contains(one),
                    "{word:?}"
                );
                read.push(one);
            }
        }
    }
    assert!(!is_quoted, "{word:?}");
    read
}

pub(crate) fn check(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let status = STATUSES[usize::from(first % 8)];
    let documents = 1 + usize::from(first / 8 % 4);
    let mut parts = rest.splitn(2, |byte| *byte == 0);
    let reply = Reply {
        end: End::Exited(status),
        stdout: parts.next().unwrap_or_default().to_vec(),
        stderr: parts.next().unwrap_or_default().to_vec(),
    };
    let plans = plan::read(
        &reply,
        &["vm.xml", "\"\\u{1b}.xml\"", "-", "standard input"][..documents],
    );
    assert_eq!(plans.len(), documents);
    for plan in plans {
        match plan {
            Ok(plan) => {
                assert!([0, 1, 3].contains(&status));
                let place = plan.place();
                assert_eq!(place.is_none(), plan.startable == Startable::No);
                place
                    .iter()
                    .chain(&plan.refusals())
                    .for_each(|text| check_shown(text));
            }
            Err(silence) => check_silence(&silence),
        }
    }
    reply.notes().iter().for_each(|note| check_shown(note));
    let uuid: MdevUuid = "c2177883-f1bb-47f0-914d-32a22e3a8804".parse().expect("a UUID");
    match definition::read(&reply, uuid) {
        Ok(_) => assert_eq!(status, 0),
        Err(missing) => check_silence(missing.silence()),
    }
    let Ok(word) = std::str::from_utf8(rest) else {
        return;
    };
    assert_eq!(read_by_a_shell(&command::quoted(word)), word);
    if let Ok(host) = word.parse::<HostName>() {
        assert!(!host.as_str().starts_with('-'));
        check_shown(host.as_str());
        assert!(!host.as_str().contains("://-"), "{host}");
        // Such a name needs no quotes but where brackets and the like stand in it.
        assert!(!host.as_str().contains([' ', '\'', '"', '$', '`', ';']));
    }
}
