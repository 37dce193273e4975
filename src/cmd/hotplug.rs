//! `automdev create` and `automdev remove`: devices for a domain that runs already.

use std::error::Error;

use anyhow::bail;
use serde::Serialize;

use super::colour::Palette;
use super::format::{Format, SCHEMA, push_json, put};
use super::{Status, one_line, output};
use crate::host::clock::Deadline;
use crate::host::hotplug::{self, Done, Gained, Lost};
use crate::host::kernel::Kernel;
use crate::host::log as journal;
use crate::host::machine::{self, Machine};
use crate::host::root::Root;
use crate::host::running::{self, Running};
use crate::model::names::{DomainUuid, MdevUuid, ParentName, TypeName};

/// What is to be made, and for whom.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
libvirt calls no hook when a device is plugged into a domain that runs; this makes it beforehand, from its definition.
It is then the domain's like those of its start: it is removed when the domain has stopped.

Example:
  automdev create --domain vm1 c2177883-f1bb-47f0-914d-32a22e3a8804
  virsh attach-device vm1 hostdev.xml")]
pub struct CreateArgs {
    /// The domain that runs: its name or its UUID.
    #[arg(long, value_name = "DOMAIN")]
    domain: String,
    /// The devices. All of them are made, or none.
    #[arg(required = true, value_name = "UUID")]
    uuids: Vec<MdevUuid>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What is to be given back, and by whom.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A device that the guest still has is left alone, and one that automdev did not make stays. What is not given back here is
given back when the domain stops.

Example:
  virsh detach-device vm1 hostdev.xml
  automdev remove --domain vm1 c2177883-f1bb-47f0-914d-32a22e3a8804")]
pub struct RemoveArgs {
    /// The domain that runs: its name or its UUID.
    #[arg(long, value_name = "DOMAIN")]
    domain: String,
    /// The devices; all of the domain's where none is named.
    #[arg(value_name = "UUID")]
    uuids: Vec<MdevUuid>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Makes them.
pub fn create(root: &Root, kernel: &dyn Kernel, args: &CreateArgs) -> anyhow::Result<Status> {
    let CreateArgs {
        domain,
        uuids,
        format,
    } = args;
    let (running, done) = carry_out(root, kernel, "create", (domain, uuids), hotplug::create)?;
    let what = |gained: &Gained| match gained {
        Gained::Created => ("created", "create"),
        Gained::Adopted => ("there before, left standing:", "adopt"),
        Gained::Had => ("had already:", "keep"),
    };
    print(&running, &done, what, *format)
}

/// Gives them back.
pub fn remove(root: &Root, kernel: &dyn Kernel, args: &RemoveArgs) -> anyhow::Result<Status> {
    let RemoveArgs {
        domain,
        uuids,
        format,
    } = args;
    let (running, done) = carry_out(root, kernel, "remove", (domain, uuids), hotplug::remove)?;
    if done.is_empty() && *format == Format::Text {
        output::print(&format!(
            "{} has no devices by automdev\n",
            one_line(&running.name)
        ))?;
    }
    let what = |lost: &Lost| match lost {
        Lost::Removed => ("removed", "remove"),
        Lost::Left => ("given up, left standing:", "leave"),
    };
    print(&running, &done, what, *format)
}

/// Does it to the devices of a domain that runs. What goes wrong is in the journal, too.
fn carry_out<T, E: Error + Send + Sync + 'static>(
    root: &Root,
    kernel: &dyn Kernel,
    operation: &'static str,
    (domain, uuids): (&str, &[MdevUuid]),
    act: impl FnOnce(&Machine<'_>, &Running, &[MdevUuid]) -> Result<Vec<Done<T>>, E>,
) -> anyhow::Result<(Running, Vec<Done<T>>)> {
    check_rights(root)?;
    check_each_once(uuids)?;
    let running = running::find(root, kernel, domain)?;
    let settings = machine::load_settings(root)?;
    journal::start(root, settings.log_level);
    journal::set_context(&one_line(&running.name), operation);
    let machine = Machine::new(root, kernel, settings, Deadline::now());
    let done = act(&machine, &running, uuids);
    kernel.rest();
    let done = done.map_err(|error| {
        let error = anyhow::Error::new(error);
        log::error!("{}", one_line(&format!("{error:#}")));
        error
    })?;
    Ok((running, done))
}

fn check_rights(root: &Root) -> anyhow::Result<()> {
    if root.is_machine() && !nix::unistd::geteuid().is_root() {
        bail!("only root may make and remove mediated devices; run this as root");
    }
    Ok(())
}

fn check_each_once(uuids: &[MdevUuid]) -> anyhow::Result<()> {
    for (index, uuid) in uuids.iter().enumerate() {
        if uuids[..index].contains(uuid) {
            bail!("{uuid} is named twice");
        }
    }
    Ok(())
}

/// One device, as JSON.
#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    domain: DomainLine<'a>,
    uuid: MdevUuid,
    action: &'static str,
    parent: Option<&'a ParentName>,
    r#type: Option<&'a TypeName>,
}

#[derive(Serialize)]
struct DomainLine<'a> {
    name: &'a str,
    uuid: DomainUuid,
}

fn print<T>(
    running: &Running,
    done: &[Done<T>],
    words: impl Fn(&T) -> (&'static str, &'static str),
    format: Format,
) -> anyhow::Result<Status> {
    let palette = Palette::for_stdout();
    let style = palette.good;
    let mut text = String::new();
    for Done { uuid, place, what } in done {
        let (word, action) = words(what);
        match (format, place) {
            (Format::Text, Some((parent, mdev_type))) => {
                put!(
                    &mut text,
                    "{style}{word}{style:#} {uuid} ({mdev_type} on {parent})\n"
                );
            }
            (Format::Text, None) => put!(&mut text, "{style}{word}{style:#} {uuid}\n"),
            (Format::Json, place) => push_json(
                &mut text,
                &Line {
                    schema: SCHEMA,
                    domain: DomainLine {
                        name: &running.name,
                        uuid: running.uuid,
                    },
                    uuid: *uuid,
                    action,
                    parent: place.as_ref().map(|(parent, _)| parent),
                    r#type: place.as_ref().map(|(_, mdev_type)| mdev_type),
                },
            ),
        }
    }
    output::print(&text)?;
    Ok(Status::Done)
}
