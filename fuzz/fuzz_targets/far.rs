//! Whatever other hosts print and say, it is read or told as no answer, and harms no terminal.

#![no_main]

#[path = "../../tests/corpora/far.rs"]
mod far;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| far::check(bytes));
