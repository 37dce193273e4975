//! Tests that run inside a disposable host, as root, with nothing faked.

mod host;
