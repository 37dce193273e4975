//! Tests that run inside a disposable host, as root, with nothing faked.

mod by_libvirt;
mod check;
mod crashes;
mod definitions;
mod direct;
mod documents;
mod host;
mod hotplug;
mod observations;
mod packages;
mod pair;
mod plan;
mod pools;
mod races;
#[path = "../rewrite/random.rs"]
mod random;
mod reconcile;
mod rewrite;
mod run;
mod saved;
mod support;
