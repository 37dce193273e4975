//! `automdev undefine`: forgets what a device is on this host.

use anyhow::{Context, anyhow, bail};

use super::format::put;
use super::{Status, complain, output};
use crate::host::kernel::Kernel;
use crate::host::ledger::Ledger;
use crate::host::root::Root;
use crate::host::survey::Survey;
use crate::host::{definitions, types};
use crate::model::inventory::Inventory;
use crate::model::names::MdevUuid;
use crate::model::nearest::nearest;
use crate::model::nodedev;

/// What is to be forgotten.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A device that is there stays, and is removed when its domain stops, if automdev made it.

Example:
  automdev undefine c2177883-f1bb-47f0-914d-32a22e3a8804")]
pub struct Args {
    /// The device.
    uuid: MdevUuid,
    /// Forgets its definition on this parent only.
    #[arg(long, value_name = "PARENT")]
    parent: Option<String>,
    /// Forgets it even while a domain claims the device.
    #[arg(long)]
    force: bool,
}

/// Forgets it.
pub fn run(root: &Root, kernel: &dyn Kernel, args: &Args) -> anyhow::Result<Status> {
    let uuid = args.uuid;
    let mut defined = definitions::of_device(root, uuid)?;
    if let Some(name) = &args.parent {
        let name = nodedev::kernel_name(name, &types::known(root))?;
        defined.retain(|one| one.parent == name);
        if defined.is_empty() {
            bail!("{uuid} has no definition on {name}");
        }
    }
    if defined.is_empty() {
        return Err(unknown(root, uuid));
    }
    if let Some(names) = claimed_by(root, kernel, uuid)? {
        if !args.force {
            bail!("{uuid} is claimed by {names}; stop that first, or undefine it all the same with --force");
        }
        complain(&format!("automdev: warning: {uuid} is claimed by {names}"));
    }
    let mut text = String::new();
    for one in defined {
        if definitions::remove(root, &one.parent, uuid).with_context(|| format!("cannot undefine {uuid}"))? {
            put!(&mut text, "removed {}\n", one.file);
        }
    }
    output::print(&text)?;
    Ok(Status::Done)
}

fn unknown(root: &Root, uuid: MdevUuid) -> anyhow::Error {
    let near: Vec<String> = nearest(&uuid, definitions::all(root))
        .iter()
        .map(ToString::to_string)
        .collect();
    if near.is_empty() {
        anyhow!("this host has no definition of {uuid}")
    } else {
        anyhow!(
            "this host has no definition of {uuid} (did you mean {}?)",
            near.join(", ")
        )
    }
}

/// Who claims the device and is not known to be gone.
fn claimed_by(root: &Root, kernel: &dyn Kernel, uuid: MdevUuid) -> anyhow::Result<Option<String>> {
    let ledger = Ledger::look(root, kernel);
    let survey = Survey::new(root, &ledger, None);
    let holders = survey.holders(uuid);
    survey.finish()?;
    let names: Vec<String> = holders
        .into_iter()
        .filter(|holder| !holder.life.is_over())
        .map(|holder| holder.name)
        .collect();
    Ok((!names.is_empty()).then(|| names.join(", ")))
}
