//! What is measured: programs that run one after the other, or at once.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A program, its arguments, and what is on its standard input.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// A file, or nothing.
    pub(crate) input: Option<PathBuf>,
}

impl Step {
    /// A program with these words behind it.
    pub(crate) fn new(program: impl Into<PathBuf>, words: &[&str]) -> Self {
        Step {
            program: program.into(),
            arguments: words.iter().map(OsString::from).collect(),
            input: None,
        }
    }

    /// With that file on its standard input.
    pub(crate) fn reading(mut self, file: &Path) -> Self {
        self.input = Some(file.to_owned());
        self
    }
}

/// What a step may end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Any status: that a dry run says no, or a hook of somebody's refuses, is an answer as well.
    Any,
    /// 0 alone: else it did not do what is measured.
    Good,
}

/// What is timed as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// Done before each run, and not timed.
    pub(crate) before: Vec<Round>,
    pub(crate) rounds: Vec<Round>,
    pub(crate) ending: Ending,
}

/// Steps that are started at once. The next round begins when all of them have ended.
pub(crate) type Round = Vec<Step>;

impl Call {
    /// One process, whatever its status.
    pub(crate) fn one(name: &str, step: Step) -> Self {
        Call {
            ending: Ending::Any,
            ..Call::rounds(name, vec![vec![step]])
        }
    }

    /// One process after the other.
    pub(crate) fn in_turn(name: &str, steps: Vec<Step>) -> Self {
        Call::rounds(name, steps.into_iter().map(|step| vec![step]).collect())
    }

    /// Several at once, and then several others.
    pub(crate) fn rounds(name: &str, rounds: Vec<Round>) -> Self {
        Call {
            name: name.to_owned(),
            before: Vec::new(),
            rounds,
            ending: Ending::Good,
        }
    }

    /// With something to be done before each run.
    pub(crate) fn after(mut self, round: Round) -> Self {
        self.before.push(round);
        self
    }

    /// The steps that are timed.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.rounds.iter().flatten()
    }

    /// Whether steps run at the same time. What they wait for each other differs from run to run.
    pub(crate) fn is_at_once(&self) -> bool {
        self.rounds.iter().any(|round| round.len() > 1)
    }
}

/// Two calls that are compared, and how much the first one may cost.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) own: Call,
    pub(crate) peer: Call,
    pub(crate) goals: Goals,
}

impl Case {
    /// Without goals.
    pub(crate) fn new(name: impl Into<String>, own: Call, peer: Call) -> Self {
        Case {
            name: name.into(),
            own,
            peer,
            goals: Goals::default(),
        }
    }

    /// With the largest ratio that is good.
    pub(crate) fn at_most(mut self, ratio: f64) -> Self {
        self.goals.ratio = Some(ratio);
        self
    }

    /// A call of the hook, which has a bound of its own.
    pub(crate) fn of_hook(mut self) -> Self {
        self.goals.memory = Some(MOST_MEMORY);
        self
    }
}

/// A hook has no more KiB resident.
pub(crate) const MOST_MEMORY: u64 = 4 << 10;

/// How much a call may cost, where there is a goal.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Goals {
    /// Of its time to its peer's.
    pub(crate) ratio: Option<f64>,
    /// How much more of a processor's time than its peer it may take.
    pub(crate) cpu: Option<Duration>,
    /// KiB resident.
    pub(crate) memory: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_at_once_are_told_from_steps_in_turn() {
        let step = |word| Step::new("/bin/echo", &[word]);
        let turns = Call::in_turn("turns", vec![step("a"), step("b")]);
        let rounds = Call::rounds("rounds", vec![vec![step("a"), step("b")]]);
        assert_eq!((turns.rounds.len(), turns.is_at_once()), (2, false));
        assert_eq!((rounds.rounds.len(), rounds.is_at_once()), (1, true));
        assert_eq!((turns.steps().count(), rounds.steps().count()), (2, 2));
    }
}
