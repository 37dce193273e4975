//! `automdev show`: all that is known of one device, or its definition in a form that other tools take.

use anyhow::{anyhow, bail};
use clap::ValueEnum;
use serde::Serialize;

use super::colour::Palette;
use super::format::{SCHEMA, push_json, push_wrapped, put};
use super::list::{RowLine, complain_of, holder, made_by};
use super::{Status, output};
use crate::host::kernel::Kernel;
use crate::host::overview::{self, Overview};
use crate::host::root::Root;
use crate::host::{definitions, processes, sysfs, types};
use crate::model::definition::{Attribute, Definition, Document, Start};
use crate::model::names::{MdevUuid, ParentName, Shown};
use crate::model::nearest::nearest;
use crate::model::nodedev;
use crate::model::overview::Row;

/// What is to be shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  automdev show c2177883-f1bb-47f0-914d-32a22e3a8804
  ssh a automdev show UUID --format mdevctl | ssh b automdev define --parent 0000:81:00.0 -
  automdev show UUID --format nodedev >dev.xml; virsh -c qemu+ssh://b/system nodedev-define dev.xml")]
pub struct Args {
    /// The device.
    uuid: MdevUuid,
    /// Its definition under this parent, where it has several.
    #[arg(long, value_name = "PARENT")]
    parent: Option<String>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = ShowFormat::Text)]
    format: ShowFormat,
}

/// How a device is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum ShowFormat {
    /// All of it, for people.
    Text,
    /// All of it, for programs: one object.
    Json,
    /// Its definition as mdevctl's JSON, for automdev define or mdevctl define --jsonfile. It has the UUID besides,
    /// which mdevctl reads past.
    Mdevctl,
    /// Its definition as libvirt's XML, for virsh nodedev-define. It does not say when the device is made.
    Nodedev,
}

/// Shows it.
pub fn run(root: &Root, kernel: &dyn Kernel, args: &Args) -> anyhow::Result<Status> {
    let uuid = args.uuid;
    let mut overview = overview::of_device(root, kernel, uuid);
    if let Some(name) = &args.parent {
        let name = nodedev::kernel_name(name, &types::known(root))?;
        overview.rows.retain(|row| row.parent == name);
        if overview.rows.is_empty() {
            bail!("{uuid} is neither defined nor active on {name}");
        }
    }
    if overview.rows.is_empty() {
        return Err(unknown(root, uuid));
    }
    let mut text = String::new();
    match args.format {
        ShowFormat::Text => {
            print(&mut text, root, uuid, &overview, Palette::for_stdout());
            complain_of(&overview);
        }
        ShowFormat::Json => {
            push_json(&mut text, &DeviceLine::new(root, uuid, &overview));
            complain_of(&overview);
        }
        ShowFormat::Mdevctl | ShowFormat::Nodedev => {
            let (parent, document) = the_definition(root, uuid, &overview.rows)?;
            if args.format == ShowFormat::Mdevctl {
                text = document.with_uuid(uuid).render();
                text.push('\n');
            } else {
                let libvirt_name = types::libvirt_name(root, &parent);
                text = nodedev::render(uuid, &parent, &libvirt_name, document.definition());
            }
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
    let near = if near.is_empty() {
        String::new()
    } else {
        format!(" (did you mean {}?)", near.join(", "))
    };
    anyhow!("{uuid} is neither defined nor active on this host{near}; automdev list shows what is")
}

/// The one definition that is meant, or what would be that of a device that has none.
fn the_definition(root: &Root, uuid: MdevUuid, rows: &[Row]) -> anyhow::Result<(ParentName, Document)> {
    let defined: Vec<&Row> = rows.iter().filter(|row| row.defined.is_some()).collect();
    match defined.as_slice() {
        [] => {
            let row = rows.iter().find(|row| row.mdev_type.is_some());
            let row = row.ok_or_else(|| anyhow!("{uuid} has no definition, and is on its way out"))?;
            let definition = Definition {
                mdev_type: row.mdev_type.clone().expect("just found"),
                start: Start::Manual,
                // What was written into the device does not show in sysfs.
                attributes: Vec::new(),
            };
            super::complain(&format!(
                "automdev: note: {uuid} has no definition; this one would make it anew, without attributes"
            ));
            Ok((row.parent.clone(), Document::new(definition)))
        }
        [row] => {
            let file = definitions::file(&row.parent, uuid);
            let document = definitions::document(root, &row.parent, uuid)
                .map_err(|error| anyhow!("{file} is broken: {error}; mend the file"))?;
            let document = document.ok_or_else(|| anyhow!("{file} is gone by now"))?;
            Ok((row.parent.clone(), document))
        }
        several => {
            let parents: Vec<&str> = several.iter().map(|row| row.parent.as_str()).collect();
            bail!(
                "{uuid} is defined on {}; say which one is meant with --parent",
                parents.join(", ")
            );
        }
    }
}

fn print(text: &mut String, root: &Root, uuid: MdevUuid, overview: &Overview, palette: Palette) {
    let Palette { strong, bad, .. } = palette;
    put!(text, "{strong}{uuid}{strong:#}\n");
    for row in &overview.rows {
        print_definition(text, row);
    }
    for row in &overview.rows {
        print_device(text, root, row);
    }
    for problem in overview.rows.iter().flat_map(|row| &row.problems) {
        let mut wrapped = String::new();
        push_wrapped(&mut wrapped, 2, &format!("! {}", problem.text));
        put!(text, "{bad}{}{bad:#}\n", wrapped.trim_end_matches('\n'));
    }
}

fn print_definition(text: &mut String, row: &Row) {
    let Some(defined) = &row.defined else { return };
    match &defined.definition {
        Ok(Definition {
            mdev_type,
            start,
            attributes,
        }) => {
            put!(
                text,
                "  defined  as {mdev_type} on {}, start {}\n",
                row.parent,
                start.as_str()
            );
            for Attribute { path, value } in attributes {
                put!(text, "{:13}{path} = {}\n", "", Shown(value));
            }
        }
        Err(_) => put!(text, "  defined  on {}\n", row.parent),
    }
    put!(text, "{:11}{}\n", "", defined.file);
}

fn print_device(text: &mut String, root: &Root, row: &Row) {
    let Some(present) = &row.present else { return };
    let (uuid, parent) = (row.uuid, &row.parent);
    match (&row.mdev_type, &present.device_api) {
        (Some(mdev_type), Some(api)) => {
            put!(
                text,
                "  active   as {mdev_type} ({api}) on {parent}{}\n",
                made_by(present.maker)
            );
        }
        _ => put!(text, "  active   on {parent}{}\n", made_by(present.maker)),
    }
    put!(text, "{:11}{}/{parent}/{uuid}\n", "", sysfs::PARENTS);
    for node in sysfs::nodes(root, uuid) {
        put!(text, "{:11}{}\n", "", node.display());
    }
    let holders: Vec<String> = row.holders.iter().map(holder).collect();
    if !holders.is_empty() {
        put!(text, "  claimed  by {}\n", holders.join(", "));
    }
    let users = processes::users(root, &sysfs::nodes(root, uuid));
    let users: Vec<String> = users.iter().map(ToString::to_string).collect();
    if !users.is_empty() {
        put!(text, "  open     in {}\n", users.join(", "));
    }
}

#[derive(Serialize)]
struct DeviceLine<'a> {
    schema: u32,
    uuid: MdevUuid,
    places: Vec<RowLine<'a>>,
    nodes: Vec<String>,
    users: Vec<UserLine>,
}

#[derive(Serialize)]
struct UserLine {
    pid: u32,
    name: String,
}

impl<'a> DeviceLine<'a> {
    fn new(root: &Root, uuid: MdevUuid, overview: &'a Overview) -> Self {
        let nodes = sysfs::nodes(root, uuid);
        let users = processes::users(root, &nodes).into_iter();
        DeviceLine {
            schema: SCHEMA,
            uuid,
            places: overview
                .rows
                .iter()
                .map(|row| RowLine::new(row, overview.access))
                .collect(),
            users: users
                .map(|user| UserLine {
                    pid: user.pid,
                    name: user.name,
                })
                .collect(),
            nodes: nodes.iter().map(|node| node.display().to_string()).collect(),
        }
    }
}
