//! The command line of the commands that people type. What libvirt and QEMU's users pass to `hook` and `run`
//! is foreign, and read by those fronts themselves.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::bail;
use clap::{Parser, Subcommand};

use super::{
    Status, check, define, hook, hotplug, install_hook, list, plan, pools, reconcile, rewrite, run, show,
    types, undefine,
};
use crate::host::kernel::Kernel;
use crate::host::root::Root;

/// Creates VFIO mediated devices right before a virtual machine starts, and removes them when it has stopped.
#[derive(Debug, Parser)]
#[command(name = "automdev", version, max_term_width = 100)]
#[command(after_help = "\
Examples:
  automdev types                          what can be made here?
  automdev define --parent 0000:41:00.0 --type nvidia-63
  automdev rewrite vm.xml | virsh define --validate /dev/stdin
  virsh dumpxml vm | automdev plan        would it start here?
  automdev check                          is anything wrong?
  automdev list

Each command's --help has more.")]
pub struct Cli {
    /// Puts every path (/sys, /etc, /run, /proc, /dev, /usr/lib/mdevctl) below DIR.
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true)]
    pub root: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answers libvirt's qemu hook: creates a domain's devices on prepare, removes them on release.
    ///
    /// libvirt starts it with the domain's XML on standard input. It is put in place by a link to this
    /// program: /etc/libvirt/hooks/qemu, or any name in /etc/libvirt/hooks/qemu.d.
    #[command(after_help = "Example:\n  ln -s /usr/bin/automdev /etc/libvirt/hooks/qemu.d/50-automdev")]
    Hook {
        /// DOMAIN OPERATION SUBOPERATION EXTRA, as libvirt passes them.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Says what a start of a domain would do on this host, device by device, and why; writes nothing.
    Plan(plan::Args),
    /// Turns the XML that people write into what libvirt keeps: takes autocreate off the hostdevs and lists
    /// their devices under <metadata>.
    ///
    /// Everything else stays as it is, byte for byte. Rewriting twice is rewriting once.
    Rewrite(rewrite::Args),
    /// Runs a QEMU command whose devices exist while it runs.
    ///
    /// Every mediated device on the command line that is not there is created from its definition, and removed
    /// when QEMU has ended. To -device vfio-pci (and -nohotplug, vfio-ccw, vfio-ap) automdev adds
    /// autocreate=off, which leaves a device alone, and pool=NAME in the place of sysfsdev. Everything else
    /// reaches QEMU as it is. A link to this program, named qemu-system-x86_64, say, and before QEMU on PATH,
    /// does the same for those who call QEMU by that name.
    ///
    /// The exit status is QEMU's, 128+N where signal N ended it; 125: automdev failed or refused, 126: QEMU
    /// cannot be executed, 127: there is no such QEMU.
    #[command(
        override_usage = "automdev run [--domain FILE] -- QEMU ARGS…",
        after_help = "Example:\n  automdev run -- qemu-system-x86_64 -m 512 -device vfio-pci,sysfsdev=/sys/bus/mdev/devices/UUID"
    )]
    Run {
        /// [--domain FILE] -- QEMU ARGS…; FILE is a domain's XML, whose marks count instead of the command line's.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Shows what this host's parents can make: their types, and how many of each are free.
    Types(types::Args),
    /// Lists what is defined and what is there: who made it, who claims it, and what is wrong.
    List(list::Args),
    /// Lists this host's pools: their members, what is free, and who uses what.
    Pools(pools::Args),
    /// Shows all that is known of one device, or its definition in a form that other tools and hosts take.
    Show(show::Args),
    /// Says what a device is on this host: its parent, its type, its attributes. mdevctl and libvirt see it, too.
    Define(define::Args),
    /// Forgets what a device is on this host.
    Undefine(undefine::Args),
    /// Makes devices for a domain that runs already, to be plugged into it.
    Create(hotplug::CreateArgs),
    /// Gives devices back that were unplugged from a domain that runs.
    Remove(hotplug::RemoveArgs),
    /// Looks the host over, and says what would go wrong and how to mend it.
    Check(check::Args),
    /// Puts the libvirt hook in place, never over somebody else's.
    InstallHook(install_hook::InstallArgs),
    /// Takes the libvirt hook away, and nobody else's.
    UninstallHook(install_hook::UninstallArgs),
    /// Gives back what crashed domains and commands left: devices that automdev made and that nobody claims any more.
    Reconcile(reconcile::Args),
}

impl Cli {
    /// Carries the command out.
    pub fn run(self, kernel: &dyn Kernel) -> anyhow::Result<Status> {
        if !self.root.is_dir() {
            bail!("--root {}: there is no such folder", self.root.display());
        }
        let root = Root::new(self.root);
        match self.command {
            Command::Hook { arguments } => Ok(hook::run(&root, kernel, &arguments)),
            Command::Plan(args) => plan::run(&root, kernel, args),
            Command::Rewrite(args) => rewrite::run(&root, kernel, &args),
            Command::Run { arguments } => Ok(run::run(&root, kernel, &arguments)),
            Command::Types(args) => types::run(&root, kernel, &args),
            Command::List(args) => list::run(&root, kernel, &args),
            Command::Pools(args) => pools::run(&root, kernel, &args),
            Command::Show(args) => show::run(&root, kernel, &args),
            Command::Define(args) => define::run(&root, &args),
            Command::Undefine(args) => undefine::run(&root, kernel, &args),
            Command::Create(args) => hotplug::create(&root, kernel, &args),
            Command::Remove(args) => hotplug::remove(&root, kernel, &args),
            Command::Check(args) => check::run(&root, kernel, &args),
            Command::InstallHook(args) => install_hook::install(&root, &args),
            Command::UninstallHook(args) => install_hook::uninstall(&root, kernel, &args),
            Command::Reconcile(args) => reconcile::run(&root, kernel, &args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// The calls of automdev in the examples of a help text.
    fn examples(help: &str) -> Vec<String> {
        let help = help.replace("\\\n", " ");
        let examples = help.split_once("\nExample");
        let (_, examples) = examples.unwrap_or_else(|| panic!("no example: {help}"));
        let lines = examples.lines().filter(|line| line.starts_with("  "));
        // Whatever the shell takes, and what an example says about itself.
        let parts = lines.flat_map(|line| line.trim().split(['|', ';', '>']));
        let parts = parts.filter_map(|part| part.trim().split("   ").next());
        // It is the first word, or what ssh runs.
        let calls = parts.filter_map(|part| {
            let at = part.find("automdev ")?;
            (at == 0 || part[..at].ends_with(' ')).then(|| part[at..].to_owned())
        });
        calls.collect()
    }

    #[test]
    fn the_examples_in_the_help_are_understood() {
        let mut command = Cli::command().disable_help_subcommand(true);
        let mut helps = vec![command.render_long_help().to_string()];
        for sub in command.get_subcommands_mut() {
            helps.push(sub.render_long_help().to_string());
        }
        for help in helps {
            let calls = examples(&help);
            assert!(
                !calls.is_empty() || help.contains("ln -s /usr/bin/automdev"),
                "{help}"
            );
            for call in calls {
                let call = call.replace("UUID", "c2177883-f1bb-47f0-914d-32a22e3a8804");
                if let Err(error) = Cli::try_parse_from(call.split_whitespace()) {
                    panic!("{call}: {error}");
                }
            }
        }
    }
}
