//! What is done in the host.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::ground::Ground;
use super::{cases, libvirt, said};
use crate::bench::call::Case;
use crate::bench::is_wanted;
use crate::bench::measure::{Instructions, Measured, measure};

/// Calls with more steps than this are run less often, as they take long and their parts add up to a steady sum.
const MANY_STEPS: usize = 10;

/// `xtask bench-inside …`, which nobody types.
#[derive(Args)]
pub(crate) struct Arguments {
    runs: u32,
    filters: Vec<String>,
}

/// Measures, and says what came of it.
pub(crate) fn main(arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { runs, filters } = arguments;
    let runs = *runs;
    libvirt::stop()?;
    let ground = Ground::lay()?;
    let mut results = Vec::new();
    let mut failed = measure_all(&cases::alone(&ground)?, runs, filters, &mut results);
    let beside = cases::beside_libvirt(&ground)?;
    if beside.iter().any(|case| is_wanted(&case.name, filters)) {
        libvirt::start(&cases::node_device())?;
        failed += measure_all(&beside, runs, filters, &mut results);
    }
    println!("{}", said::line(&results)?);
    match (results.len(), failed) {
        (0, 0) => bail!("no case has one of these in its name"),
        (_, 0) => Ok(ExitCode::SUCCESS),
        _ => bail!("{failed} could not be measured"),
    }
}

/// Measures as much as can be; returns how many could not.
fn measure_all(cases: &[Case], runs: u32, filters: &[String], results: &mut Vec<Measured>) -> usize {
    let mut failed = 0;
    for case in cases.iter().filter(|case| is_wanted(&case.name, filters)) {
        eprintln!("measuring {}, beside {} …", case.name, case.peer.name);
        let runs = if case.peer.steps().count() > MANY_STEPS {
            (runs / 3).max(3)
        } else {
            runs
        };
        match measure(case, runs, Instructions::Left) {
            Ok(measured) => results.push(measured),
            Err(error) => {
                eprintln!("{}: {error:#}", case.name);
                failed += 1;
            }
        }
    }
    failed
}
