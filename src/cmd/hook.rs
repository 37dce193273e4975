//! The libvirt `qemu` hook: `DOMAIN OPERATION SUB_OPERATION EXTRA`, the domain's XML on standard input.
//!
//! Whatever is neither `prepare begin` nor `release end` is over at once, before anything that could fail:
//! a failed `reconnect` would end a running domain. Standard output stays empty.

use std::ffi::OsString;

use anyhow::{anyhow, bail};

use super::{Status, complain, one_line};
use crate::host::clock::Deadline;
use crate::host::kernel::Kernel;
use crate::host::ledger::Ledger;
use crate::host::machine::{self, Machine};
use crate::host::prepare::{self, Extent, Request};
use crate::host::root::Root;
use crate::host::{daemons, definitions, log as journal, release};
use crate::model::claim::Claimant;
use crate::model::domain::{Domain, Mark, glance, may_list};
use crate::model::hook_call::Event;
use crate::model::names::DomainUuid;
use crate::model::plan;
use crate::model::settings::{LogLevel, Settings};

mod input;

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
    let call = Call {
        root: root.clone(),
        kernel,
        name: &name,
        begun: Deadline::now(),
    };
    let (operation, done) = match Event::parse(operation, sub_operation) {
        Event::Other => return Status::Done,
        Event::Prepare => ("prepare", call.prepare()),
        Event::Release => ("release", call.release()),
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

/// One call of libvirt's, which has one budget for all that it does.
struct Call<'a> {
    root: Root,
    kernel: &'a dyn Kernel,
    name: &'a str,
    /// When it began.
    begun: Deadline,
}

impl Call<'_> {
    fn prepare(self) -> anyhow::Result<()> {
        let text = self.read_input()?;
        let (root, name) = (&self.root, self.name);
        let has_history = |uuid: Option<DomainUuid>| {
            let claimant = uuid.map(Claimant::Domain);
            claimant.is_some_and(|claimant| Ledger::look(root, self.kernel).has_holdings(claimant))
        };
        // Most have no mediated device, and are to cost nothing.
        if glance(text.as_bytes()).is_some_and(|plain| !has_history(plain.uuid)) {
            return Ok(());
        }
        // A domain whose metadata names devices wants one made, as a rule.
        if may_list(&text) {
            self.kernel.ready();
        }
        let domain = parse(&text)?;
        let claimant = domain.uuid.map(Claimant::Domain);
        let has_history = has_history(domain.uuid);
        // Only then can a setting matter, and only then is anything of the host looked at.
        if domain.hostdevs.iter().all(|hostdev| hostdev.mark == Mark::No) && !has_history {
            return Ok(());
        }
        let settings = match machine::load_settings(root) {
            Ok(settings) => settings,
            Err(error) if !has_history && !is_marked(&domain) => {
                // What they might widen is not known, and nothing of ours is asked for.
                start_log(root, LogLevel::default(), name, "prepare");
                let error = one_line(&format!("{:#}", anyhow::Error::new(error)));
                log::warn!("{error}; the domain marks no device, and none is made for it");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let wanted = plan::wanted(&domain, settings.select, |uuid| {
            definitions::is_defined(root, uuid)
        });
        let pool_without_uuid = domain
            .hostdevs
            .iter()
            .find(|hostdev| hostdev.source.uuid().is_none());
        if wanted.is_empty() && pool_without_uuid.is_none() && !has_history {
            return Ok(());
        }
        start_log(root, settings.log_level, name, "prepare");
        for uuid in &domain.stray {
            log::warn!(uuid:%; "its metadata lists {uuid}, which is no mediated device of the domain; ignored");
        }
        if pool_without_uuid.is_some() {
            bail!("a device of a pool has no UUID yet; run the domain's XML through automdev rewrite");
        }
        let claimant = claimant.ok_or_else(|| anyhow!("the domain's XML has no <uuid>"))?;
        let daemon = daemons::calling(root);
        let request = Request {
            claimant,
            name: name.to_owned(),
            daemon,
            asker: daemon,
            besides: plan::besides(&domain, &wanted),
            wanted,
            affinity: domain.affinity,
            extent: Extent::All,
        };
        prepare::prepare(&self.machine(settings), &request)
            .map(drop)
            .map_err(explain_rights)
    }

    fn release(self) -> anyhow::Result<()> {
        let ledger = Ledger::look(&self.root, self.kernel);
        if !ledger.exists() {
            return Ok(());
        }
        // While it is there to be seen.
        let daemon = daemons::calling(&self.root);
        let Ok(claimants) = self.find(&ledger) else {
            // Whoever may not read the ledger has nothing in it.
            return Ok(());
        };
        if claimants.is_empty() {
            return Ok(());
        }
        // A wrong setting must not keep a device.
        let settings = machine::load_settings(&self.root).unwrap_or_default();
        start_log(&self.root, settings.log_level, self.name, "release");
        let machine = self.machine(settings);
        let mut errors = Vec::new();
        for claimant in claimants {
            let released = release::release_for(&machine, claimant, daemon);
            errors.extend(released.err().into_iter().flatten());
        }
        let mut errors = errors.iter().map(|error| release::chain(error));
        let Some(first) = errors.next() else { return Ok(()) };
        errors.for_each(|error| log::error!("{error}"));
        Err(anyhow!(first))
    }

    /// The claimants that a `release` is about: the domain of the UUID in the XML, or, where that does not tell,
    /// those of its name.
    fn find(&self, ledger: &Ledger<'_>) -> anyhow::Result<Vec<Claimant>> {
        if let Some(uuid) = self.read_uuid() {
            return Ok(vec![Claimant::Domain(uuid)]);
        }
        let is_named = |claimant: &Claimant| {
            matches!(claimant, Claimant::Domain(_))
                && ledger
                    .holdings(*claimant)
                    .ok()
                    .flatten()
                    .is_some_and(|holdings| holdings.name == self.name)
        };
        Ok(ledger.claimants()?.into_iter().filter(is_named).collect())
    }

    fn machine(&self, settings: Settings) -> Machine<'_> {
        Machine::new(&self.root, self.kernel, settings, self.begun)
    }

    /// The domain's UUID, from as much of the XML as can be understood.
    fn read_uuid(&self) -> Option<DomainUuid> {
        let text = self.read_input().ok()?;
        if let Some(plain) = glance(text.as_bytes()) {
            return plain.uuid;
        }
        let document = crate::model::domain::parse_document(&text).ok()?;
        crate::model::domain::child(document.root_element(), "uuid")?
            .text()?
            .parse()
            .ok()
    }

    fn read_input(&self) -> anyhow::Result<String> {
        input::read(|| {
            // It comes at once, unless something is wrong: only then is it worth asking how long a call may take.
            let settings = machine::load_settings(&self.root).unwrap_or_default();
            self.begun.later(settings.timeouts.hook)
        })
    }
}

fn parse(text: &str) -> anyhow::Result<Domain> {
    Domain::parse(text).map_err(|faults| {
        let first = faults.into_iter().next();
        first
            .map_or_else(|| anyhow!("the domain's XML is wrong"), anyhow::Error::new)
            .context("domain XML")
    })
}

/// Whether a domain itself asks for a device.
fn is_marked(domain: &Domain) -> bool {
    let mut hostdevs = domain.hostdevs.iter();
    hostdevs.any(|hostdev| hostdev.mark == Mark::Yes || hostdev.source.uuid().is_none())
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

fn start_log(root: &Root, level: LogLevel, name: &str, operation: &'static str) {
    journal::start(root, level);
    journal::set_context(&one_line(name), operation);
}
