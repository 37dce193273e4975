//! What is decided without touching the machine: no file, no clock, no environment, no process.

pub mod affinity;
pub mod callout;
pub mod claim;
pub mod definition;
pub mod domain;
pub mod far;
pub mod fault;
pub mod finding;
pub mod hook_call;
pub mod inventory;
pub mod leftover;
pub mod names;
pub mod nearest;
pub mod nodedev;
pub mod overview;
pub mod plan;
pub mod pool;
pub mod qemu;
pub mod refusal;
pub mod rewrite;
pub mod settings;
mod table;
mod words;
