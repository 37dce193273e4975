//! Whatever the bytes, a domain is read, or it is told where it is wrong, in words that harm no terminal. Where a glance
//! says that it has no mediated device, it has none.

use automdev::cmd::colour::Palette;
use automdev::cmd::diagnostic::Diagnostic;
use automdev::model::domain::{Domain, decode, glance, of_status};
use automdev::model::fault::{Fault, MOST_FAULTS, Place};

fn check_faults(text: &str, faults: &[Fault]) {
    assert!((1..=MOST_FAULTS).contains(&faults.len()), "{faults:?}");
    assert!(faults.is_sorted_by_key(|fault| fault.place), "{faults:?}");
    let end = Place::of_offset(text, text.len());
    for fault in faults {
        assert!(fault.place <= end, "{fault:?}");
        let shown = Diagnostic {
            name: "f",
            text,
            fault,
            palette: Palette::PLAIN,
        };
        let shown = shown.to_string();
        assert!(
            !shown.contains(|c: char| c.is_control() && c != '\n'),
            "{shown:?}"
        );
        assert_eq!(shown.lines().count(), 3, "{shown:?}");
    }
}

pub(crate) fn check(bytes: &[u8]) {
    // What is no text is not read, either, where it has none.
    if glance(bytes).is_some() {
        let text = String::from_utf8_lossy(bytes);
        let devices = Domain::parse(&text).map_or(0, |domain| domain.hostdevs.len());
        assert_eq!((devices, text.contains("mdev")), (0, false), "{text}");
    }
    match decode(bytes.to_vec()) {
        Err((text, fault)) => check_faults(&text, &[fault]),
        Ok(text) => {
            match of_status(&text) {
                Ok(domain) => assert!(text.contains(domain)),
                Err(faults) => check_faults(&text, &faults),
            }
            let seen = glance(text.as_bytes());
            match (Domain::parse(&text), seen) {
                (Ok(domain), Some(plain)) => {
                    assert_eq!((domain.hostdevs.len(), domain.uuid), (0, plain.uuid), "{text}");
                }
                (Ok(_), None) => {}
                (Err(faults), _) => check_faults(&text, &faults),
            }
        }
    }
}
