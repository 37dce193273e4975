//! The small things that others say: names, a hook call's operation, what one of mdevctl's scripts answers, what `/proc` says
//! of a process. A name that is one cannot leave its folder, and prints as it is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use automdev::host::processes::parse_stat;
use automdev::model::callout::Supports;
use automdev::model::hook_call::Event;
use automdev::model::names::{
    AttributePath, MdevUuid, ParentName, PoolName, Shown, TypeName, is_unprintable,
};

fn check_name(name: &str) {
    assert!(
        !name.contains(['/', '\0']) && !matches!(name, "" | "." | ".."),
        "{name:?}"
    );
}

pub(crate) fn check(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0).map(OsStr::from_bytes);
    let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let event = Event::parse(first, second);
    let is_ours = matches!(
        (first.as_bytes(), second.as_bytes()),
        (b"prepare", b"begin") | (b"release", b"end")
    );
    assert_eq!(event != Event::Other, is_ours);
    drop(Supports::parse(bytes));
    if let Some(process) = parse_stat(1, bytes) {
        assert!(!process.name.contains(is_unprintable), "{process:?}");
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    assert!(!Shown(text).to_string().contains(is_unprintable), "{text:?}");
    if let Ok(name) = text.parse::<ParentName>() {
        check_name(name.as_str());
    }
    if let Ok(name) = text.parse::<TypeName>() {
        check_name(name.as_str());
    }
    if let Ok(name) = text.parse::<PoolName>() {
        check_name(name.as_str());
    }
    if let Ok(path) = text.parse::<AttributePath>() {
        path.as_str().split('/').for_each(check_name);
    }
    if let Ok(uuid) = text.parse::<MdevUuid>() {
        assert_eq!(uuid.to_string().parse::<MdevUuid>().ok(), Some(uuid));
    }
}
