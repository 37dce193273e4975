//! `automdev list`: the definitions and the devices of this host, side by side.

use anyhow::bail;

use super::colour::Palette;
use super::format::{Format, push_json, push_wrapped, put};
use super::{Status, complain, output};
use crate::host::kernel::Kernel;
use crate::host::overview::{self, Overview};
use crate::host::root::Root;
use crate::host::{release, sysfs, types};
use crate::model::claim::{Holder, Life};
use crate::model::definition::Start;
use crate::model::inventory::ParentState;
use crate::model::names::printable;
use crate::model::nearest::nearest;
use crate::model::nodedev;
use crate::model::overview::{LedgerAccess, Maker, Row};

mod json;

pub(super) use json::{ClaimLine, ProblemLine, RowLine};

/// What is to be listed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
DEFINED says when mdevctl makes the device: auto (with its parent) or manual (when asked to), - where it has no
definition. MADE BY says who made it, - where it is not there.

Examples:
  automdev list
  automdev list --problems
  automdev list --format json | jq -r 'select(.active.made_by == \"automdev\") | .uuid'")]
pub struct Args {
    /// Lists what is on this parent only: its name, libvirt's name of it, or a PCI address without domain.
    #[arg(long, value_name = "PARENT")]
    parent: Option<String>,
    /// Lists only what has a problem.
    #[arg(long)]
    problems: bool,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Lists it.
pub fn run(root: &Root, kernel: &dyn Kernel, args: &Args) -> anyhow::Result<Status> {
    let mut overview = overview::of_host(root, kernel);
    if let Some(name) = &args.parent {
        let name = nodedev::kernel_name(name, &types::known(root))?;
        overview.rows.retain(|row| row.parent == name);
        if overview.rows.is_empty() && sysfs::parent_state(root, &name) == ParentState::Absent {
            let near: Vec<String> = nearest(&name, sysfs::parents(root))
                .iter()
                .map(ToString::to_string)
                .collect();
            let near = match near.as_slice() {
                [] => String::new(),
                near => format!(" (did you mean {}?)", near.join(", ")),
            };
            bail!("this host has no device {name}{near}, and nothing is defined on it");
        }
    }
    if args.problems {
        overview.rows.retain(|row| !row.problems.is_empty());
    }
    let mut text = String::new();
    match args.format {
        Format::Text if overview.rows.is_empty() && args.problems => text.push_str("no problems\n"),
        Format::Text => print(&mut text, &overview, Palette::for_stdout()),
        Format::Json => {
            for row in &overview.rows {
                push_json(&mut text, &RowLine::new(row, overview.access));
            }
        }
    }
    output::print(&text)?;
    complain_of(&overview);
    Ok(Status::Done)
}

/// Says on standard error what could not be looked at.
pub(super) fn complain_of(overview: &Overview) {
    for skipped in &overview.skipped {
        complain(&format!("automdev: warning: {}: {}", skipped.path, skipped.why));
    }
    if overview.access == LedgerAccess::Closed && overview.rows.iter().any(|row| row.present.is_some()) {
        complain("automdev: note: only root may see who made and who claims a device");
    }
    let mut notes: Vec<String> = overview
        .failures
        .iter()
        .map(|failure| release::chain(&failure.error))
        .collect();
    notes.sort();
    notes.dedup();
    for note in notes {
        complain(&format!("automdev: warning: {note}"));
    }
}

fn print(text: &mut String, overview: &Overview, palette: Palette) {
    let Palette { strong, faint, .. } = palette;
    if overview.rows.is_empty() {
        text.push_str("nothing is defined and no mediated device is there\n");
        return;
    }
    let types = overview.rows.iter().map(|row| type_name(row).chars().count());
    let width = types.max().unwrap_or_default().max("TYPE".len());
    put!(
        text,
        "{faint}  {:36}  {:width$}  DEFINED  MADE BY{faint:#}\n",
        "UUID",
        "TYPE"
    );
    let mut parent = None;
    for row in &overview.rows {
        if parent != Some(&row.parent) {
            put!(text, "{strong}{}{strong:#}\n", row.parent);
            parent = Some(&row.parent);
        }
        print_row(text, row, width, palette);
    }
}

fn print_row(text: &mut String, row: &Row, width: usize, palette: Palette) {
    let defined = match row.defined.as_ref().map(|defined| &defined.definition) {
        None => "-",
        Some(Err(_)) => "broken",
        Some(Ok(definition)) => Start::as_str(definition.start),
    };
    let maker = match row.present.as_ref().map(|present| present.maker) {
        None => "-",
        Some(None) => "?",
        Some(Some(maker)) => maker.as_str(),
    };
    put!(
        text,
        "  {}  {:width$}  {defined:7}  {maker}\n",
        row.uuid,
        type_name(row)
    );
    if !row.holders.is_empty() {
        let names: Vec<String> = row.holders.iter().map(holder).collect();
        push_wrapped(text, 6, &format!("claimed by {}", names.join(", ")));
    }
    let bad = palette.bad;
    for problem in &row.problems {
        let mut wrapped = String::new();
        push_wrapped(&mut wrapped, 6, &format!("! {}", problem.text));
        let wrapped = wrapped.trim_end_matches('\n');
        put!(text, "{bad}{wrapped}{bad:#}\n");
    }
}

fn type_name(row: &Row) -> &str {
    row.mdev_type.as_ref().map_or("?", |name| name.as_str())
}

/// A claimant, for people.
pub(super) fn holder(holder: &Holder) -> String {
    let state = match holder.life {
        Life::Running => "",
        Life::Starting | Life::Pending => " (starting or just ended)",
        Life::Ended | Life::Gone => " (gone)",
    };
    format!("{}{state}", printable(&holder.name))
}

/// Who made a device, in words.
pub(super) fn made_by(maker: Option<Maker>) -> &'static str {
    match maker {
        Some(Maker::Automdev) => ", made by automdev",
        Some(Maker::Other) => ", not made by automdev",
        None => "",
    }
}
