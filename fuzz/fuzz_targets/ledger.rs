//! Whatever a file of the ledger holds, it is read or refused, and what is read is written as the same again; and a
//! file's name is a claimant's or none.

#![no_main]

#[path = "../../tests/corpora/ledger.rs"]
mod ledger;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ledger::check(bytes));
