//! Whatever the text, the settings are read or what is wrong is told on one line, and no wait is longer than an hour.

use std::time::Duration;

use automdev::model::settings::Settings;

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Settings::parse(text) {
        Ok(settings) => {
            let hour = Duration::from_secs(3600);
            let timeouts = settings.timeouts;
            assert!(timeouts.hook <= hour && timeouts.write <= hour && timeouts.idle <= hour);
        }
        Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
    }
}
