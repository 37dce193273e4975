//! What the tests stand on: a host in a temporary folder ([`Tree`]) and a kernel that reacts in it
//! ([`FakeKernel`]).

#![allow(
    dead_code,
    unused_imports,
    reason = "each test program uses its own part of this"
)]

pub(crate) mod fake;
mod files;
mod host;
pub(crate) mod observe;
pub(crate) mod parents;
mod snapshot;
mod tree;

pub(crate) use fake::FakeKernel;
pub(crate) use fake::config::FaultKind;
pub(crate) use snapshot::Snapshot;
pub(crate) use tree::{Tree, samples};
