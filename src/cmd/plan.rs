//! `automdev plan`: what a start of a domain would do on this host, and why. Writes nothing anywhere.

use std::cell::Cell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum};

use super::colour::Palette;
use super::hosts::Seconds;
use super::input::{Input, InputError};
use super::{Status, complain};
use crate::host::kernel::Kernel;
use crate::host::ledger::Ledger;
use crate::host::root::Root;
use crate::host::survey::{Failure, Survey};
use crate::host::{definitions, machine, release, sysfs};
use crate::model::claim::Claimant;
use crate::model::domain::Domain;
use crate::model::fault::Fault;
use crate::model::inventory::Inventory as _;
use crate::model::names::HostName;
use crate::model::plan::{self, Patience, Startable};
use crate::model::rewrite::{PoolUuids, rewrite};
use crate::model::settings::Settings;

mod hosts;
mod json;
mod report;
mod text;

use report::Report;

/// What is to be planned.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  automdev plan vm.xml                          would it start here?
  virsh dumpxml vm | automdev plan              the same for a domain that libvirt has
  automdev plan --format json *.xml | jq -r 'select(.startable == \"no\") | .file'
  automdev plan --host gpu1 --host gpu2 vm.xml  on which of these hosts?
  automdev plan --all --host gpu1 --host root@gpu2 --timeout 30 a.xml b.xml
  automdev --root samples/hosts/nvidia plan samples/domains/nvidia.xml

With --host each HOST is asked by ssh, as you would call it, with automdev on both sides. All are asked at
once; nothing is copied there, and this host is not looked at.

Status: 0 all would or may start, 1 something could not be read, 3 a start would be refused; with --host:
0 each domain can start on one of the hosts (--all: on all), 1 a FILE could not be read, or those that
would have to say so do not answer, 3 a domain can start on none of those that answer (--all: not on all).")]
pub struct Args {
    /// The XML of domains, as people write it or as libvirt prints it; - or nothing is standard input.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Standard input has several domains, a NUL byte behind each.
    #[arg(short = '0', long)]
    null: bool,
    /// Asks this host over ssh, and not the one that this is; may come again.
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<HostName>,
    /// Asks whether all hosts can start it, not only one of them.
    #[arg(long, requires = "hosts")]
    all: bool,
    /// How long each host has for its answer, in seconds, with the connection.
    #[arg(long, value_name = "SECONDS", default_value = "10", requires = "hosts")]
    timeout: Seconds,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One object a domain, one a line.
    Json,
}

/// Plans the start of each domain, and prints what it would do.
pub fn run(root: &Root, kernel: &dyn Kernel, args: Args) -> anyhow::Result<Status> {
    if !args.hosts.is_empty() {
        return hosts::run(args);
    }
    let settings = machine::load_settings(root)?;
    let status = Cell::new(Status::Done);
    // Which devices are marked may depend on what is defined, even where a plan asks for nothing more.
    let mut notes: Vec<String> = definitions::parents(root)
        .err()
        .iter()
        .map(|error| release::chain(error))
        .collect();
    let mut is_later = false;
    for (input, domain) in domains(&args.files, args.null, read_domain, &status) {
        let (report, failures) = plan_domain(root, kernel, &settings, &input.name, &domain);
        notes.extend(
            failures
                .iter()
                .filter(|failure| failure.is_denied())
                .map(|failure| release::chain(&failure.error)),
        );
        if failures
            .iter()
            .any(|failure| failure.is_denied() && !failure.leaves_a_plan())
        {
            status.set(worse(status.get(), Status::Failed));
        }
        let printed = match args.format {
            Format::Text => text::print(&report, Palette::for_stdout(), is_later),
            Format::Json => json::line(&report),
        };
        is_later = true;
        if let Err(error) = io::stdout().lock().write_all(printed.as_bytes()) {
            return if error.kind() == io::ErrorKind::BrokenPipe {
                Ok(status.get())
            } else {
                Err(error.into())
            };
        }
        let said = match report.startable {
            Startable::No => Status::No,
            _ => Status::Done,
        };
        status.set(worse(status.get(), said));
    }
    notes.sort();
    notes.dedup();
    for note in notes {
        complain(&format!(
            "automdev: note: {note}; the plan was made without it (root may read it)"
        ));
    }
    Ok(status.get())
}

/// The domains among the documents, each when its turn has come. What is wrong with the others is told, and counts in the
/// status.
fn domains<'a>(
    files: &'a [PathBuf],
    null: bool,
    parse: impl Fn(&str) -> Result<Domain, Vec<Fault>> + 'a,
    status: &'a Cell<Status>,
) -> impl Iterator<Item = (Input, Domain)> + 'a {
    let note = |failed| status.set(worse(status.get(), failed));
    inputs(files, null).filter_map(move |input| {
        let input = input.map_err(|error| note(error.report())).ok()?;
        match parse(&input.text) {
            Ok(domain) => {
                input.warn(&domain.odd);
                Some((input, domain))
            }
            Err(faults) => {
                input.complain(&faults);
                note(Status::Failed);
                None
            }
        }
    })
}

/// The documents that are named, each when its turn has come; standard input where none is.
fn inputs(files: &[PathBuf], null: bool) -> impl Iterator<Item = Result<Input, InputError>> {
    let all = if files.is_empty() {
        vec![None]
    } else {
        files.iter().map(|file| Some(file.as_path())).collect()
    };
    all.into_iter().flat_map(move |file| {
        let (several, one) = if null && file.is_none_or(|file| file == Path::new("-")) {
            (Some(Input::documents(file)), None)
        } else {
            (None, Some(Input::read(file)))
        };
        several.into_iter().flatten().chain(one)
    })
}

/// Reads a domain as libvirt would get it: a pool's device has the UUID that `rewrite` gives it. A domain without a name
/// and a UUID, from which that is derived, is read as it is.
fn read_domain(text: &str) -> Result<Domain, Vec<Fault>> {
    let domain = Domain::parse(text)?;
    if domain
        .hostdevs
        .iter()
        .all(|hostdev| hostdev.source.uuid().is_some())
    {
        return Ok(domain);
    }
    match rewrite(text, PoolUuids::Keep) {
        Ok(rewritten) => Ok(Domain {
            // The places are those of the text that was read.
            odd: domain.odd,
            ..Domain::parse(&rewritten.text)?
        }),
        Err(_) => Ok(domain),
    }
}

fn plan_domain(
    root: &Root,
    kernel: &dyn Kernel,
    settings: &Settings,
    file: &str,
    domain: &Domain,
) -> (Report, Vec<Failure>) {
    let ledger = Ledger::look(root, kernel);
    let wanted = plan::wanted(domain, settings.select, |uuid| {
        definitions::is_defined(root, uuid)
    });
    let survey = Survey::new(root, &ledger, domain.uuid.map(Claimant::Domain))
        .placing(&settings.cordon, domain.affinity.clone())
        .beside(&plan::besides(domain, &wanted))
        .before_giving_back(&wanted);
    let plan = plan::plan(&wanted, &survey, Patience::Exhausted);
    let leaving = survey.given_back();
    let is_there = |uuid| {
        let is_active = sysfs::active(root, uuid).is_ok_and(|active| active.is_some());
        is_active && leaving.iter().all(|record| record.uuid != uuid)
    };
    let mut report = Report::new(file, domain, &plan, is_there);
    let failures = survey.into_failures();
    for failure in failures.iter().filter(|failure| !failure.leaves_a_plan()) {
        report.refuse(failure.uuid, "unreadable", &release::chain(&failure.error));
    }
    (report, failures)
}

/// What could not be read outweighs an answer, and a no outweighs a yes.
fn worse(one: Status, other: Status) -> Status {
    let weight = |status: &Status| match status {
        Status::Done => 0,
        Status::No => 1,
        Status::Failed => 2,
        Status::Usage | Status::Exit(_) => 3,
    };
    std::cmp::max_by_key(one, other, weight)
}
