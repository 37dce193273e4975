//! Looks a host over: would a start work, and would nothing be left over afterwards? Reads only.

use std::error::Error;
use std::{io, iter};

use super::clock::Deadline;
use super::kernel::Kernel;
use super::machine::{self, Machine};
use super::overview;
use super::pools::{self, usage::Viewer};
use super::reconcile::{self, Mode};
use super::release;
use super::root::Root;
use crate::model::finding::{Area, Finding};
use crate::model::leftover::{Hindrance, Outcome};
use crate::model::names::PoolName;
use crate::model::overview::Problem;
use crate::model::pool::Glob;
use crate::model::settings::{Settings, Timeouts};

/// What helps where it is only the one who looks that may not read it.
pub const AS_ROOT: &str = "run this as root";

mod confinement;
mod domains;
mod hook;
mod kernel;

pub use domains::without_pool;

/// All that was looked at, by area.
#[must_use]
pub fn of_host(root: &Root, kernel: &dyn Kernel) -> Vec<Finding> {
    let mut found = Vec::new();
    let settings = match machine::load_settings(root) {
        Ok(settings) => settings,
        Err(error) => {
            found.push(Finding::problem(
                Area::Settings,
                "settings-broken",
                release::chain(&error),
                format!("correct {}", machine::SETTINGS),
            ));
            Settings::default()
        }
    };
    found.extend(cordon(root, &settings.cordon));
    found.extend(kernel::look(root, kernel));
    found.extend(definitions(root, kernel));
    found.extend(pools(root, kernel, &settings.cordon));
    found.extend(hook::look(root));
    found.extend(confinement::look(root));
    found.extend(ledger(root, kernel, settings.timeouts.clone()));
    found.extend(domains::look(root, kernel, &settings, &found));
    found
}

/// The patterns that keep nothing off anything.
fn cordon(root: &Root, cordon: &[Glob]) -> Vec<Finding> {
    let nothing = pools::meaning_nothing(root, cordon).into_iter();
    // It may be for a parent that is out for its maintenance.
    nothing
        .map(|text| Finding::note(Area::Settings, "parent-absent", text))
        .collect()
}

/// The pools, where there are any.
fn pools(root: &Root, kernel: &dyn Kernel, cordon: &[Glob]) -> Vec<Finding> {
    const AREA: Area = Area::Pools;
    let listing = pools::list(root);
    let viewer = Viewer::new(root, kernel, cordon);
    let mut found: Vec<Finding> = Vec::new();
    for (path, why) in &listing.strange {
        let mend = "rename or remove it: it is passed over";
        found.push(Finding::problem(
            AREA,
            "pool-skipped",
            format!("{path}: {why}"),
            mend,
        ));
    }
    for usage in listing.names.iter().filter_map(|name| viewer.pool(name).ok()) {
        let problems = usage.problems.iter().filter(|problem| is_of_here(problem));
        found.extend(problems.map(|problem| {
            let text = format!("{}: {}", usage.name, problem.text);
            or_else(
                Finding::advised(AREA, problem.code, &text),
                format!("correct {}", usage.file),
            )
        }));
    }
    if found.is_empty() && !listing.names.is_empty() {
        let names: Vec<&str> = listing.names.iter().map(PoolName::as_str).collect();
        found.push(Finding::good(AREA, "pools", names.join(", ")));
    }
    found
}

/// Whether it is told where the device or the pool is: what is left over is told with the ledger.
fn is_of_here(problem: &Problem) -> bool {
    problem.code != "left-over"
}

/// What could not be read, for this reason.
fn unreadable(area: Area, text: String, why: &(dyn Error + 'static)) -> Finding {
    let mut causes = iter::successors(Some(why), |&error| error.source());
    let is_denied = causes.any(|error| {
        let denied = error.downcast_ref::<io::Error>();
        denied.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    });
    Finding {
        mend: (is_denied && !nix::unistd::geteuid().is_root()).then(|| AS_ROOT.to_owned()),
        ..Finding::note(area, "unreadable", text)
    }
}

/// A finding with something that helps where it does not say itself what does.
fn or_else(finding: Finding, mend: String) -> Finding {
    Finding {
        mend: finding.mend.or(Some(mend)),
        ..finding
    }
}

/// What crashed domains left.
fn ledger(root: &Root, kernel: &dyn Kernel, timeouts: Timeouts) -> Vec<Finding> {
    const AREA: Area = Area::Ledger;
    let machine = Machine {
        root: root.clone(),
        kernel,
        callouts: false,
        cordon: Vec::new(),
        deadline: Deadline::after(timeouts.hook),
        timeouts,
    };
    let leftovers = match reconcile::host(&machine, Mode::DryRun) {
        Ok(leftovers) => leftovers,
        Err(error) => return vec![unreadable(AREA, release::chain(&error), &error)],
    };
    if leftovers.is_empty() {
        return vec![Finding::good(AREA, "ledger", "nothing is left over")];
    }
    let told = leftovers.into_iter().map(|leftover| {
        let about = leftover.uuid.map(|uuid| format!("{uuid}: "));
        let text = format!("{}{}", about.unwrap_or_default(), leftover.reason);
        match leftover.outcome {
            Outcome::Kept(Hindrance::InUse | Hindrance::Busy | Hindrance::Creating) => {
                Finding::note(AREA, "kept", text)
            }
            Outcome::Kept(hindrance) => Finding {
                mend: None,
                ..Finding::problem(AREA, hindrance.as_str(), text, "")
            },
            Outcome::Removed | Outcome::Forgotten | Outcome::PutBack => {
                Finding::problem(AREA, "left-over", text, "automdev reconcile")
            }
        }
    });
    told.collect()
}

/// The definitions and the devices that are there.
fn definitions(root: &Root, kernel: &dyn Kernel) -> Vec<Finding> {
    const AREA: Area = Area::Definitions;
    let overview = overview::of_host(root, kernel);
    let mut found: Vec<Finding> = Vec::new();
    for skipped in &overview.skipped {
        let text = format!("{}: {}", skipped.path, skipped.why);
        let mend = "rename or remove it: it is passed over";
        found.push(Finding::problem(AREA, "definition-skipped", text, mend));
    }
    for row in &overview.rows {
        for problem in row.problems.iter().filter(|problem| is_of_here(problem)) {
            let text = format!("{} on {}: {}", row.uuid, row.parent, problem.text);
            let otherwise = match problem.code {
                "definition-broken" => "mend the file".to_owned(),
                _ => format!("automdev show {}", row.uuid),
            };
            found.push(or_else(Finding::advised(AREA, problem.code, &text), otherwise));
        }
    }
    if found.is_empty() {
        let defined = overview.rows.iter().filter(|row| row.defined.is_some()).count();
        let present = overview.rows.iter().filter(|row| row.present.is_some()).count();
        let text = format!("{defined} defined, {present} there");
        found.push(Finding::good(AREA, "definitions", text));
    }
    for failure in &overview.failures {
        let text = release::chain(&failure.error);
        found.push(unreadable(AREA, text, &failure.error));
    }
    found
}
