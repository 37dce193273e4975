//! Whatever the arguments, QEMU gets them byte for byte but for what is ours; and what it gets is read as the same.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use automdev::model::names::is_unprintable;
use automdev::model::qemu::CommandLine;

pub(crate) fn check(bytes: &[u8]) {
    let arguments: Vec<OsString> = bytes
        .split(|byte| *byte == 0)
        .map(|argument| OsString::from_vec(argument.to_vec()))
        .collect();
    let line = match CommandLine::parse(arguments.clone()) {
        Ok(line) => line,
        Err(refused) => {
            let text = refused.to_string();
            assert!(!text.contains(is_unprintable), "{text:?}");
            return;
        }
    };
    let rendered = line.render(&BTreeMap::new());
    assert_eq!(rendered.len(), arguments.len());
    let numbers: Vec<usize> = line.devices.iter().map(|device| device.number).collect();
    for (index, (before, after)) in arguments.iter().zip(&rendered).enumerate() {
        let says = |text: &OsString| String::from_utf8_lossy(text.as_encoded_bytes()).contains("autocreate");
        assert!(
            before == after || numbers.contains(&(index + 1)) || says(before),
            "{before:?} became {after:?}"
        );
    }
    // Rendering takes out what is ours, so that it is no change the second time.
    let again = match CommandLine::parse(rendered.clone()) {
        Ok(again) => again,
        // A device that was to be left alone says so no more, and may be spelt as only others would.
        Err(refused) => {
            assert!(rendered != arguments, "{refused}");
            return;
        }
    };
    assert_eq!(again.render(&BTreeMap::new()), rendered);
    assert_eq!(again.devices.len(), line.devices.len());
    assert_eq!((again.daemonize, again.paused), (line.daemonize, line.paused));
}
