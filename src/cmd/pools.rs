//! `automdev pools`: the pools of this host, their members, what is free, and who uses what.

use super::colour::Palette;
use super::format::{Format, push_json, push_wrapped, put};
use super::list::holder;
use super::{Status, complain, output};
use crate::host::kernel::Kernel;
use crate::host::machine;
use crate::host::pools::usage::{MemberUsage, Usage, Used, Viewer};
use crate::host::root::Root;
use crate::host::{check, pools};
use crate::model::names::PoolName;
use crate::model::nearest::nearest;
use crate::model::overview::LedgerAccess;
use crate::model::pool::{Member, Numa};
use crate::model::refusal::Refusal;

mod json;

/// Which pools are shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A pool is described by /etc/automdev/pools.d/NAME.toml. What is free is what the drivers tell: types that share a GPU
take each other's places.

Examples:
  automdev pools
  automdev pools vgpu-4g --format json | jq '.members[].free'

Status: 0 shown, 1 there is no such pool.")]
pub struct Args {
    /// Only these; all where none is named.
    #[arg(value_name = "NAME")]
    names: Vec<PoolName>,
    /// How they are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Shows them.
pub fn run(root: &Root, kernel: &dyn Kernel, args: &Args) -> anyhow::Result<Status> {
    let settings = machine::load_settings(root)?;
    let listing = pools::list(root);
    let viewer = Viewer::new(root, kernel, &settings.cordon);
    let names = if args.names.is_empty() {
        &listing.names
    } else {
        &args.names
    };
    let mut status = Status::Done;
    let mut text = String::new();
    let palette = Palette::for_stdout();
    for name in names {
        if let Ok(usage) = viewer.pool(name) {
            match args.format {
                Format::Text => print(&mut text, &usage, palette, viewer.access),
                Format::Json => push_json(&mut text, &json::PoolLine::new(&usage, viewer.access)),
            }
            continue;
        }
        status = Status::Failed;
        let refusal = Refusal::NoPool {
            pool: name.clone(),
            nearest: nearest(name, listing.names.clone()),
        };
        complain(&format!("automdev: {refusal}"));
    }
    if names.is_empty() && args.format == Format::Text {
        put!(&mut text, "no pools in {}\n", pools::FOLDER);
    }
    output::print(&text)?;
    for (path, why) in listing.strange.iter().filter(|_| args.names.is_empty()) {
        complain(&format!("automdev: warning: {path}: {why}"));
    }
    for (domain, refusal) in check::without_pool(root).iter().filter(|_| args.names.is_empty()) {
        complain(&format!("automdev: warning: {domain}: {refusal}"));
    }
    for text in pools::meaning_nothing(root, &settings.cordon) {
        complain(&format!("automdev: warning: {text}"));
    }
    if viewer.access == LedgerAccess::Closed && !names.is_empty() {
        complain("automdev: note: only root may see who uses what");
    }
    Ok(status)
}

fn print(text: &mut String, usage: &Usage, palette: Palette, access: LedgerAccess) {
    let Palette {
        strong, bad, faint, ..
    } = palette;
    put!(text, "{strong}{}{strong:#}", usage.name);
    if let Some((placement, numa)) = usage.choice {
        put!(text, "  {faint}{}", placement.as_str());
        if numa != Numa::Ignore {
            put!(text, ", near the domain's memory: {}", numa.as_str());
        }
        put!(text, "{faint:#}");
    }
    text.push('\n');
    for member in &usage.members {
        put!(text, "  {}: {}\n", member.member, counts(member, access));
        for used in &member.used {
            print_used(text, used);
        }
    }
    if !usage.others.is_empty() {
        put!(text, "  of no member any more:\n");
    }
    for used in &usage.others {
        print_used(text, used);
    }
    for problem in &usage.problems {
        let mut wrapped = String::new();
        push_wrapped(&mut wrapped, 6, &format!("! {}", problem.text));
        let wrapped = wrapped.trim_end_matches('\n');
        put!(text, "{bad}{wrapped}{bad:#}\n");
    }
}

fn counts(usage: &MemberUsage, access: LedgerAccess) -> String {
    let used = match access {
        LedgerAccess::Open => usage.used.len().to_string(),
        LedgerAccess::Closed => "?".to_owned(),
    };
    let limit = match &usage.member {
        Member::Type(member) => member.limit.map(|limit| format!(", at most {limit}")),
        Member::Definition(_) | Member::Device { .. } => None,
    };
    let cordoned: Vec<&str> = usage
        .places
        .iter()
        .filter(|place| place.is_cordoned)
        .map(|place| place.parent.as_str())
        .collect();
    let cordoned = if cordoned.is_empty() {
        String::new()
    } else {
        format!(" ({} cordoned)", cordoned.join(", "))
    };
    format!(
        "{used} used, {} free{}{cordoned}",
        usage.free,
        limit.unwrap_or_default()
    )
}

fn print_used(text: &mut String, used: &Used) {
    let holders: Vec<String> = used.holders.iter().map(holder).collect();
    let by = if holders.is_empty() {
        "nobody".to_owned()
    } else {
        holders.join(", ")
    };
    put!(
        text,
        "      {}  {} on {}  {by}\n",
        used.uuid,
        used.mdev_type,
        used.parent
    );
}
