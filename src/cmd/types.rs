//! `automdev types`: what this host's parents can make.

use serde::Serialize;

use super::colour::Palette;
use super::format::{Format, SCHEMA, push_json, push_wrapped, put};
use super::{Status, output};
use crate::host::kernel::Kernel;
use crate::host::ledger::Ledger;
use crate::host::root::Root;
use crate::host::survey::Survey;
use crate::host::types::{self, Parent, Type};
use crate::model::inventory::Inventory;
use crate::model::names::{MdevUuid, ParentName, TypeName};
use crate::model::nodedev;

/// What is to be shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  automdev types
  automdev types --parent pci_0000_41_00_0
  automdev types --format json | jq -r '.parent as $p | .types[] | select(.available > 0) | \"\\($p) \\(.type)\"'")]
pub struct Args {
    /// Shows this parent only: its name, libvirt's name of it, or a PCI address without domain.
    #[arg(long, value_name = "PARENT")]
    parent: Option<String>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Shows it.
pub fn run(root: &Root, kernel: &dyn Kernel, args: &Args) -> anyhow::Result<Status> {
    let mut parents = types::all(root, kernel);
    if let Some(name) = &args.parent {
        let name = nodedev::kernel_name(name, &types::known(root))?;
        parents.retain(|parent| parent.name == name);
        if parents.is_empty() {
            anyhow::bail!(
                "{name} offers no mediated devices on this host; automdev types shows which parents do"
            );
        }
    }
    let mut text = String::new();
    match args.format {
        Format::Text => {
            let ledger = Ledger::look(root, kernel);
            let survey = Survey::new(root, &ledger, None);
            let palette = Palette::for_stdout();
            for parent in &parents {
                print_parent(&mut text, parent, &survey, palette);
            }
            if parents.is_empty() {
                text.push_str("no device of this host offers mediated devices; is the driver loaded?\n");
            }
        }
        Format::Json => {
            for parent in &parents {
                push_json(&mut text, &ParentLine::new(parent));
            }
        }
    }
    kernel.rest();
    output::print(&text)?;
    Ok(Status::Done)
}

fn print_parent(text: &mut String, parent: &Parent, inventory: &dyn Inventory, palette: Palette) {
    let Palette { strong, faint, .. } = palette;
    put!(text, "{strong}{}{strong:#}", parent.name);
    if parent.gpu != parent.name.as_str() {
        put!(text, " {faint}(a function of {}){faint:#}", parent.gpu);
    }
    text.push('\n');
    let width = |of: fn(&Type) -> usize| parent.types.iter().map(of).max().unwrap_or_default();
    let id_width = width(|one| one.id.as_str().chars().count());
    let api_width = width(|one| one.device_api.as_deref().unwrap_or("-").chars().count());
    for one in &parent.types {
        let api = one.device_api.as_deref().unwrap_or("-");
        put!(text, "  {:id_width$}  {api:api_width$}  ", one.id);
        match one.available {
            Some(0) => put!(text, "{}none free{:#}", palette.odd, palette.odd),
            Some(free) => put!(text, "{}{free} free{:#}", palette.good, palette.good),
            None => put!(text, "? free"),
        }
        // Many drivers only repeat the type's name.
        let name = one.name.as_deref().filter(|name| *name != one.id.as_str());
        put!(
            text,
            "{}\n",
            name.map_or_else(String::new, |name| format!("  {name}"))
        );
        if let Some(description) = &one.description {
            push_wrapped(text, 6, description);
        }
        for uuid in &one.active {
            let holders = inventory.holders(*uuid);
            let names: Vec<&str> = holders.iter().map(|holder| holder.name.as_str()).collect();
            let by = if names.is_empty() {
                String::new()
            } else {
                format!(" claimed by {}", names.join(", "))
            };
            push_wrapped(text, 4, &format!("{uuid}{by}"));
        }
    }
    if parent.types.is_empty() {
        text.push_str("  no types\n");
    }
}

#[derive(Serialize)]
struct ParentLine<'a> {
    schema: u32,
    parent: &'a ParentName,
    libvirt_name: &'a str,
    gpu: &'a str,
    types: Vec<TypeLine<'a>>,
}

#[derive(Serialize)]
struct TypeLine<'a> {
    r#type: &'a TypeName,
    name: Option<&'a str>,
    description: Option<&'a str>,
    device_api: Option<&'a str>,
    available: Option<u32>,
    active: &'a [MdevUuid],
}

impl<'a> ParentLine<'a> {
    fn new(parent: &'a Parent) -> Self {
        let line = |one: &'a Type| TypeLine {
            r#type: &one.id,
            name: one.name.as_deref(),
            description: one.description.as_deref(),
            device_api: one.device_api.as_deref(),
            available: one.available,
            active: &one.active,
        };
        ParentLine {
            schema: SCHEMA,
            parent: &parent.name,
            libvirt_name: &parent.libvirt_name,
            gpu: &parent.gpu,
            types: parent.types.iter().map(line).collect(),
        }
    }
}
