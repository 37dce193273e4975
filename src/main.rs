//! The `automdev` program.

use std::process::ExitCode;

use automdev::cmd::program;
use automdev::host::kernel::Sysfs;
use dlmalloc::GlobalDlmalloc;

/// musl's own maps and unmaps memory at every other turn, which costs a hook more than all that it computes.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

fn main() -> ExitCode {
    let kernel = Sysfs::default();
    let status = program::run(std::env::args_os().collect(), &kernel);
    kernel.leave();
    ExitCode::from(status.code())
}
