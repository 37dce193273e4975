//! Looks a host over: would a start work, and would nothing be left over afterwards? Reads only.

use super::kernel::Kernel;
use super::machine;
use super::overview;
use super::root::Root;
use crate::model::finding::{Area, Finding};
use crate::model::settings::Settings;

mod confinement;
mod domains;
mod hook;
mod kernel;

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
                super::release::chain(&error),
                format!("correct {}", machine::SETTINGS),
            ));
            Settings::default()
        }
    };
    found.extend(kernel::look(root));
    found.extend(definitions(root, kernel));
    found.extend(hook::look(root));
    found.extend(confinement::look(root));
    found.extend(domains::look(root, settings.select));
    found
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
        for problem in &row.problems {
            // The reason says what to do.
            found.push(Finding {
                mend: None,
                ..Finding::problem(
                    AREA,
                    problem.code,
                    format!("{} on {}: {}", row.uuid, row.parent, problem.text),
                    "",
                )
            });
        }
    }
    if found.is_empty() {
        let defined = overview.rows.iter().filter(|row| row.defined.is_some()).count();
        let present = overview.rows.iter().filter(|row| row.present.is_some()).count();
        let text = format!("{defined} defined, {present} there");
        found.push(Finding::good(AREA, "definitions", text));
    }
    for failure in &overview.failures {
        let text = super::release::chain(&failure.error);
        found.push(Finding::note(AREA, "unreadable", text));
    }
    found
}
