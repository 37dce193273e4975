//! A process that gives back later what cannot be given back now, and that nobody waits for: libvirt goes on as soon as
//! the hook has ended and its pipes are closed.
//!
//! It holds nothing of what its caller had, leaves its session, and looks without a lock whether there is something to
//! be done. What it has not done after `timeouts.retry` is left to the next call and to `automdev reconcile`.

#![allow(unsafe_code, reason = "fork, _exit and close_range have no safe form")]

use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::signal::SigSet;
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, chdir, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};

use super::clock::Deadline;
use super::ledger::{Ledger, LockError};
use super::log as journal;
use super::machine::Machine;
use super::reconcile::{self, Mode as How};
use super::release::chain;
use crate::model::claim::Claimant;
use crate::model::leftover::{Hindrance, Leftover, Outcome};
use crate::model::names::MdevUuid;

mod rests;

use rests::Rests;

/// So long it waits between two looks, ever longer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Starts the process, for what one claimant has left. The caller holds no lock.
pub fn start(machine: &Machine<'_>, claimant: Claimant) {
    if machine.timeouts.retry.is_zero() {
        return;
    }
    // Its way to the one that writes would be shared.
    machine.kernel.rest();
    // SAFETY: automdev has one thread, so the child may do whatever the parent may.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => while waitpid(child, None) == Err(Errno::EINTR) {},
        Ok(ForkResult::Child) => {
            // That one of these fails must not cost the device.
            let _ = setsid();
            // The second one is nobody's child, and never gets a terminal.
            // SAFETY: as above.
            match unsafe { fork() } {
                Ok(ForkResult::Child) => live(machine, claimant),
                Ok(ForkResult::Parent { .. }) => {}
                Err(errno) => not_tried(claimant, errno),
            }
            // SAFETY: ends the child at once; nothing of the parent's (its guards) may be finished twice.
            unsafe { libc::_exit(0) }
        }
        Err(errno) => not_tried(claimant, errno),
    }
}

fn not_tried(claimant: Claimant, errno: Errno) {
    log::warn!("nobody tries again what {claimant} has left: {}", errno.desc());
}

fn live(machine: &Machine<'_>, claimant: Claimant) {
    if machine.root.is_machine() {
        let _ = chdir("/");
    }
    if keep_journal_only().is_err() {
        return;
    }
    // A wrapper holds them back while it works, and whoever wants to end this must be able to.
    let _ = SigSet::empty().thread_set_mask();
    wait(machine, claimant);
    machine.kernel.rest();
}

/// Sees to what a claimant has left, unless somebody is at it already: then that one does, and this ends at once.
pub fn wait(machine: &Machine<'_>, claimant: Claimant) {
    let ledger = Ledger::look(&machine.root, machine.kernel);
    let mut own = None;
    if let Err(error) = ledger.ask_waiter(claimant) {
        log::warn!(
            "nobody else is asked to try again what {claimant} has left: {}",
            chain(&error)
        );
        own = Some(claimant);
    }
    while let Ok(lock) = ledger.lock_waiter(claimant) {
        let given = give_back(machine, own.take(), || ledger.take_asked(claimant));
        drop(lock);
        if let Err(error) = given {
            log::warn!("what was left may not be tried again: {}", chain(&error));
            return;
        }
        // Who was turned away meanwhile has asked before.
        if !ledger.is_asked(claimant) {
            return;
        }
    }
}

/// Goes on until there is nothing that time may help with, for all that are asked for.
fn give_back(
    machine: &Machine<'_>,
    own: Option<Claimant>,
    mut asked: impl FnMut() -> Result<Vec<Claimant>, LockError>,
) -> Result<(), LockError> {
    let retry = machine.timeouts.retry;
    let mut waiting: BTreeMap<Claimant, Deadline> =
        own.map(|own| (own, Deadline::after(retry))).into_iter().collect();
    let mut pause = PAUSES.0;
    let mut rests = Rests::default();
    loop {
        let asked = asked()?;
        if !asked.is_empty() {
            pause = PAUSES.0;
        }
        let end = Deadline::after(retry);
        waiting.extend(asked.into_iter().map(|asked| (asked, end)));
        waiting.retain(|claimant, end| is_left(machine, &mut rests, *claimant, *end));
        let Some(first) = waiting.values().min() else {
            return Ok(());
        };
        thread::sleep(pause.min(first.left()));
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Whether it is worth looking again at what a claimant has left.
fn is_left(machine: &Machine<'_>, rests: &mut Rests, claimant: Claimant, end: Deadline) -> bool {
    let left = match look_and_act(machine, rests, claimant) {
        Some(left) if is_worth_waiting(&left) => left,
        Some(_) | None => return false,
    };
    if end.has_passed() {
        for Leftover { reason, .. } in left {
            log::warn!("{reason}; this is left to automdev reconcile");
        }
        return false;
    }
    true
}

/// What is left, none where that is nothing, or cannot be told.
fn look_and_act(machine: &Machine<'_>, rests: &mut Rests, claimant: Claimant) -> Option<Vec<Leftover>> {
    let mut left = reconcile::claimant(machine, claimant, How::DryRun).ok()?;
    let can_be_tried = |one: &&Leftover| one.outcome.hindrance().is_none();
    let tried: Vec<MdevUuid> = left
        .iter()
        .filter(can_be_tried)
        .filter_map(|one| one.uuid)
        .collect();
    if rests.apply(&mut left) {
        left = reconcile::claimant(machine, claimant, How::Act).ok()?;
        rests.note(&tried, &left);
    }
    left.retain(|one| one.outcome.hindrance().is_some());
    (!left.is_empty()).then_some(left)
}

/// Whether time alone may help.
fn is_worth_waiting(left: &[Leftover]) -> bool {
    left.iter().any(|one| {
        matches!(
            one.outcome,
            Outcome::Kept(Hindrance::InUse | Hindrance::Removing | Hindrance::Creating | Hindrance::Busy)
        )
    })
}

/// Opens the standard streams on nothing and closes all else but the way to the journal: libvirt waits for the end of
/// our pipes, and our caller's locks live as long as any process has them open.
fn keep_journal_only() -> Result<(), Errno> {
    let nothing = open("/dev/null", OFlag::O_RDWR, Mode::empty())?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    dup2_stderr(&nothing)?;
    std::mem::forget(nothing);
    let kept = journal::descriptor().unwrap_or(2);
    close_between(3, kept - 1);
    close_between(kept.max(2) + 1, RawFd::MAX);
    Ok(())
}

fn close_between(first: RawFd, last: RawFd) {
    let (Ok(from), Ok(to)) = (u32::try_from(first), u32::try_from(last)) else {
        return;
    };
    if from > to {
        return;
    }
    // SAFETY: the numbers are of this process alone, whose owners of them are never used again nor finished.
    unsafe {
        if libc::syscall(libc::SYS_close_range, from, to, 0_u32) == -1 {
            // Before Linux 5.9.
            let most = libc::sysconf(libc::_SC_OPEN_MAX).clamp(256, 65_536);
            for number in first..=last.min(RawFd::try_from(most).unwrap_or(RawFd::MAX)) {
                libc::close(number);
            }
        }
    }
}
