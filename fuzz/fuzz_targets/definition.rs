//! Whatever the bytes, a definition is read or refused in words; what is read is written and read again as the same, in
//! mdevctl's form and in libvirt's.

#![no_main]

#[path = "../../tests/corpora/definition.rs"]
mod definition;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| definition::check(bytes));
