//! Whatever the arguments, QEMU gets them byte for byte but for what is ours; and what it gets is read as the same.

#![no_main]

#[path = "../../tests/corpora/qemu_argv.rs"]
mod qemu_argv;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| qemu_argv::check(bytes));
