//! Whatever the text, libvirt's XML of a node device is read or refused, and names that are read are names.

#![no_main]

#[path = "../../tests/corpora/nodedev.rs"]
mod nodedev;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nodedev::check(bytes));
