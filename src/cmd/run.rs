//! The wrapper around a plain QEMU command: the devices on it are there while QEMU runs, and gone afterwards.
//!
//! Where nothing has to be made and nothing of ours is used, it becomes QEMU and has no part in what follows.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use nix::errno::Errno;

use super::{Status, complain, one_line};
use crate::host::kernel::Kernel;
use crate::host::ledger::{Ledger, LedgerError, Spares};
use crate::host::machine;
use crate::host::prepare::{self, Extent, PrepareError, Request};
use crate::host::root::Root;
use crate::host::supervise::{self, End, Held, Program, Signals, Supervised, Supervisor};
use crate::host::survey::{Survey, SurveyError};
use crate::host::{definitions, leftovers, log as journal, numa, processes, programs, release};
use crate::model::affinity::Affinity;
use crate::model::claim::Claimant;
use crate::model::domain::{Domain, MOST_BYTES};
use crate::model::inventory::Inventory;
use crate::model::names::{MdevUuid, ParentName, TypeName};
use crate::model::plan::{self, Action, Patience, Plan, Wait, Wanted};
use crate::model::pool::Member;
use crate::model::qemu::{CommandLine, Unseen};
use crate::model::settings::Settings;

mod invocation;
mod wants;

use invocation::Invocation;

/// automdev failed or refused before QEMU ran.
const FAILED: Status = Status::Exit(125);
/// QEMU cannot be executed.
const NOT_EXECUTABLE: Status = Status::Exit(126);
/// There is no such QEMU.
const NOT_FOUND: Status = Status::Exit(127);

/// Carries out `automdev run`; `arguments` are those after `run`.
pub fn run(root: &Root, kernel: &dyn Kernel, arguments: &[OsString]) -> Status {
    match Invocation::parse(arguments) {
        Ok(invocation) => finish(start(root, kernel, &invocation)),
        Err(wrong) => {
            complain(&format!("automdev: run: {wrong}"));
            FAILED
        }
    }
}

/// Runs the next program on PATH of the name by which we were started; `arguments` are those of main.
pub fn run_as_qemu(kernel: &dyn Kernel, arguments: &[OsString]) -> Status {
    let (name, rest) = arguments.split_first().expect("we were started by a name");
    let path = std::env::var_os("PATH").unwrap_or_default();
    // The program's own file, also below a root: it is we who were started.
    let Some(program) = programs::next_on_path(Path::new(name), &path, Path::new("/proc/self/exe")) else {
        complain(&one_line(&format!(
            "automdev: cannot run {}: no program of that name but automdev itself is on PATH; install QEMU, or put its folder there",
            Path::new(Path::new(name).file_name().unwrap_or(name)).display()
        )));
        return NOT_FOUND;
    };
    let invocation = Invocation {
        // By its path: should it be another copy of us, it looks behind itself.
        name: program.clone().into_os_string(),
        program: program.into_os_string(),
        arguments: rest.to_vec(),
        domain: None,
    };
    finish(start(&Root::default(), kernel, &invocation))
}

fn finish(done: anyhow::Result<Status>) -> Status {
    done.unwrap_or_else(|error| {
        let message = one_line(&format!("{error:#}"));
        log::error!("{message}");
        complain(&format!("automdev: {message}"));
        FAILED
    })
}

fn start(root: &Root, kernel: &dyn Kernel, invocation: &Invocation) -> anyhow::Result<Status> {
    let line = CommandLine::parse(invocation.arguments.clone())?;
    let mut spares = Spares::new(root, kernel, std::process::id());
    let devices = wants::devices(root, &line, &invocation.arguments, || spares.next_uuid())?;
    let domain = invocation.domain.as_deref().map(read_domain).transpose()?;
    let program = |arguments| {
        Program::new(&invocation.program, &invocation.name, arguments).context("QEMU's command line")
    };
    // A pool may hand out another device; then there is another command line.
    let qemu = program(line.render(&wants::chosen(&devices, |uuid| uuid)))?;
    let name = name_of(&line, domain.as_ref(), &invocation.program);
    let may_want = match &domain {
        Some(_) => !devices.is_empty(),
        None => !wants::by_marks(&devices).is_empty(),
    };
    if !may_want {
        if !line.unseen.is_empty() {
            start_log(root, &Settings::default(), &name);
            warn_of_unseen(&line);
        }
        return Ok(become_qemu(kernel, &qemu, &invocation.program));
    }
    let settings = machine::load_settings(root)?;
    start_log(root, &settings, &name);
    warn_of_unseen(&line);
    let wanted = match &domain {
        Some(domain) => {
            let is_defined = |uuid| definitions::is_defined(root, uuid);
            wants::by_domain(&devices, domain, settings.select, is_defined)?
        }
        None => wants::by_marks(&devices),
    };
    let supervisor = Supervisor {
        // The one that waits for a QEMU in the background leaves the working directory.
        root: absolute(root)?,
        kernel,
        timeouts: settings.timeouts,
        callouts: settings.callouts,
        cordon: settings.cordon,
    };
    if wanted.is_empty() {
        return Ok(become_qemu(kernel, &qemu, &invocation.program));
    }
    leftovers::clear(&supervisor.machine());
    let affinity = match domain.map(|domain| domain.affinity).unwrap_or_default() {
        Affinity::Anywhere if wanted.iter().any(|wanted| wanted.origin.pool().is_some()) => {
            affinity_of(root, &line)
        }
        affinity => affinity,
    };
    let wishes = Wishes {
        besides: wants::besides(&devices, &wanted),
        wanted,
        affinity,
        spares,
    };
    let (plan, is_idle) = look(&supervisor, &wishes)?;
    if is_idle {
        return Ok(become_qemu(kernel, &qemu, &invocation.program));
    }
    check_rights(&supervisor.root, plan)?;
    let job = Job {
        qemu: &qemu,
        program: &invocation.program,
        name,
        daemonizes: line.daemonize,
    };
    supervise(&supervisor, job, wishes, |actual| {
        program(line.render(&wants::chosen(&devices, actual)))
    })
}

/// What it is to have.
struct Wishes<'a> {
    wanted: Vec<Wanted>,
    /// The others of its mediated devices.
    besides: Vec<MdevUuid>,
    /// Where it runs.
    affinity: Affinity,
    /// What keeps the UUIDs of those that it takes from pools from others, until it has claimed them.
    spares: Spares<'a>,
}

/// What is run.
struct Job<'a> {
    qemu: &'a Program,
    /// Its program, for people.
    program: &'a OsStr,
    /// The guest's name, or the program's.
    name: String,
    daemonizes: bool,
}

/// Where a QEMU runs of which nothing else says so: where its command line binds the guest's memory, or else where this
/// process may run, as QEMU will.
fn affinity_of(root: &Root, line: &CommandLine) -> Affinity {
    if line.memory_nodes.is_empty() {
        numa::of_own_process(root)
    } else {
        Affinity::Nodes(line.memory_nodes.clone())
    }
}

/// What a start would do, and whether QEMU can do without us: all devices are there, and no one of them is ours
/// to take away again.
fn look(supervisor: &Supervisor<'_>, wishes: &Wishes<'_>) -> anyhow::Result<(Plan, bool)> {
    let root = &supervisor.root;
    let ledger = Ledger::look(root, supervisor.kernel);
    // One automdev may have been started by another, by way of a link on PATH.
    let own = processes::find(root, std::process::id()).map(|process| Claimant::Process(process.id));
    let survey = Survey::new(root, &ledger, own)
        .placing(&supervisor.cordon, wishes.affinity.clone())
        .beside(&wishes.besides);
    let plan = plan::plan(&wishes.wanted, &survey, Patience::Waiting);
    let may_claim = has_rights(root);
    let is_idle = |(wanted, action): &(Wanted, Action)| match action {
        Action::Adopt(..) => {
            survey.record(wanted.uuid).is_none() && !(may_claim && is_pools(&survey, wanted.uuid))
        }
        Action::Keep(_) => own.is_some_and(|own| ledger.is_claimed_by(wanted.uuid, own)),
        _ => false,
    };
    let is_idle = plan.devices.iter().all(is_idle);
    match survey.finish() {
        // Whoever may not read the ledger can have nothing in it, and goes on as though there were none.
        Err(SurveyError::Ledger(LedgerError::File { source, .. })) if is_denied(&source) => {}
        looked => looked?,
    }
    Ok((plan, is_idle))
}

/// Whether a device is one that a pool hands out while nobody claims it.
fn is_pools(survey: &Survey<'_>, device: MdevUuid) -> bool {
    let mut pools = survey
        .all_pools()
        .into_iter()
        .filter_map(|name| survey.pool(&name).ok());
    let is_it = |member: &Member| matches!(member, Member::Device { uuid, .. } if *uuid == device);
    pools.any(|pool| pool.members.iter().any(is_it))
}

fn has_rights(root: &Root) -> bool {
    !root.is_machine() || nix::unistd::geteuid().is_root()
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Whoever may make no devices is told so in words, unless there is a better reason.
fn check_rights(root: &Root, plan: Plan) -> anyhow::Result<()> {
    if has_rights(root) {
        return Ok(());
    }
    for (Wanted { uuid, .. }, action) in plan.devices {
        match action {
            Action::Refuse(refusal, place) => {
                let (place, refusal) = (place.map(Box::new), Box::new(refusal));
                return Err(PrepareError::Refused { uuid, place, refusal }.into());
            }
            Action::Create(plan::Place {
                parent, mdev_type, ..
            }) => return Err(only_root(uuid, &parent, &mdev_type)),
            Action::Wait(Wait::Users) => {
                bail!(
                    "cannot use {uuid}: somebody has it open; end that first, or give this QEMU another device"
                )
            }
            Action::Wait(Wait::Late(places)) => {
                let first = places.first();
                if let Some((parent, mdev_type)) = first {
                    return Err(only_root(uuid, parent, mdev_type));
                }
            }
            _ => {}
        }
    }
    bail!("cannot use the devices that automdev has made: only root may; run this as root")
}

fn only_root(uuid: MdevUuid, parent: &ParentName, mdev_type: &TypeName) -> anyhow::Error {
    anyhow!(
        "cannot create {uuid} ({mdev_type} on {parent}): only root may create mediated devices; run this as root, or let root create the device first"
    )
}

/// `rendered` gives the program for the devices that those of the pools have become.
fn supervise(
    supervisor: &Supervisor<'_>,
    job: Job<'_>,
    wishes: Wishes<'_>,
    rendered: impl FnOnce(&dyn Fn(MdevUuid) -> MdevUuid) -> anyhow::Result<Program>,
) -> anyhow::Result<Status> {
    // A child would inherit the way to the one that writes.
    supervisor.kernel.rest();
    let signals = Signals::hold().context("cannot hold signals back")?;
    let mut held = Held::start(job.qemu, &signals).context("cannot start a process for QEMU")?;
    let process = processes::find(&supervisor.root, held.pid());
    let process = process.ok_or_else(|| anyhow!("a process of ours is not in /proc; is it mounted?"))?;
    let claimant = Claimant::Process(process.id);
    let asked: Vec<MdevUuid> = wishes.wanted.iter().map(|wanted| wanted.uuid).collect();
    let request = Request {
        claimant,
        name: supervise::named(&job.name, claimant),
        daemon: None,
        asker: None,
        wanted: wishes.wanted,
        besides: wishes.besides,
        affinity: wishes.affinity,
        extent: Extent::All,
    };
    let devices = prepare::prepare(&supervisor.machine(), &request)?;
    drop(wishes.spares);
    if devices != asked {
        let actual = |uuid| {
            let place = asked.iter().position(|asked| *asked == uuid);
            place.map_or(uuid, |place| devices[place])
        };
        match rendered(&actual) {
            Ok(program) => held.set_arguments(&program),
            Err(error) => {
                for left in release::release(&supervisor.machine(), claimant)
                    .err()
                    .into_iter()
                    .flatten()
                {
                    log::error!("{}", release::chain(&left));
                }
                return Err(error);
            }
        }
    }
    let supervised = Supervised {
        held,
        claimant,
        name: job.name,
        devices,
        daemonizes: job.daemonizes,
    };
    let (end, errors) = supervisor.run(supervised, &signals);
    let status = match end {
        End::NotRun(errno) => not_run(job.program, errno),
        End::Exited(code) => Status::Exit(u8::try_from(code).unwrap_or(u8::MAX)),
        End::Killed(signal) => Status::Exit(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
    };
    for error in errors {
        let message = one_line(&release::chain(&error));
        log::error!("{message}");
        complain(&format!("automdev: {message}"));
    }
    Ok(status)
}

/// Becomes QEMU, and returns only where that is not possible.
fn become_qemu(kernel: &dyn Kernel, qemu: &Program, program: &OsStr) -> Status {
    // It would become a child that QEMU knows nothing of.
    kernel.rest();
    not_run(program, supervise::exec(qemu))
}

fn not_run(program: &OsStr, errno: Errno) -> Status {
    let (status, next) = match errno {
        Errno::ENOENT | Errno::ENOTDIR => (NOT_FOUND, "install it, or correct its name"),
        Errno::EACCES => (NOT_EXECUTABLE, "it must be a program that you may execute"),
        Errno::E2BIG => (NOT_EXECUTABLE, "the command line or the environment is too long"),
        _ => (NOT_EXECUTABLE, "it must be a program for this machine"),
    };
    complain(&one_line(&format!(
        "automdev: cannot run {}: {}; {next}",
        Path::new(program).display(),
        errno.desc()
    )));
    status
}

/// Reads a domain's XML from a file, which may be a pipe (`--domain <(virsh dumpxml …)`).
fn read_domain(file: &Path) -> anyhow::Result<Domain> {
    let shown = file.display();
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read the domain {shown}"))?;
    if bytes.len() > MOST_BYTES {
        bail!("the domain {shown} is larger than {} MiB", MOST_BYTES >> 20);
    }
    let text = String::from_utf8(bytes).with_context(|| format!("the domain {shown} is not UTF-8"))?;
    Domain::parse(&text).map_err(|faults| {
        let first = faults.into_iter().next();
        first
            .map_or_else(|| anyhow!("it is wrong"), anyhow::Error::new)
            .context(format!("the domain {shown}"))
    })
}

/// The guest's name, or else the program's.
fn name_of(line: &CommandLine, domain: Option<&Domain>, program: &OsStr) -> String {
    let guest = line.name.as_deref().filter(|name| !name.is_empty());
    let domain = domain.map(|domain| OsStr::from_bytes(domain.name.as_bytes()));
    let name = guest.or(domain.filter(|name| !name.is_empty()));
    let name = name.or(Path::new(program).file_name()).unwrap_or(program);
    one_line(&name.to_string_lossy())
}

fn start_log(root: &Root, settings: &Settings, name: &str) {
    journal::start(root, settings.log_level);
    journal::set_context(name, "run");
}

fn warn_of_unseen(line: &CommandLine) {
    for unseen in &line.unseen {
        match unseen {
            Unseen::ReadConfig(file) => log::warn!(
                "devices in {} (-readconfig) are not looked at; write them as -device",
                Path::new(file).display()
            ),
            Unseen::Global(text) => log::warn!(
                "-global {} is not looked at; write sysfsdev in -device",
                Path::new(text).display()
            ),
        }
    }
}

fn absolute(root: &Root) -> anyhow::Result<Root> {
    let path = std::path::absolute(root.path("/")).context("the root is no path")?;
    Ok(Root::new(path))
}
