//! Tests over a host in a temporary folder, with a kernel that reacts as the real one does.

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod callouts;
mod check;
mod counts;
mod definitions;
mod fake;
mod far;
mod far_documents;
mod hook;
mod hotplug;
mod install;
mod observations;
mod plan;
mod pools;
mod reconcile;
mod run;
mod worker;
