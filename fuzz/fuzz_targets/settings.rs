//! Whatever the text, the settings are read or what is wrong is told on one line, and no wait is longer than an hour.

#![no_main]

#[path = "../../tests/corpora/settings.rs"]
mod settings;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| settings::check(bytes));
