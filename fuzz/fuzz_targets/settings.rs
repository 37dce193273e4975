//! Whatever the text, the settings are read or what is wrong is told on one line, and no wait is longer than an hour.

#![no_main]

use std::time::Duration;

use automdev::model::settings::Settings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Settings::parse(text) {
        Ok(settings) => {
            let hour = Duration::from_secs(3600);
            let timeouts = settings.timeouts;
            assert!(timeouts.hook <= hour && timeouts.write <= hour && timeouts.idle <= hour);
        }
        Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
    }
});
