//! The fake kernel itself.

mod counts;
mod create;
mod faults;
mod remove;
mod samples;

use std::time::Duration;

use automdev::host::clock::Deadline;
use automdev::host::kernel::{Kernel, Target, WriteError};
use nix::errno::Errno;

use crate::support::Tree;

const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

fn write(tree: &Tree, folder: &str, file: &str, value: &str) -> Result<(), WriteError> {
    write_to(tree, folder, file, None, value)
}

fn write_to(
    tree: &Tree,
    folder: &str,
    file: &str,
    inode: Option<u64>,
    value: &str,
) -> Result<(), WriteError> {
    let folder = tree.at(folder);
    let target = Target {
        folder: &folder,
        file,
        inode,
        keep: None,
    };
    tree.kernel()
        .write(target, value.as_bytes(), Deadline::after(Duration::from_secs(5)))
}

fn create(tree: &Tree, parent: &str, type_name: &str, uuid: &str) -> Result<(), WriteError> {
    let file = format!("mdev_supported_types/{type_name}/create");
    write(tree, &format!("sys/class/mdev_bus/{parent}"), &file, uuid)
}

fn remove(tree: &Tree, uuid: &str) -> Result<(), WriteError> {
    write(tree, &format!("sys/bus/mdev/devices/{uuid}"), "remove", "1")
}

fn refused(errno: Errno) -> Result<(), WriteError> {
    Err(WriteError::Refused(errno))
}

/// A UUID that ends in this number.
fn numbered(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// `TYPE LEFT` of every type of a parent, in one line.
fn counts(tree: &Tree, parent: &str) -> String {
    let types = format!("sys/class/mdev_bus/{parent}/mdev_supported_types");
    let counts: Vec<_> = tree
        .names(&types)
        .into_iter()
        .map(|name| {
            let left = tree.read(format!("{types}/{name}/available_instances"));
            format!("{name} {}", left.expect("a count"))
        })
        .collect();
    counts.join(", ")
}
