//! `automdev install-hook` and `uninstall-hook`: put the hook in place, never over somebody else's.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::format::put;
use super::{Status, complain, output};
use crate::host::daemons::{self, Reloaded};
use crate::host::hook_link::{self, Form};
use crate::host::kernel::Kernel;
use crate::host::ledger::Ledger;
use crate::host::processes::Process;
use crate::host::root::Root;
use crate::model::claim::Claimant;

/// Where and how the hook is put in place.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is put in place is a link to /usr/bin/automdev. libvirt looks for hooks when its daemon starts and when it is
reloaded; running domains are not disturbed by that.

Examples:
  automdev install-hook --reload
  automdev install-hook --as qemu")]
pub struct InstallArgs {
    /// libvirt's hooks folder.
    #[arg(long, value_name = "DIR", default_value = hook_link::FOLDER)]
    dir: PathBuf,
    /// As what: hooks/qemu, or a link in hooks/qemu.d, beside others; what this host's libvirt takes where it is not
    /// said.
    #[arg(long = "as", value_enum, value_name = "FORM")]
    form: Option<FormArg>,
    /// Lets the running daemon look for hooks now, as systemctl reload does.
    #[arg(long)]
    reload: bool,
}

/// From where the hook is taken away.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Only links to /usr/bin/automdev are taken away.

Example:
  automdev uninstall-hook --reload")]
pub struct UninstallArgs {
    /// libvirt's hooks folder.
    #[arg(long, value_name = "DIR", default_value = hook_link::FOLDER)]
    dir: PathBuf,
    /// Lets the running daemon look for hooks now, as systemctl reload does.
    #[arg(long)]
    reload: bool,
}

/// In which form the hook is put in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum FormArg {
    /// hooks/qemu: any libvirt, where no other hook is there
    #[value(name = "qemu")]
    Single,
    /// hooks/qemu.d/50-automdev: libvirt 6.5 and later
    #[value(name = "qemu.d")]
    DropIn,
}

impl From<FormArg> for Form {
    fn from(form: FormArg) -> Form {
        match form {
            FormArg::Single => Form::Single,
            FormArg::DropIn => Form::DropIn,
        }
    }
}

/// Puts the hook in place.
pub fn install(root: &Root, args: &InstallArgs) -> anyhow::Result<Status> {
    const WHAT: &str = "cannot put the hook in place";
    hook_link::check_program(root).context(WHAT)?;
    let folder = root.path(&args.dir);
    let shown = |path: &Path| shown(&args.dir, &folder, path);
    let there = hook_link::ours(&folder).context(WHAT)?;
    let form = args.form.map(Form::from);
    let wanted = form.map(|form| form.path(&folder));
    if let Some(path) = there
        .iter()
        .find(|path| wanted.is_none() || wanted.as_ref() == Some(path))
    {
        output::print(&format!("{} is in place already\n", shown(path)))?;
        return after(root, args.reload);
    }
    if let Some(path) = there.first() {
        bail!(
            "{WHAT}: {} is in place already, and libvirt would call both; automdev uninstall-hook takes it away",
            shown(path)
        );
    }
    let form = form.unwrap_or_else(|| hook_link::form_for(root, &folder));
    let path = hook_link::install(&folder, form).context(WHAT)?;
    output::print(&format!("{} -> {}\n", shown(&path), hook_link::PROGRAM))?;
    after(root, args.reload)
}

/// Takes the hook away.
pub fn uninstall(root: &Root, kernel: &dyn Kernel, args: &UninstallArgs) -> anyhow::Result<Status> {
    const WHAT: &str = "cannot take the hook away";
    let folder = root.path(&args.dir);
    let there = hook_link::ours(&folder).context(WHAT)?;
    if there.is_empty() {
        output::print(&format!(
            "there is no hook of automdev in {}\n",
            args.dir.display()
        ))?;
        return Ok(Status::Done);
    }
    let mut text = String::new();
    for path in there {
        hook_link::remove(&path).context(WHAT)?;
        put!(&mut text, "removed {}\n", shown(&args.dir, &folder, &path));
    }
    output::print(&text)?;
    let names = users(root, kernel);
    if !names.is_empty() {
        complain(&format!(
            "automdev: warning: these use devices that nobody removes when they stop, unless automdev reconcile is run then: {}",
            names.join(", ")
        ));
    }
    after(root, args.reload)
}

/// The domains that have devices of ours, as far as that can be told.
fn users(root: &Root, kernel: &dyn Kernel) -> Vec<String> {
    let ledger = Ledger::look(root, kernel);
    let claimants = ledger.claimants().unwrap_or_default();
    // What somebody else made stays anyway.
    let has_ours = |claimant: &Claimant| {
        let held = ledger.holdings(*claimant).ok().flatten().unwrap_or_default();
        held.devices
            .iter()
            .any(|uuid| !matches!(ledger.record(*uuid), Ok(None)))
    };
    let domains = claimants
        .into_iter()
        .filter(|claimant| matches!(claimant, Claimant::Domain(_)) && has_ours(claimant));
    let mut names: Vec<String> = domains
        .map(|claimant| match ledger.holdings(claimant) {
            Ok(Some(holdings)) => holdings.name,
            _ => claimant.to_string(),
        })
        .collect();
    names.sort();
    names
}

/// The path as the user knows it: without `--root`.
fn shown(given: &Path, folder: &Path, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    given.join(below).display().to_string()
}

/// Sees to the daemons that run: they look for hooks when they start and when they are reloaded.
fn after(root: &Root, reload: bool) -> anyhow::Result<Status> {
    let daemons = daemons::all(root);
    let mut text = String::new();
    for daemon in &daemons {
        let Process { id, name, .. } = daemon;
        if reload && root.is_machine() {
            let reloaded =
                daemons::reload(daemon).with_context(|| format!("cannot reload {name} ({})", id.pid))?;
            put!(&mut text, "reloaded {name} ({})\n", id.pid);
            if reloaded == Reloaded::Starting {
                complain(&format!(
                    "automdev: warning: {name} ({}) has not begun to serve yet and may not look for hooks; later: systemctl reload {name}",
                    id.pid
                ));
            }
        } else {
            put!(
                &mut text,
                "{name} runs and looks for hooks when it is reloaded: systemctl reload {name}\n"
            );
        }
    }
    if daemons.is_empty() && reload {
        text.push_str("no libvirt daemon runs; it looks for hooks when it starts\n");
    }
    output::print(&text)?;
    Ok(Status::Done)
}
