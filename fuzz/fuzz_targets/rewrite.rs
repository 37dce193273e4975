//! Whatever the text, what comes out is a domain that says the same, and stays as it is when it goes in again.

#![no_main]

#[path = "../../tests/corpora/rewrite.rs"]
mod rewrite;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rewrite::check(bytes));
