//! The `automdev` program.

use std::process::ExitCode;

use automdev::cmd::program;
use automdev::host::kernel::Sysfs;

fn main() -> ExitCode {
    let status = program::run(std::env::args_os().collect(), &Sysfs::default());
    ExitCode::from(status.code())
}
