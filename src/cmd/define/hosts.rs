//! `automdev define --host`: the same definition on other hosts, all at once, each with a parent of its own.

use std::str::FromStr;

use super::source::Source;
use super::{Args, element};
use crate::cmd::colour::Palette;
use crate::cmd::format::{Format, push_wrapped, put};
use crate::cmd::hosts::{ask, host_width, push_cell, width};
use crate::cmd::{Status, complain, output};
use crate::host::ssh::{self, Question};
use crate::model::domain::Model;
use crate::model::far::command;
use crate::model::far::definition::{self, Missing};
use crate::model::names::{HostName, MdevUuid, NameError, ParentName};
use crate::model::nodedev;

mod json;

/// What a reason is indented by.
const INDENT: usize = 6;

/// A host, and the parent there, as somebody named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OnHost {
    host: HostName,
    parent: Option<String>,
}

impl FromStr for OnHost {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (host, parent) = match text.split_once('=') {
            Some((host, parent)) => (host, Some(parent)),
            None => (text, None),
        };
        let host = host.parse()?;
        // What it is called by the kernel there is known there.
        parent.map(|name| nodedev::kernel_name(name, &[])).transpose()?;
        Ok(OnHost {
            host,
            parent: parent.map(str::to_owned),
        })
    }
}

/// What came of it on one host.
struct Outcome {
    on: OnHost,
    result: Result<Model, Missing>,
}

/// Defines it on all of them. Nothing of this host is looked at or written.
pub(super) fn run(args: &Args, source: &Source) -> anyhow::Result<Status> {
    if let Some(parent) = &args.parent {
        nodedev::kernel_name(parent, &[])?;
    }
    let targets = targets(&args.hosts, args.parent.as_deref());
    let lacks_parent = |on: &&OnHost| on.parent.is_none() && !source.names_parent();
    if let Some(on) = targets.iter().find(lacks_parent) {
        complain(&format!(
            "automdev: on which parent of {host} is the device to be? write --host {host}=PARENT, or add --parent PARENT",
            host = on.host
        ));
        return Ok(Status::Usage);
    }
    // Made up here, so that it is the same everywhere.
    let uuid = args.uuid.or(source.uuid);
    let uuid = uuid.unwrap_or_else(|| uuid::Uuid::new_v4().into());
    let commands: Vec<String> = targets.iter().map(|on| line(args, on, uuid)).collect();
    let questions: Vec<Question<'_>> = targets
        .iter()
        .zip(&commands)
        .map(|(on, command)| Question {
            host: &on.host,
            command,
            input: source.text.as_bytes(),
        })
        .collect();
    let replies = ask(&questions, args.timeout)?;
    let outcomes: Vec<Outcome> = targets
        .iter()
        .zip(&replies.replies)
        .map(|(on, reply)| Outcome {
            on: on.clone(),
            result: definition::read(reply, uuid),
        })
        .collect();
    output::print(&match args.format {
        Format::Text => print(uuid, &outcomes, Palette::for_stdout()),
        Format::Json => json::lines(uuid, &outcomes),
    })?;
    let missing = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();
    if missing > 0 {
        complain(&format!(
            "automdev: {missing} of {all} did not say that they have it; once that is mended, the same with --uuid {uuid} \
             tries again, and leaves alone what is there",
            all = outcomes.len()
        ));
    }
    if let Some(signal) = replies.interrupted {
        ssh::end_by(signal);
    }
    Ok(if missing > 0 { Status::Failed } else { Status::Done })
}

/// The hosts with their parents, each pair once, however it is written: one file must not be written by two at once.
fn targets(hosts: &[OnHost], parent: Option<&str>) -> Vec<OnHost> {
    let mut seen: Vec<(&HostName, Option<ParentName>)> = Vec::with_capacity(hosts.len());
    let mut targets = Vec::with_capacity(hosts.len());
    for on in hosts {
        let parent = on.parent.as_deref().or(parent);
        // As far as it can be told from here.
        let kernel_name = parent.and_then(|name| nodedev::kernel_name(name, &[]).ok());
        let key = (&on.host, kernel_name);
        if !seen.contains(&key) {
            seen.push(key);
            targets.push(OnHost {
                host: on.host.clone(),
                parent: parent.map(str::to_owned),
            });
        }
    }
    targets
}

/// What is run on a host, which reads the definition from its standard input.
fn line(args: &Args, on: &OnHost, uuid: MdevUuid) -> String {
    let mut words = vec!["automdev".to_owned(), "define".to_owned()];
    words.extend(["--uuid".to_owned(), uuid.to_string()]);
    if let Some(parent) = &on.parent {
        // Not as a word of its own, which could be taken for an option.
        words.push(format!("--parent={parent}"));
    }
    if let Some(when) = args.start {
        words.extend(["--start".to_owned(), when.start().as_str().to_owned()]);
    }
    if args.force {
        words.push("--force".to_owned());
    }
    words.push("-".to_owned());
    command::line(&words)
}

/// The UUID and the element, where any host has it, and a line for each.
fn print(uuid: MdevUuid, outcomes: &[Outcome], palette: Palette) -> String {
    let Palette {
        bad,
        good,
        odd,
        faint,
        ..
    } = palette;
    let mut text = String::new();
    if let Some(model) = outcomes.iter().find_map(|outcome| outcome.result.as_ref().ok()) {
        put!(&mut text, "{uuid}\n{}", element(*model, uuid));
    }
    let hosts = host_width(outcomes.iter().map(|outcome| &outcome.on.host));
    let parents = outcomes.iter().map(|outcome| parent(&outcome.on));
    let parents = width("PARENT", parents);
    put!(&mut text, "{faint}");
    push_cell(&mut text, "HOST", hosts);
    push_cell(&mut text, "PARENT", parents);
    put!(&mut text, "DEFINED{faint:#}\n");
    for Outcome { on, result } in outcomes {
        push_cell(&mut text, on.host.as_str(), hosts);
        push_cell(&mut text, parent(on), parents);
        let (style, word) = match result {
            Ok(_) => (good, "yes"),
            Err(Missing::Refused(_)) => (bad, "no"),
            Err(Missing::Unknown(_)) => (odd, "?"),
        };
        put!(&mut text, "{style}{word}{style:#}\n");
        if let Err(missing) = result {
            push_wrapped(&mut text, INDENT, &missing.silence().reason);
        }
    }
    text
}

fn parent(on: &OnHost) -> &str {
    on.parent.as_deref().unwrap_or("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parent_of_a_host_is_meant_once() {
        let hosts = [
            "a",
            "a=mtty",
            "b=pci_0000_41_00_0",
            "b=41:00.0",
            "a=mdpy",
            "b",
            "b=0000:41:00.0",
        ];
        let hosts: Vec<OnHost> = hosts.map(|text| text.parse().expect(text)).into();
        let shown = |parent| {
            let targets = targets(&hosts, parent);
            let each = targets
                .iter()
                .map(|on| format!("{}={}", on.host, super::parent(on)));
            each.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown(Some("mtty")), "a=mtty b=pci_0000_41_00_0 a=mdpy b=mtty");
        assert_eq!(shown(None), "a=- a=mtty b=pci_0000_41_00_0 a=mdpy b=-");
    }

    #[test]
    fn a_host_may_have_a_parent_of_its_own() {
        for (text, host, parent) in [
            ("a", "a", None),
            ("root@a=0000:41:00.0", "root@a", Some("0000:41:00.0")),
            ("a=41:00.0", "a", Some("41:00.0")),
            ("a=b=c", "a", Some("b=c")),
        ] {
            let on: OnHost = text.parse().expect(text);
            assert_eq!((on.host.as_str(), on.parent.as_deref()), (host, parent));
        }
        for text in ["", "=p", "-a=p", "a=", "a=..", "a=b/c", "a=b\nc"] {
            assert!(text.parse::<OnHost>().is_err(), "{text}");
        }
    }
}
