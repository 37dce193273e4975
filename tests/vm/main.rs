//! Tests that run inside a disposable host, as root, with nothing faked.

mod hook;
mod host;
mod libvirt_hook;
mod support;
