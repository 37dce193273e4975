//! The small things that others say: names, a hook call's operation, what one of mdevctl's scripts answers, what `/proc` says
//! of a process. A name that is one cannot leave its folder, and prints as it is.

#![no_main]

#[path = "../../tests/corpora/words.rs"]
mod words;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| words::check(bytes));
