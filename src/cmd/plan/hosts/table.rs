//! What the hosts say, as one table.

use super::{Answers, Document};
use crate::cmd::colour::Palette;
use crate::cmd::format::{push_wrapped, put};
use crate::cmd::hosts::{host_width, push_cell, width};
use crate::model::far::Silence;
use crate::model::names::printable;
use crate::model::plan::Startable;

/// What a reason is indented by.
const INDENT: usize = 6;

/// A line of the table, and what stands below it.
struct Row<'a> {
    host: &'a str,
    domain: &'a str,
    starts: Option<Startable>,
    place: Option<String>,
    reasons: Vec<String>,
}

/// A row for each domain and host; those that said nothing at all come last, and once.
pub(super) fn print(documents: &[Document], answers: &[Answers], palette: Palette) -> String {
    let names: Vec<String> = documents.iter().map(shown_name).collect();
    let mut rows = Vec::new();
    for (number, name) in names.iter().enumerate() {
        for answers in answers.iter().filter(|answers| silence(answers).is_none()) {
            let row = Row {
                host: answers.host.as_str(),
                domain: name,
                starts: None,
                place: None,
                reasons: Vec::new(),
            };
            rows.push(match &answers.of[number] {
                Ok(plan) => Row {
                    starts: Some(plan.startable),
                    place: plan.place(),
                    reasons: plan.refusals(),
                    ..row
                },
                Err(silence) => Row {
                    reasons: vec![silence.reason.clone()],
                    ..row
                },
            });
        }
    }
    for answers in answers {
        if let Some(silence) = silence(answers) {
            rows.push(Row {
                host: answers.host.as_str(),
                domain: "-",
                starts: None,
                place: None,
                reasons: vec![silence.reason.clone()],
            });
        }
    }
    let mut text = String::new();
    print_rows(&mut text, &rows, answers, palette);
    for (number, name) in names.iter().enumerate() {
        let can = answers.iter().filter(|answers| {
            let plan = answers.of[number].as_ref();
            plan.is_ok_and(|plan| plan.startable != Startable::No)
        });
        let (can, all) = (can.count(), answers.len());
        let hosts = if all == 1 { "host" } else { "hosts" };
        put!(&mut text, "{name} can start on {can} of {all} {hosts}\n");
    }
    text
}

fn print_rows(text: &mut String, rows: &[Row<'_>], answers: &[Answers], palette: Palette) {
    let Palette {
        bad,
        good,
        odd,
        faint,
        ..
    } = palette;
    let hosts = host_width(answers.iter().map(|answers| &answers.host));
    let domains = width("DOMAIN", rows.iter().map(|row| row.domain));
    put!(text, "{faint}");
    push_cell(text, "HOST", hosts);
    push_cell(text, "DOMAIN", domains);
    put!(text, "STARTS  WHERE{faint:#}\n");
    for row in rows {
        push_cell(text, row.host, hosts);
        push_cell(text, row.domain, domains);
        let (style, word) = match row.starts {
            Some(Startable::Yes) => (good, "yes"),
            Some(Startable::Uncertain) => (odd, "may"),
            Some(Startable::No) => (bad, "no"),
            None => (odd, "?"),
        };
        let place = row.place.as_deref().unwrap_or("-");
        put!(text, "{style}{word:6}{style:#}  {place}\n");
        for reason in &row.reasons {
            push_wrapped(text, INDENT, reason);
        }
    }
}

/// Why a host says nothing of any domain.
fn silence(answers: &Answers) -> Option<&Silence> {
    let mut silences = answers.of.iter().map(|answer| answer.as_ref().err());
    let first = silences.next()??;
    silences.all(|other| other == Some(first)).then_some(first)
}

fn shown_name(document: &Document) -> String {
    let name = if document.name.is_empty() {
        &document.file
    } else {
        &document.name
    };
    printable(name).into_owned()
}
