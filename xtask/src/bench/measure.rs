//! Runs the two calls of a case in turn, and counts what each does.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::prctl;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde::{Deserialize, Serialize};

use super::call::{Call, Case, Goals};
use super::{count, memory, process};

/// What a case came to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) own: Cost,
    pub(crate) peer: Cost,
    pub(crate) goals: Goals,
}

impl Measured {
    /// Of the call's time to its peer's.
    pub(crate) fn ratio(&self) -> f64 {
        self.own.median.as_secs_f64() / self.peer.median.as_secs_f64()
    }

    /// Of the time of processors that the call takes to what its peer does; none where that is too short to be told.
    pub(crate) fn cpu_ratio(&self) -> Option<f64> {
        let peer = self.peer.cpu.as_secs_f64();
        (peer > 0.0).then(|| self.own.cpu.as_secs_f64() / peer)
    }

    /// The time of processors that the call takes beyond what its peer does.
    pub(crate) fn more_cpu(&self) -> Duration {
        self.own.cpu.saturating_sub(self.peer.cpu)
    }
}

/// What one call costs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) name: String,
    /// The middle of all runs.
    pub(crate) median: Duration,
    /// A quarter of the runs took no longer than the first, and a quarter no less than the second.
    pub(crate) quartiles: (Duration, Duration),
    /// The middle of the time of processors that the runs took, over all of their processes.
    pub(crate) cpu: Duration,
    /// In user space, over all processes; where it was counted.
    pub(crate) instructions: Option<u64>,
    /// Over all processes; where it was counted.
    pub(crate) system_calls: Option<u64>,
    /// The most KiB that one of its steps had resident; where it was looked at.
    pub(crate) memory: Option<u64>,
}

/// Whether instructions are counted: that takes valgrind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instructions {
    Counted,
    Left,
}

pub(crate) fn measure(case: &Case, runs: u32, instructions: Instructions) -> Result<Measured> {
    let (mut own, mut peer) = (Vec::new(), Vec::new());
    // The first of each fills the caches.
    for run in 0..=runs {
        let times = (time(&case.own)?, time(&case.peer)?);
        if run > 0 {
            own.push(times.0);
            peer.push(times.1);
        }
    }
    let cost = |call: &Call, runs| {
        let mut cost = cost(call, runs);
        if !case.own.is_at_once() {
            add_counts(call, instructions, &mut cost)?;
        }
        anyhow::Ok(cost)
    };
    Ok(Measured {
        name: case.name.clone(),
        own: cost(&case.own, own)?,
        peer: cost(&case.peer, peer)?,
        goals: case.goals,
    })
}

fn cost(call: &Call, runs: Vec<(Duration, Duration)>) -> Cost {
    let (mut times, mut cpu): (Vec<Duration>, Vec<Duration>) = runs.into_iter().unzip();
    times.sort_unstable();
    cpu.sort_unstable();
    Cost {
        name: call.name.clone(),
        median: times[times.len() / 2],
        quartiles: (times[times.len() / 4], times[times.len() * 3 / 4]),
        cpu: cpu[cpu.len() / 2],
        instructions: None,
        system_calls: None,
        memory: None,
    }
}

fn add_counts(call: &Call, instructions: Instructions, cost: &mut Cost) -> Result<()> {
    if instructions == Instructions::Counted {
        cost.instructions = Some(count::each(call, count::instructions)?.iter().sum());
    }
    cost.system_calls = Some(count::each(call, count::system_calls)?.iter().sum());
    cost.memory = count::each(call, memory::peak)?.into_iter().max();
    Ok(())
}

/// As long as it took, and the time of processors, also of those that it has left to themselves.
fn time(call: &Call) -> Result<(Duration, Duration)> {
    prctl::set_child_subreaper(true).context("whose orphans are whose")?;
    for round in &call.before {
        process::round(process::commands(round)?, call)?;
    }
    process::await_orphans(&call.name)?;
    let ready: Vec<Vec<Command>> = call
        .rounds
        .iter()
        .map(|round| process::commands(round))
        .collect::<Result<_>>()?;
    let before = cpu_of_children()?;
    let begun = Instant::now();
    for commands in ready {
        process::round(commands, call)?;
    }
    let took = begun.elapsed();
    // What one of them has left to itself counts, too.
    process::await_orphans(&call.name)?;
    Ok((took, cpu_of_children()?.saturating_sub(before)))
}

/// The time of processors of all children that have ended, and of theirs.
fn cpu_of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("how much time was used")?;
    let time = usage.user_time() + usage.system_time();
    Ok(Duration::from_micros(u64::try_from(time.num_microseconds())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_runs_counts() {
        let call = Call::in_turn("call", Vec::new());
        let runs = [9, 1, 5, 3, 100].map(|ms| (Duration::from_millis(ms), Duration::from_micros(ms)));
        let cost = cost(&call, runs.to_vec());
        assert_eq!(cost.median, Duration::from_millis(5));
        assert_eq!(
            cost.quartiles,
            (Duration::from_millis(3), Duration::from_millis(9))
        );
        assert_eq!(cost.cpu, Duration::from_micros(5));
    }
}
