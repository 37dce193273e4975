//! What is counted and steady, instructions and system calls, beside what was recorded: so that nothing gets slower
//! unseen, on machines whose times say little.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::call::{Call, Case};
use super::count;
use crate::dist::Libc;
use crate::vm;

/// One part in so many more says nothing: another compiler, another library, other lengths of paths.
const TOLERANCE: u64 = 10;

/// So many system calls more say nothing, either: a read may come in two parts.
const SPARE_CALLS: u64 = 2;

/// What one call of ours costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counts {
    /// In user space, over all of its processes. What one of them did before it forked counts again for its child.
    pub(crate) instructions: u64,
    /// Over all of its processes.
    pub(crate) system_calls: u64,
}

/// By the names of the cases.
pub(crate) type Recorded = BTreeMap<String, Counts>;

/// The C library's part of it differs.
fn file(libc: Libc) -> PathBuf {
    let name = format!("xtask/src/bench/recorded-{}.json", libc.as_str());
    vm::workspace().join(name)
}

/// Counts what our own call of each case does.
pub(crate) fn all(cases: &[Case]) -> Result<Recorded> {
    let mut counted = Recorded::new();
    for case in cases {
        // Some stand there twice, beside two others.
        if !counted.contains_key(&case.name) {
            counted.insert(case.name.clone(), one(&case.own)?);
        }
    }
    Ok(counted)
}

fn one(call: &Call) -> Result<Counts> {
    Ok(Counts {
        instructions: count::each(call, count::instructions)?.iter().sum(),
        system_calls: count::each(call, count::system_calls)?.iter().sum(),
    })
}

/// Writes down what was counted.
pub(crate) fn record(libc: Libc, counted: &Recorded) -> Result<()> {
    let file = file(libc);
    let mut text = serde_json::to_string_pretty(counted)?;
    text.push('\n');
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// What was written down.
pub(crate) fn recorded(libc: Libc) -> Result<Recorded> {
    let file = file(libc);
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}", file.display()))
}

/// The cases that cost more than was recorded, or of which nothing was, one a line.
pub(crate) fn worse(counted: &Recorded, recorded: &Recorded) -> Vec<String> {
    let mut found = Vec::new();
    for (name, now) in counted {
        let Some(then) = recorded.get(name) else {
            found.push(format!("{name}: nothing was recorded"));
            continue;
        };
        let mut line = String::new();
        for (what, now, then, spare) in [
            ("instructions", now.instructions, then.instructions, 0),
            ("system calls", now.system_calls, then.system_calls, SPARE_CALLS),
        ] {
            if now > then + then / TOLERANCE + spare {
                let comma = if line.is_empty() { "" } else { ", " };
                write!(line, "{comma}{now} {what} instead of {then}").expect("a String takes it");
            }
        }
        if !line.is_empty() {
            found.push(format!("{name}: {line}"));
        }
    }
    let gone = recorded.keys().filter(|name| !counted.contains_key(*name));
    found.extend(gone.map(|name| format!("{name}: it was recorded and is not counted any more")));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(instructions: u64, system_calls: u64) -> Recorded {
        let counts = Counts {
            instructions,
            system_calls,
        };
        Recorded::from([("plan".to_owned(), counts)])
    }

    #[test]
    fn what_costs_more_is_named() {
        let then = one(1000, 100);
        assert_eq!(worse(&then, &then), [""; 0]);
        assert_eq!(worse(&one(1100, 112), &then), [""; 0]);
        assert_eq!(worse(&one(500, 50), &then), [""; 0]);
        assert_eq!(
            worse(&one(1101, 100), &then),
            ["plan: 1101 instructions instead of 1000"]
        );
        assert_eq!(
            worse(&one(2000, 113), &then),
            ["plan: 2000 instructions instead of 1000, 113 system calls instead of 100"]
        );
    }

    #[test]
    fn nothing_goes_uncompared() {
        let then = one(1000, 100);
        assert_eq!(worse(&then, &Recorded::new()), ["plan: nothing was recorded"]);
        assert_eq!(
            worse(&Recorded::new(), &then),
            ["plan: it was recorded and is not counted any more"]
        );
    }
}
