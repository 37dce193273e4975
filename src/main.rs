//! The `automdev` program.

use std::process::ExitCode;

use automdev::cmd::program;
use automdev::host::heap::Heap;
use automdev::host::kernel::Sysfs;

#[global_allocator]
static HEAP: Heap = Heap::new();

fn main() -> ExitCode {
    let kernel = Sysfs::default();
    let status = program::run(std::env::args_os().collect(), &kernel);
    kernel.leave();
    ExitCode::from(status.code())
}
