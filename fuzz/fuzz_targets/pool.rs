//! Whatever the bytes, a pool is read, or it is told where it is wrong; and its patterns match any name in time.

#![no_main]

#[path = "../../tests/corpora/pool.rs"]
mod pool;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pool::check(bytes));
