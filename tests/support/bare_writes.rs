//! The least that it costs to write into sysfs where a driver may block: a process, and in it another one that makes the
//! write, so that the first need not wait for ever. Nothing is looked at or kept. `cargo xtask bench --host` has it beside
//! a start and a stop.
//!
//! `bare-writes FILE VALUE`

#![allow(unsafe_code, reason = "fork has no safe form")]

use std::process::ExitCode;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, write};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(value)) = (arguments.next(), arguments.next()) else {
        return ExitCode::FAILURE;
    };
    // SAFETY: there is one thread, so the child may do whatever the parent may.
    let ended = match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => waitpid(child, None),
        Ok(ForkResult::Child) => return code(write_once(&file, value.as_bytes()).is_ok()),
        Err(errno) => Err(errno),
    };
    code(matches!(ended, Ok(WaitStatus::Exited(_, 0))))
}

fn write_once(file: &str, value: &[u8]) -> Result<(), Errno> {
    let file = open(file, OFlag::O_WRONLY, Mode::empty())?;
    write(&file, value)?;
    Ok(())
}

fn code(is_good: bool) -> ExitCode {
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
