//! Tests that run inside a disposable host, as root, with nothing faked.

mod by_libvirt;
mod direct;
mod host;
mod observations;
mod support;
