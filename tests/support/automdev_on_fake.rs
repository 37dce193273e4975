//! The whole program, over a host in a folder with a kernel that reacts as the real one does. The folder is
//! that of `--root DIR`, which must come first; without it nothing of this machine can be written to.
//!
//! `make-host DIR PARENTS DELAY UUID…` makes such a host: so many parents, whose driver takes so many milliseconds for each
//! device, and on each of them, in turn, a definition of one of the UUIDs.

#[path = "mod.rs"]
mod support;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use automdev::cmd::program;
use automdev::host::heap::Heap;
use support::Tree;

/// The program's own.
#[global_allocator]
static HEAP: Heap = Heap::new();

/// Megabytes of a parent, of which a device takes 4.
const MEGABYTES: u32 = 256;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|word| word == "make-host") {
        let words: Vec<&str> = arguments[2..].iter().filter_map(|word| word.to_str()).collect();
        make_host(&words);
        return ExitCode::SUCCESS;
    }
    let root = match arguments.get(1..3) {
        Some([option, folder]) if option == "--root" => PathBuf::from(folder),
        // Nothing can be made below it.
        _ => PathBuf::from("/dev/null"),
    };
    let status = program::run(arguments, &support::FakeKernel::new(root));
    ExitCode::from(status.code())
}

fn make_host(words: &[&str]) {
    let [folder, parents, delay, uuids @ ..] = words else {
        panic!("make-host DIR PARENTS DELAY UUID…");
    };
    let tree = Tree::at_path(folder.as_ref());
    let parents: usize = parents.parse().expect("a number of parents");
    for number in 0..parents {
        tree.mbochs_named(&format!("mbochs{number}"), MEGABYTES);
    }
    for (number, uuid) in uuids.iter().enumerate() {
        tree.definition(&format!("mbochs{}", number % parents), uuid, "mbochs-small", &[]);
    }
    let delay = delay.parse().expect("a number of milliseconds");
    tree.kernel().configure(|config| config.create_delay_ms = delay);
    tree.keep();
}
