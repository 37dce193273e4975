//! `automdev define`: says what a device is on this host, where mdevctl and libvirt see it, too.

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;

use super::format::Format;
use super::hosts::Seconds;
use super::{Status, complain, output};
use crate::host::definitions::{self, Overwrite, PutError};
use crate::host::root::Root;
use crate::host::{sysfs, types};
use crate::model::definition::{Attribute, Definition, Document, Start};
use crate::model::domain::Model;
use crate::model::inventory::ParentState;
use crate::model::names::{MdevUuid, ParentName, Shown, TypeName};
use crate::model::nearest::nearest;
use crate::model::nodedev;

mod hosts;
mod source;

use hosts::OnHost;
use source::Source;

/// What is to be defined.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true).args(["file", "mdev_type"]),
    group = clap::ArgGroup::new("where").multiple(true).args(["parent", "hosts"]),
    override_usage = "automdev define --parent PARENT --type TYPE [OPTIONS]\n       automdev define [--parent PARENT] [OPTIONS] FILE\n       automdev define --host HOST[=PARENT]... [--parent PARENT] [OPTIONS] --type TYPE|FILE",
    after_help = "\
Prints the device's UUID, and the element that gives the device to a domain: for a file that goes through
automdev rewrite. (In virsh edit leave autocreate='yes' out, and list the UUID in the metadata.)

Examples:
  automdev define --parent 0000:41:00.0 --type nvidia-63
  automdev define --parent 41:00.0 --type nvidia-63 --attribute $'nvidia/vgpu_params=frame_rate_limiter=0\\n'
  automdev define --parent matrix --type vfio_ap-passthrough \\
      --attribute assign_adapter=5 --attribute assign_domain=0xab
  automdev define device.xml
  ssh a automdev show UUID --format mdevctl | automdev define --parent 0000:81:00.0 -
  automdev define --host gpu1=0000:41:00.0 --host gpu2=0000:81:00.0 --type nvidia-63

With --host it is defined on each HOST, over ssh as you would call it, with automdev on both sides, under one
UUID. All are asked at once, and nothing is written on this host, unless it is one of them. Status 1: not all of
them say that they have it; a line for each tells which."
)]
pub struct Args {
    /// libvirt's XML of a node device, or mdevctl's JSON; - is standard input.
    #[arg(value_name = "FILE", conflicts_with = "attributes")]
    file: Option<PathBuf>,
    /// Where it is made: the kernel's name, libvirt's name, or a PCI address without domain.
    #[arg(long, value_name = "PARENT")]
    parent: Option<String>,
    /// As what it is made: a type that automdev types shows.
    #[arg(long = "type", value_name = "TYPE", requires = "where")]
    mdev_type: Option<TypeName>,
    /// Written into the device after its creation; may come again, and is written in this order.
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    attributes: Vec<Attribute>,
    /// Its UUID; a new one where none is given.
    #[arg(long, value_name = "UUID")]
    uuid: Option<MdevUuid>,
    /// Whether mdevctl makes it as soon as its parent is there. automdev makes it when a domain needs it.
    #[arg(long, value_enum, value_name = "WHEN")]
    start: Option<When>,
    /// Replaces a different definition of that UUID on that parent.
    #[arg(long)]
    force: bool,
    /// Defines it on this host, over ssh, and not on the one that this is; may come again. PARENT is the one there, else
    /// that of --parent.
    #[arg(long = "host", value_name = "HOST[=PARENT]")]
    hosts: Vec<OnHost>,
    /// How long each host has for its answer, in seconds, with the connection.
    #[arg(long, value_name = "SECONDS", default_value = "10", requires = "hosts")]
    timeout: Seconds,
    /// How what came of it on the hosts is printed.
    #[arg(long, value_enum, default_value_t = Format::Text, requires = "hosts")]
    format: Format,
}

/// When mdevctl makes a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum When {
    /// When its parent appears.
    Auto,
    /// When somebody asks for it.
    Manual,
}

impl When {
    const fn start(self) -> Start {
        match self {
            When::Auto => Start::Auto,
            When::Manual => Start::Manual,
        }
    }
}

/// Defines it.
pub fn run(root: &Root, args: &Args) -> anyhow::Result<Status> {
    let source = match (&args.file, &args.mdev_type) {
        (Some(file), _) => match Source::read(file)? {
            Ok(source) => source,
            Err(status) => return Ok(status),
        },
        (None, Some(mdev_type)) => Source::new(Definition {
            mdev_type: mdev_type.clone(),
            start: Start::Manual,
            attributes: args.attributes.clone(),
        }),
        (None, None) => bail!("there is neither a file nor a type"),
    };
    if !args.hosts.is_empty() {
        return hosts::run(args, &source);
    }
    let known = types::known(root);
    let parent = match &args.parent {
        Some(name) => nodedev::kernel_name(name, &known)?,
        None => source.parent(&known)?.ok_or_else(|| {
            anyhow!("the file does not say on which parent the device is to be; add --parent PARENT")
        })?,
    };
    let uuid = args.uuid.or(source.uuid);
    let uuid = uuid.unwrap_or_else(|| uuid::Uuid::new_v4().into());
    let mut document = source.document;
    if let Some(when) = args.start {
        let mut definition = document.definition().clone();
        definition.start = when.start();
        document = document.with(definition);
    }
    if !put(root, &parent, uuid, &document, args.force)? {
        return Ok(Status::Failed);
    }
    warn(root, &parent, uuid, document.definition());
    output::print(&format!(
        "{uuid}\n{}",
        hostdev(root, &parent, uuid, document.definition())
    ))?;
    Ok(Status::Done)
}

/// Puts the definition in place; false where another one is there and stays.
fn put(
    root: &Root,
    parent: &ParentName,
    uuid: MdevUuid,
    document: &Document,
    force: bool,
) -> anyhow::Result<bool> {
    let file = definitions::file(parent, uuid);
    let overwrite = if force {
        Overwrite::Allow
    } else {
        Overwrite::Refuse
    };
    let new = match definitions::document(root, parent, uuid) {
        Ok(None) => document.clone(),
        Ok(Some(old)) if old.has_all_of(document) => return Ok(true),
        Ok(Some(old)) if force => old.overlaid(document),
        Ok(Some(old)) => {
            complain(&format!("automdev: {file} is there already, and different:"));
            for line in differences(old.definition(), document.definition()) {
                complain(&format!("  {line}"));
            }
            complain("nothing was changed; --force replaces it");
            return Ok(false);
        }
        Err(_) if force => document.clone(),
        Err(error) => {
            bail!("{file} is there already, and broken: {error}; mend it, or replace it with --force")
        }
    };
    match definitions::write(root, parent, uuid, &new, overwrite) {
        Ok(()) => Ok(true),
        Err(PutError::Exists { file }) => {
            bail!("{file} has been made by somebody else just now; look at it")
        }
        Err(error) => Err(error).with_context(|| format!("cannot define {uuid}")),
    }
}

fn differences(old: &Definition, new: &Definition) -> Vec<String> {
    let mut lines = Vec::new();
    if old.mdev_type != new.mdev_type {
        lines.push(format!("type: {}, not {}", old.mdev_type, new.mdev_type));
    }
    if old.start != new.start {
        lines.push(format!(
            "start: {}, not {}",
            old.start.as_str(),
            new.start.as_str()
        ));
    }
    if old.attributes != new.attributes {
        let (old, new) = (shown(&old.attributes), shown(&new.attributes));
        lines.push(format!("attributes: {old}; not {new}"));
    }
    if lines.is_empty() {
        lines.push("it has other members besides".to_owned());
    }
    lines
}

fn shown(attributes: &[Attribute]) -> String {
    let each: Vec<String> = attributes
        .iter()
        .map(|Attribute { path, value }| format!("{path} = {}", Shown(value)))
        .collect();
    if each.is_empty() {
        "none".to_owned()
    } else {
        each.join(", ")
    }
}

/// Says what does not fit this host as it is now: what is missing may come later.
fn warn(root: &Root, parent: &ParentName, uuid: MdevUuid, definition: &Definition) {
    if let Some(what) = misfit(root, parent, &definition.mdev_type) {
        complain(&format!("automdev: warning: {what}"));
        complain(&format!(
            "automdev: note: it is defined all the same; automdev undefine {uuid} --parent {parent} takes that back"
        ));
    }
    let mut others: Vec<ParentName> = definitions::of_device(root, uuid)
        .unwrap_or_default()
        .into_iter()
        .map(|defined| defined.parent)
        .collect();
    if others.len() > 1 {
        others.retain(|other| other != parent);
        let names: Vec<&str> = others.iter().map(ParentName::as_str).collect();
        complain(&format!(
            "automdev: note: {uuid} is defined on {}, too; the first of them, by name, that can host it is taken",
            names.join(", ")
        ));
    }
}

/// Why this host could not make it now.
fn misfit(root: &Root, parent: &ParentName, mdev_type: &TypeName) -> Option<String> {
    match sysfs::parent_state(root, parent) {
        ParentState::There => {
            let offered = sysfs::offered(root, parent);
            if offered.contains(mdev_type) {
                return None;
            }
            let near = did_you_mean(&nearest(mdev_type, offered));
            Some(format!(
                "{parent} offers no type {mdev_type} now{near}; automdev types --parent {parent} shows what it does"
            ))
        }
        ParentState::Absent => {
            let near = did_you_mean(&nearest(parent, sysfs::parents(root)));
            Some(format!("this host has no device {parent} now{near}"))
        }
        ParentState::NotMdev => Some(format!(
            "{parent} is there, but its driver offers no mediated devices now"
        )),
        ParentState::NvidiaVfio => Some(format!(
            "the driver of {parent} no longer offers mediated devices; give the function to the domain as <hostdev type='pci'>"
        )),
    }
}

fn did_you_mean<T: ToString>(near: &[T]) -> String {
    let names: Vec<String> = near.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" (did you mean {}?)", names.join(", "))
    }
}

/// The element that gives the device to a domain.
fn hostdev(root: &Root, parent: &ParentName, uuid: MdevUuid, definition: &Definition) -> String {
    let mdev_type = &definition.mdev_type;
    let offered = sysfs::device_api(root, parent, mdev_type);
    let offered = Model::ALL
        .into_iter()
        .find(|model| offered.as_deref() == Some(model.as_str()));
    // The drivers of an s390 say it in their types' names.
    let model = offered.unwrap_or_else(|| match mdev_type.as_str() {
        name if name.starts_with("vfio_ap") => Model::VfioAp,
        name if name.starts_with("vfio_ccw") => Model::VfioCcw,
        _ => Model::VfioPci,
    });
    element(model, uuid)
}

fn element(model: Model, uuid: MdevUuid) -> String {
    format!(
        "<hostdev mode='subsystem' type='mdev' model='{}' autocreate='yes'>\n  <source>\n    \
         <address uuid='{uuid}'/>\n  </source>\n</hostdev>\n",
        model.as_str()
    )
}
