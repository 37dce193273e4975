//! `automdev plan --host`: the same question to other hosts, all at once.

use std::cell::Cell;

use super::{Args, Format, domains, json, worse};
use crate::cmd::colour::Palette;
use crate::cmd::hosts::{ask, once};
use crate::cmd::{Status, output};
use crate::host::ssh::{self, Question};
use crate::model::domain::Domain;
use crate::model::far::plan::{self, Need, Plan, SEPARATOR, Verdict};
use crate::model::far::{Silence, command};
use crate::model::names::{DomainUuid, HostName};

mod table;

/// A domain that is asked about.
pub(super) struct Document {
    /// What it came from.
    pub(super) file: String,
    pub(super) name: String,
    pub(super) uuid: Option<DomainUuid>,
    text: String,
}

/// A host, and what it says of each domain, in their order.
pub(super) struct Answers {
    pub(super) host: HostName,
    pub(super) of: Vec<Result<Plan, Silence>>,
}

/// Asks all hosts about all domains. Nothing of this host is looked at.
pub(super) fn run(args: Args) -> anyhow::Result<Status> {
    let need = if args.all { Need::All } else { Need::Any };
    let status = Cell::new(Status::Done);
    let documents: Vec<Document> = domains(&args.files, args.null, Domain::parse, &status)
        .map(|(input, domain)| Document {
            file: input.name,
            name: domain.name,
            uuid: domain.uuid,
            text: input.text,
        })
        .collect();
    let mut status = status.get();
    if documents.is_empty() {
        return Ok(status);
    }
    let (command, input) = question(&documents);
    let hosts = once(args.hosts);
    let questions: Vec<Question<'_>> = hosts
        .iter()
        .map(|host| Question {
            host,
            command: &command,
            input: &input,
        })
        .collect();
    let replies = ask(&questions, args.timeout)?;
    let interrupted = replies.interrupted;
    let files: Vec<&str> = documents.iter().map(|document| document.file.as_str()).collect();
    let answers: Vec<Answers> = hosts
        .into_iter()
        .zip(&replies.replies)
        .map(|(host, reply)| Answers {
            host,
            of: plan::read(reply, &files),
        })
        .collect();
    output::print(&match args.format {
        Format::Text => table::print(&documents, &answers, Palette::for_stdout()),
        Format::Json => json::host_lines(&documents, &answers),
    })?;
    if let Some(signal) = interrupted {
        ssh::end_by(signal);
        return Ok(Status::Failed);
    }
    for number in 0..documents.len() {
        let said: Vec<_> = answers
            .iter()
            .map(|answers| answers.of[number].as_ref().ok().map(|plan| plan.startable))
            .collect();
        status = worse(
            status,
            match plan::verdict(&said, need) {
                Verdict::Yes => Status::Done,
                Verdict::No => Status::No,
                Verdict::Unknown => Status::Failed,
            },
        );
    }
    Ok(status)
}

/// What a host is to run, and what that reads. One document goes as any automdev takes it.
fn question(documents: &[Document]) -> (String, Vec<u8>) {
    const PLAN: [&str; 4] = ["automdev", "plan", "--format", "json"];
    match documents {
        [only] => (
            command::line(&[&PLAN[..], &["-"]].concat()),
            only.text.clone().into_bytes(),
        ),
        several => {
            let mut input = Vec::new();
            for document in several {
                input.extend(document.text.as_bytes());
                input.push(SEPARATOR);
            }
            (command::line(&[&PLAN[..], &["--null", "-"]].concat()), input)
        }
    }
}
