//! The whole program, over a host in a folder with a kernel that reacts as the real one does. The folder is
//! that of `--root DIR`, which must come first; without it nothing of this machine can be written to.

#[path = "mod.rs"]
mod support;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use automdev::cmd::program;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let root = match arguments.get(1..3) {
        Some([option, folder]) if option == "--root" => PathBuf::from(folder),
        // Nothing can be made below it.
        _ => PathBuf::from("/dev/null"),
    };
    let status = program::run(arguments, &support::FakeKernel::new(root));
    ExitCode::from(status.code())
}
