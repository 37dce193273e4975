//! Stays beside a QEMU that has devices, without being in its way.
//!
//! ```text
//! hold the signals → fork ─┬─► wait for a byte ────────────► QEMU          same group, session, terminal
//!                          └─► claim by its pid, make the devices, write the byte, watch it, give back
//! ```
//!
//! The process that becomes QEMU is there, and waits, before its devices are: a claim by its number and start
//! time is true from the first moment, and whatever kills us, before or after, leaves no device unclaimed. If
//! we die before the byte, it ends without running QEMU.
//!
//! With `-daemonize` the QEMU that stays is a grandchild, and the process that we started ends. As a
//! sub-reaper (prctl(2)) we become its parent; it gets a claim of its own while one by us still holds, and a
//! process that has nothing to do with our terminal waits for its end by a pidfd.

mod adopted;
mod descriptors;
mod detached;
mod held;
mod inherited;
mod program;
mod signals;
mod watch;

use std::time::Duration;

use nix::errno::Errno;

use self::adopted::Adopted;
pub use self::held::Held;
pub use self::program::Program;
pub use self::signals::Signals;
pub use self::watch::End;

use super::clock::Deadline;
use super::kernel::Kernel;
use super::machine::Machine;
use super::processes;
use super::release::{self, ReleaseError};
use super::root::Root;
use super::share;
use crate::model::claim::{Claimant, ProcessId};
use crate::model::names::MdevUuid;
use crate::model::pool::Glob;
use crate::model::settings::Timeouts;

/// What a supervisor works on; each time that it does, it has the whole budget of a hook call.
pub struct Supervisor<'a> {
    /// The folder below which everything lies.
    pub root: Root,
    /// What takes the writes into sysfs.
    pub kernel: &'a dyn Kernel,
    /// How long each thing is waited for.
    pub timeouts: Timeouts,
    /// Whether mdevctl's scripts are called.
    pub callouts: bool,
    /// The parents on which nothing new is made.
    pub cordon: Vec<Glob>,
}

/// A QEMU whose devices are there and claimed.
#[derive(Debug)]
pub struct Supervised {
    /// The process that is to become QEMU.
    pub held: Held,
    /// It, as it claims.
    pub claimant: Claimant,
    /// The name that it claims by, without its number.
    pub name: String,
    /// Its devices.
    pub devices: Vec<MdevUuid>,
    /// Whether it goes into the background by itself.
    pub daemonizes: bool,
}

impl Supervisor<'_> {
    /// The machine, for one piece of work.
    #[must_use]
    pub fn machine(&self) -> Machine<'_> {
        Machine {
            root: self.root.clone(),
            kernel: self.kernel,
            timeouts: self.timeouts.clone(),
            callouts: self.callouts,
            cordon: self.cordon.clone(),
            deadline: Deadline::after(self.timeouts.hook),
        }
    }

    /// Lets QEMU run, stays until it has ended, or is in the background, and gives its devices back once it
    /// has. Besides its end, what could not be given back.
    #[must_use]
    pub fn run(&self, qemu: Supervised, signals: &Signals) -> (End, Vec<ReleaseError>) {
        self.kernel.rest();
        descriptors::close_inherited();
        if qemu.daemonizes {
            return self.run_into_background(qemu, signals);
        }
        let end = watch::watch(qemu.held.let_go(), signals, None);
        (end, self.give_back(qemu.claimant))
    }

    fn run_into_background(&self, qemu: Supervised, signals: &Signals) -> (End, Vec<ReleaseError>) {
        if let Err(errno) = nix::sys::prctl::set_child_subreaper(true) {
            log::error!(
                "cannot become the parent of the QEMU that stays: {}",
                errno.desc()
            );
        }
        let Supervised {
            held,
            claimant: first,
            name,
            devices,
            ..
        } = qemu;
        let share = |claimant| self.share(&devices, claimant, &name);
        // For the moment in which the process that we started has ended and the one that stays has no claim yet.
        let own = processes::find(&self.root, std::process::id());
        let own = own.map(|process| Claimant::Process(process.id));
        own.into_iter().for_each(share);
        let mut adopted = Adopted::new(&self.root, held.pid());
        let mut look = || {
            for process in adopted.look() {
                share(Claimant::Process(process));
            }
        };
        let end = watch::watch(held.let_go(), signals, Some(&mut look));
        look();
        let ended = self.detach(adopted.all(), end);
        let claimants = std::iter::once(first).chain(own).chain(ended);
        (
            end,
            claimants.flat_map(|claimant| self.give_back(claimant)).collect(),
        )
    }

    /// Leaves somebody behind who waits for those that stay; tells who does not.
    fn detach(&self, adopted: &[ProcessId], end: End) -> Vec<Claimant> {
        // A QEMU that could not become ready may not have quite ended.
        let patience = match end {
            End::Exited(1..) => self.timeouts.idle,
            _ => Duration::ZERO,
        };
        let deadline = Deadline::after(patience);
        let (mut staying, mut ended) = (Vec::new(), Vec::new());
        for process in adopted {
            let claimant = Claimant::Process(*process);
            match detached::open(process.pid) {
                Ok(pidfd) if !detached::has_ended(&pidfd, deadline) => staying.push((claimant, pidfd)),
                // Its claim stays, and the next command finds out.
                Err(errno) if processes::runs(&self.root, *process) => {
                    log::error!("cannot wait for the end of {claimant}: {}", errno.desc());
                }
                _ => ended.push(claimant),
            }
        }
        if !staying.is_empty() {
            if let Err(errno) = detached::start(self, &staying) {
                log::error!("cannot wait for the end of QEMU: {}", errno.desc());
            }
        }
        ended
    }

    fn share(&self, devices: &[MdevUuid], claimant: Claimant, name: &str) {
        let name = named(name, claimant);
        if let Err(error) = share::share(&self.machine(), devices, claimant, &name) {
            log::error!("{name} does not claim its devices: {}", release::chain(&error));
        }
    }

    fn give_back(&self, claimant: Claimant) -> Vec<ReleaseError> {
        release::release_and_wait(&self.machine(), claimant)
            .err()
            .unwrap_or_default()
    }
}

/// The name by which a process claims: a person may have to find it.
#[must_use]
pub fn named(name: &str, claimant: Claimant) -> String {
    match claimant {
        Claimant::Process(process) => format!("{name} (process {})", process.pid),
        Claimant::Domain(_) => name.to_owned(),
    }
}

/// Becomes QEMU.
#[must_use]
pub fn exec(program: &Program) -> Errno {
    inherited::restore();
    program.exec()
}
