//! The part that is measured on a real kernel, beside what people use instead: this very program is carried into a
//! disposable host ([`crate::vm`]), measures there ([`inside`]), and says what came of it.

mod cases;
mod ground;
mod inside;
mod libvirt;
mod said;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use super::measure::Measured;
use crate::vm::{self, Carried, Generation, Job, Purpose, Stage, Wanted};
pub(crate) use inside::{Arguments as Inside, main as inside};

/// When a host is given up.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// What is measured there, and what it is compared with that no package has.
pub(crate) struct Programs<'a> {
    pub(crate) automdev: &'a Path,
    pub(crate) bare_writes: &'a Path,
    pub(crate) bare_steps: &'a Path,
}

/// Where it is measured.
pub(crate) struct Place {
    pub(crate) generation: Generation,
    /// [`Purpose::Run`] or [`Purpose::Count`].
    pub(crate) purpose: Purpose,
}

/// Measures in a host what automdev costs. It is a failure where some of it could not be measured.
pub(crate) fn measure(
    place: &Place,
    programs: &Programs<'_>,
    runs: u32,
    filters: &[String],
) -> Result<(Vec<Measured>, ExitCode)> {
    let stage = Stage::begin("automdev", "building what measures");
    let mut carried = vm::build_program(Wanted::Chores)?;
    stage.end();
    for (name, from) in [
        ("automdev", programs.automdev),
        ("bare-writes", programs.bare_writes),
        ("bare-steps", programs.bare_steps),
    ] {
        carried.push(Carried {
            name: name.to_owned(),
            from: from.to_owned(),
        });
    }
    let generation = place.generation;
    let image = vm::ensure_image(generation)?;
    let runs = runs.to_string();
    let mut command = ["/automdev/xtask", "bench-inside", &runs]
        .map(str::to_owned)
        .to_vec();
    command.extend_from_slice(filters);
    let job = Job {
        image: &image,
        carried: &carried,
        command: &command,
        purpose: place.purpose,
        limit: LIMIT,
    };
    let stage = Stage::begin(generation, "measuring");
    let mut said = said::Said::new(|line| eprintln!("{generation}: {line}"));
    let status = job.run(|piece| said.take(piece))?;
    stage.end();
    let ended = if status == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    Ok((said.results()?, ended))
}
