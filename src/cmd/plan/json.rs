//! A plan for programs: one object a domain, one a line. Its keys are documented and stable.

use serde::Serialize;
use serde_json::Value;

use super::hosts::{Answers, Document};
use super::report::{Device, Report};
use crate::cmd::format::{SCHEMA, push_json};
use crate::model::far::State;
use crate::model::names::{DomainUuid, HostName, MdevUuid, ParentName, TypeName};

#[derive(Serialize)]
struct DomainLine<'a> {
    schema: u32,
    file: &'a str,
    domain: DomainName<'a>,
    startable: &'static str,
    devices: Vec<DeviceLine<'a>>,
}

#[derive(Serialize)]
struct DomainName<'a> {
    name: &'a str,
    uuid: Option<DomainUuid>,
}

#[derive(Serialize)]
struct DeviceLine<'a> {
    uuid: Option<MdevUuid>,
    action: &'static str,
    parent: Option<&'a ParentName>,
    #[serde(rename = "type")]
    mdev_type: Option<&'a TypeName>,
    model: Option<&'static str>,
    attributes: Option<Vec<(&'a str, &'a str)>>,
    source: Option<SourceName<'a>>,
    code: Option<&'static str>,
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct SourceName<'a> {
    kind: &'static str,
    name: &'a str,
}

/// What another host says of a domain, or why it says nothing.
#[derive(Serialize)]
struct HostLine<'a> {
    schema: u32,
    host: &'a HostName,
    state: &'static str,
    reason: Option<&'a str>,
    file: &'a str,
    domain: DomainName<'a>,
    startable: Option<&'static str>,
    devices: Option<&'a [Value]>,
}

/// The lines of all domains on all hosts.
pub(super) fn host_lines(documents: &[Document], answers: &[Answers]) -> String {
    let mut text = String::new();
    for (number, document) in documents.iter().enumerate() {
        for Answers { host, of } in answers {
            let answer = &of[number];
            let (plan, silence) = (answer.as_ref().ok(), answer.as_ref().err());
            let line = HostLine {
                schema: SCHEMA,
                host,
                state: silence.map_or(State::Answered, |silence| silence.state).as_str(),
                reason: silence.map(|silence| silence.reason.as_str()),
                file: &document.file,
                domain: DomainName {
                    name: &document.name,
                    uuid: document.uuid,
                },
                startable: plan.map(|plan| plan.startable.as_str()),
                devices: plan.map(|plan| plan.devices.as_slice()),
            };
            push_json(&mut text, &line);
        }
    }
    text
}

/// The line of a domain.
pub(super) fn line(report: &Report) -> String {
    let line = DomainLine {
        schema: 1,
        file: &report.file,
        domain: DomainName {
            name: &report.name,
            uuid: report.uuid,
        },
        startable: report.startable.as_str(),
        devices: report.devices.iter().map(device).collect(),
    };
    let mut text = serde_json::to_string(&line).expect("it has only text, numbers and lists");
    text.push('\n');
    text
}

fn device(device: &Device) -> DeviceLine<'_> {
    DeviceLine {
        uuid: device.uuid,
        action: device.action,
        parent: device.parent.as_ref(),
        mdev_type: device.mdev_type.as_ref(),
        model: device.model.map(crate::model::domain::Model::as_str),
        attributes: device.attributes.as_ref().map(|attributes| {
            attributes
                .iter()
                .map(|one| (one.path.as_str(), one.value.as_str()))
                .collect()
        }),
        source: device
            .source
            .as_ref()
            .map(|(kind, name)| SourceName { kind, name }),
        code: device.code,
        reason: device.reason.as_deref(),
    }
}
