//! Whatever the bytes, a domain is read, or it is told where it is wrong, in words that harm no terminal.

#![no_main]

#[path = "../../tests/corpora/domain.rs"]
mod domain;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| domain::check(bytes));
