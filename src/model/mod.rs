//! What is decided without touching the machine: no file, no clock, no environment, no process.

pub mod domain;
pub mod fault;
pub mod names;
