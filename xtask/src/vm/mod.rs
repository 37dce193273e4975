//! `cargo xtask vm`: disposable Debian hosts under QEMU in which nothing is faked.
//!
//! A host is a root file system with libvirt, QEMU, mdevctl and the kernel's sample mdev drivers ([`build`]), cached
//! by what went into it ([`image`]), and run by a QEMU that is kept beside them ([`emulator`]). A run ([`run`]) boots it over a throw-away layer, with the files that it
//! needs on a second disk ([`payload`]), and brings back output, exit status and, after a failure, logs.

mod apt;
mod build;
mod cargo;
mod command;
mod crash;
mod emulator;
mod generation;
mod image;
mod machine;
mod pair;
mod payload;
mod place;
mod probe;
mod recipe;
mod run;
mod shell;
mod stage;
mod test;
mod tools;

pub(crate) use cargo::{Wanted, build as build_program};
pub(crate) use command::{Arguments, main};
pub(crate) use generation::Generation;
pub(crate) use image::ensure as ensure_image;
pub(crate) use machine::Purpose;
pub(crate) use payload::Carried;
pub(crate) use place::{Temporary, workspace};
pub(crate) use run::Job;
pub(crate) use stage::Stage;
pub(crate) use test::{Extent, Shown, test};
pub(crate) use tools::ensure_packages;
