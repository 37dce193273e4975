//! The libvirt `qemu` hook: `DOMAIN OPERATION SUB_OPERATION EXTRA`, the domain's XML on standard input.
//!
//! Whatever is neither `prepare begin` nor `release end` is over at once, before anything that could fail:
//! a failed `reconnect` would end a running domain. Standard output stays empty.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsFd;

use anyhow::{Context, anyhow, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Status, complain, one_line};
use crate::host::clock::Deadline;
use crate::host::kernel::Kernel;
use crate::host::ledger::Ledger;
use crate::host::machine::{self, Machine};
use crate::host::prepare::{self, Request};
use crate::host::root::Root;
use crate::host::{definitions, log as journal, processes, release};
use crate::model::claim::Claimant;
use crate::model::domain::{Domain, MOST_BYTES, Mark};
use crate::model::hook_call::Event;
use crate::model::names::{DomainUuid, Shown};
use crate::model::plan;
use crate::model::settings::{LogLevel, Settings, Timeouts};

/// How the hook is called by hand.
const USAGE: &str = "usage: automdev hook DOMAIN OPERATION SUBOPERATION EXTRA <DOMAIN.xml
libvirt calls it so; see its documentation of hooks. To see what a start would do, use automdev plan.";

/// Answers a call of libvirt's. `arguments` are those after the program's name (or after `hook`).
pub fn run(root: &Root, kernel: &dyn Kernel, arguments: &[OsString]) -> Status {
    let [name, operation, sub_operation, ..] = arguments else {
        complain(USAGE);
        return Status::Usage;
    };
    let name = name.to_string_lossy();
    let (operation, done) = match Event::parse(operation, sub_operation) {
        Event::Other => return Status::Done,
        Event::Prepare => ("prepare", prepare(root.clone(), kernel, &name)),
        Event::Release => ("release", release(root.clone(), kernel, &name)),
    };
    match done {
        Ok(()) => Status::Done,
        Err(error) => {
            let message = one_line(&format!("{name}: {error:#}"));
            // What is wrong with the XML or the settings is found before they say what to log.
            start_log(root, LogLevel::default(), &name, operation);
            log::error!("{}", one_line(&format!("{error:#}")));
            complain(&format!("automdev: {message}"));
            Status::Failed
        }
    }
}

fn prepare(root: Root, kernel: &dyn Kernel, name: &str) -> anyhow::Result<()> {
    let domain = read_domain()?;
    let claimant = domain.uuid.map(Claimant::Domain);
    let has_history = claimant.is_some_and(|claimant| Ledger::look(&root, kernel).has_holdings(claimant));
    // Only then can a setting matter, and only then is anything of the host looked at.
    if domain.hostdevs.iter().all(|hostdev| hostdev.mark == Mark::No) && !has_history {
        return Ok(());
    }
    let settings = machine::load_settings(&root)?;
    let wanted = plan::wanted(&domain, settings.select, |uuid| {
        definitions::is_defined(&root, uuid)
    });
    let pool_without_uuid = domain
        .hostdevs
        .iter()
        .find(|hostdev| hostdev.source.uuid().is_none());
    if wanted.is_empty() && pool_without_uuid.is_none() && !has_history {
        return Ok(());
    }
    start_log(&root, settings.log_level, name, "prepare");
    for uuid in &domain.stray {
        log::warn!(uuid:%; "its metadata lists {uuid}, which is no mediated device of the domain; ignored");
    }
    if pool_without_uuid.is_some() {
        bail!("a device of a pool has no UUID yet; run the domain's XML through automdev rewrite");
    }
    let claimant = claimant.ok_or_else(|| anyhow!("the domain's XML has no <uuid>"))?;
    let request = Request {
        claimant,
        name: name.to_owned(),
        daemon: processes::libvirt_daemon(&root),
        wanted,
    };
    let machine = machine(root, kernel, settings);
    prepare::prepare(&machine, &request).map_err(explain_rights)
}

/// A user's own libvirt (`qemu:///session`) has no right to make devices, and its errors would not say so.
fn explain_rights(error: prepare::PrepareError) -> anyhow::Error {
    let is_users = !nix::unistd::geteuid().is_root() && matches!(error, prepare::PrepareError::Ledger(_));
    if is_users {
        return anyhow!(
            "cannot create its mediated devices: only root may; start the domain under qemu:///system"
        );
    }
    anyhow::Error::new(error)
}

fn release(root: Root, kernel: &dyn Kernel, name: &str) -> anyhow::Result<()> {
    let ledger = Ledger::look(&root, kernel);
    let Ok(claimants) = find(&ledger, name) else {
        // Whoever may not read the ledger has nothing in it.
        return Ok(());
    };
    if claimants.is_empty() {
        return Ok(());
    }
    // A wrong setting must not keep a device.
    let settings = machine::load_settings(&root).unwrap_or_default();
    start_log(&root, settings.log_level, name, "release");
    let machine = machine(root, kernel, settings);
    let mut errors = Vec::new();
    for claimant in claimants {
        errors.extend(release::release(&machine, claimant).err().into_iter().flatten());
    }
    let mut errors = errors.iter().map(|error| release::chain(error));
    let Some(first) = errors.next() else { return Ok(()) };
    errors.for_each(|error| log::error!("{error}"));
    Err(anyhow!(first))
}

/// The claimants that a `release` is about: the domain of the UUID in the XML, or, where that does not tell,
/// those of its name.
fn find(ledger: &Ledger<'_>, name: &str) -> anyhow::Result<Vec<Claimant>> {
    if !ledger.exists() {
        return Ok(Vec::new());
    }
    if let Some(uuid) = read_uuid() {
        return Ok(vec![Claimant::Domain(uuid)]);
    }
    let is_named = |claimant: &Claimant| {
        matches!(claimant, Claimant::Domain(_))
            && ledger
                .holdings(*claimant)
                .ok()
                .flatten()
                .is_some_and(|holdings| holdings.name == name)
    };
    Ok(ledger.claimants()?.into_iter().filter(is_named).collect())
}

/// The domain's UUID, from as much of the XML as can be understood.
fn read_uuid() -> Option<DomainUuid> {
    let text = read_input().ok()?;
    let document = crate::model::domain::parse_document(&text).ok()?;
    crate::model::domain::child(document.root_element(), "uuid")?
        .text()?
        .parse()
        .ok()
}

fn start_log(root: &Root, level: LogLevel, name: &str, operation: &'static str) {
    journal::start(root, level);
    journal::set_context(&one_line(name), operation);
}

fn machine(root: Root, kernel: &dyn Kernel, settings: Settings) -> Machine<'_> {
    let deadline = Deadline::after(settings.timeouts.hook);
    Machine {
        root,
        kernel,
        timeouts: settings.timeouts,
        callouts: settings.callouts,
        deadline,
    }
}

fn read_domain() -> anyhow::Result<Domain> {
    let text = read_input()?;
    Domain::parse(&text).map_err(|faults| {
        let first = faults.into_iter().next();
        first
            .map_or_else(|| anyhow!("the domain's XML is wrong"), anyhow::Error::new)
            .context("domain XML")
    })
}

/// Reads the domain's XML, no more of it than a domain's can be, and for no longer than a hook may take.
fn read_input() -> anyhow::Result<String> {
    let deadline = Deadline::after(Timeouts::default().hook);
    let mut input = io::stdin().lock();
    let mut bytes = Vec::new();
    let mut part = vec![0; 64 << 10];
    while bytes.len() <= MOST_BYTES {
        let left = PollTimeout::try_from(deadline.left()).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(input.as_fd(), PollFlags::POLLIN)], left) {
            Ok(0) => bail!("nobody ends the domain's XML on standard input"),
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno).context("cannot read standard input"),
        }
        match input.read(&mut part) {
            Ok(0) => break,
            Ok(length) => bytes.extend(&part[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("cannot read standard input"),
        }
    }
    if bytes.len() > MOST_BYTES {
        bail!(
            "the domain's XML on standard input is larger than {} MiB",
            MOST_BYTES >> 20
        );
    }
    String::from_utf8(bytes).map_err(|error| {
        let good =
            String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        let place = crate::model::fault::Place::of_offset(&good, good.len());
        let near: String = good
            .chars()
            .rev()
            .take(20)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        anyhow!("the domain's XML is not UTF-8 at {place}, after {}", Shown(&near))
    })
}
