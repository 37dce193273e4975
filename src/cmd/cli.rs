//! The command line of the commands that people type. What libvirt and QEMU's users pass to `hook` and `run`
//! is foreign, and read by those fronts themselves.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::Status;
use crate::host::root::Root;

/// Creates VFIO mediated devices right before a virtual machine starts, and removes them when it has stopped.
#[derive(Debug, Parser)]
#[command(name = "automdev", version, max_term_width = 100)]
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
pub enum Command {}

impl Cli {
    /// Carries the command out.
    pub fn run(self) -> anyhow::Result<Status> {
        let _root = Root::new(self.root);
        match self.command {}
    }
}
