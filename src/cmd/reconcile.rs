//! `automdev reconcile`: gives back what crashed domains left.

use serde::Serialize;

use super::colour::Palette;
use super::format::{Format, SCHEMA, push_json, put};
use super::{Status, one_line, output};
use crate::host::clock::Deadline;
use crate::host::kernel::Kernel;
use crate::host::log as journal;
use crate::host::machine::{self, Machine};
use crate::host::reconcile::{self, Mode};
use crate::host::root::Root;
use crate::model::claim::Claimant;
use crate::model::leftover::{Hindrance, Leftover, Outcome};
use crate::model::names::{DomainUuid, MdevUuid, ParentName, TypeName};

/// How it is done.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What belongs to a domain or a command that is still there is left alone, and so is a device that somebody uses.
Status 1: something could not be given back; it says why.

Examples:
  automdev reconcile --dry-run
  automdev reconcile --format json | jq -r 'select(.action == \"keep\") | .reason'")]
pub struct Args {
    /// Says what would be done, and does nothing.
    #[arg(long)]
    dry_run: bool,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Does it.
pub fn run(root: &Root, kernel: &dyn Kernel, args: &Args) -> anyhow::Result<Status> {
    // A wrong setting must not keep a device.
    let loaded = machine::load_settings(root);
    let mut wrong = None;
    let settings = loaded.unwrap_or_else(|error| {
        wrong = Some(format!("{:#}", anyhow::Error::new(error)));
        crate::model::settings::Settings::default()
    });
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Act };
    if mode == Mode::Act {
        journal::start(root, settings.log_level);
    }
    if let Some(wrong) = &wrong {
        let line = format!("{}; the defaults are used", one_line(wrong));
        log::warn!("{line}");
        super::complain(&format!("automdev: warning: {line}"));
    }
    let machine = Machine::new(root, kernel, settings, Deadline::now());
    let leftovers = reconcile::host(&machine, mode);
    kernel.rest();
    let leftovers = leftovers.map_err(|error| explain_rights(error, root))?;
    let mut text = String::new();
    for leftover in &leftovers {
        match args.format {
            Format::Text => print(&mut text, leftover, mode, Palette::for_stdout()),
            Format::Json => push_json(&mut text, &Line::new(leftover, mode)),
        }
        if leftover.outcome.hindrance().is_some() {
            log::warn!("{}", one_line(&sentence(leftover)));
        }
    }
    if leftovers.is_empty() && args.format == Format::Text {
        text.push_str("nothing was left over\n");
    }
    output::print(&text)?;
    let is_left = leftovers
        .iter()
        .any(|leftover| leftover.outcome.hindrance().is_some());
    Ok(if is_left { Status::Failed } else { Status::Done })
}

fn explain_rights(error: crate::host::ledger::LedgerError, root: &Root) -> anyhow::Error {
    if root.is_machine() && !nix::unistd::geteuid().is_root() {
        return anyhow::anyhow!("cannot read what automdev has made: only root may; run this as root");
    }
    anyhow::Error::new(error)
}

/// What a leftover is about, and why: `UUID (TYPE on PARENT): REASON`.
fn sentence(leftover: &Leftover) -> String {
    let mut text = String::new();
    match (leftover.uuid, &leftover.place, &leftover.claimant) {
        (Some(uuid), Some((parent, mdev_type)), _) => put!(&mut text, "{uuid} ({mdev_type} on {parent}): "),
        (Some(uuid), None, _) => put!(&mut text, "{uuid}: "),
        (None, _, Some(party)) if !party.name.is_empty() => put!(&mut text, "{}: ", party.name),
        (None, _, Some(party)) => put!(&mut text, "{}: ", party.claimant),
        (None, _, None) => {}
    }
    text.push_str(&leftover.reason);
    text
}

fn print(text: &mut String, leftover: &Leftover, mode: Mode, palette: Palette) {
    let (word, style) = match (leftover.outcome, mode) {
        (Outcome::Removed, Mode::Act) => ("removed", palette.good),
        (Outcome::Removed, Mode::DryRun) => ("would remove", palette.odd),
        (Outcome::Forgotten, Mode::Act) => ("forgot", palette.good),
        (Outcome::Forgotten, Mode::DryRun) => ("would forget", palette.odd),
        (Outcome::PutBack, Mode::Act) => ("put back", palette.good),
        (Outcome::PutBack, Mode::DryRun) => ("would put back", palette.odd),
        (Outcome::Kept(_), _) => ("kept", palette.bad),
    };
    put!(text, "{style}{word}{style:#} {}\n", one_line(&sentence(leftover)));
}

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    dry_run: bool,
    action: &'static str,
    uuid: Option<MdevUuid>,
    parent: Option<&'a ParentName>,
    r#type: Option<&'a TypeName>,
    claimant: Option<PartyLine<'a>>,
    code: Option<&'static str>,
    reason: &'a str,
}

#[derive(Serialize)]
struct PartyLine<'a> {
    name: &'a str,
    domain: Option<DomainUuid>,
    pid: Option<u32>,
}

impl<'a> Line<'a> {
    fn new(leftover: &'a Leftover, mode: Mode) -> Self {
        let place = leftover.place.as_ref();
        Line {
            schema: SCHEMA,
            dry_run: mode == Mode::DryRun,
            action: leftover.outcome.as_str(),
            uuid: leftover.uuid,
            parent: place.map(|(parent, _)| parent),
            r#type: place.map(|(_, mdev_type)| mdev_type),
            claimant: leftover.claimant.as_ref().map(|party| PartyLine {
                name: &party.name,
                domain: match party.claimant {
                    Claimant::Domain(uuid) => Some(uuid),
                    Claimant::Process(_) => None,
                },
                pid: match party.claimant {
                    Claimant::Process(process) => Some(process.pid),
                    Claimant::Domain(_) => None,
                },
            }),
            code: leftover.outcome.hindrance().map(Hindrance::as_str),
            reason: &leftover.reason,
        }
    }
}
