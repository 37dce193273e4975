//! What it costs the kernel alone to tell all counts of a host: opens, reads and closes each file once, and does nothing
//! else. `cargo xtask bench` has it beside the choice of a place.
//!
//! `bare-reads TYPES FOLDER…`: in each folder, the counts of so many types.

use std::process::ExitCode;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::read;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let types = arguments.next().and_then(|types| types.parse().ok());
    let read = |folder: String| read_counts(&folder, types.unwrap_or_default());
    if arguments.map(read).all(|read| read.is_ok()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn read_counts(folder: &str, types: usize) -> Result<(), Errno> {
    let folder = open(folder, OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty())?;
    for number in 0..types {
        let name = format!("type-{number}/available_instances");
        let file = openat(&folder, name.as_str(), OFlag::O_RDONLY, Mode::empty())?;
        read(&file, &mut [0; 16])?;
    }
    Ok(())
}
