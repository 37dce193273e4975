//! `cargo xtask demo`: the main job, for real, with a short timeline.

use std::fs;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::vm::{self, Carried, Generation, Job, Purpose, Stage, Temporary, Wanted};

/// What is run in the host.
const SCRIPT: &str = include_str!("demo/demo.sh");

/// Boots the newest host and runs the demonstration in it.
pub(crate) fn main() -> Result<ExitCode> {
    let stage = Stage::begin("automdev", "building");
    let mut files = vm::build_program(Wanted::Program)?;
    stage.end();
    let image = vm::ensure_image(Generation::Trixie)?;
    let folder = Temporary::new("demo")?;
    let script = folder.path().join("demo.sh");
    fs::write(&script, SCRIPT).with_context(|| format!("cannot write {}", script.display()))?;
    files.push(Carried {
        name: "demo.sh".to_owned(),
        from: script,
    });
    let command = ["/bin/sh", "/automdev/demo.sh"].map(str::to_owned);
    let job = Job {
        image: &image,
        carried: &files,
        command: &command,
        purpose: Purpose::Run,
        limit: Duration::from_secs(900),
    };
    eprintln!("{}: booting …", image.generation);
    let status = job.run(|piece| {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(piece).and_then(|()| stdout.flush());
    })?;
    Ok(if status == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
