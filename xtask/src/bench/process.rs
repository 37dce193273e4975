//! Starts the processes of a call, each with the same environment.

use std::fs::File;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::call::{Call, Ending, Step};

/// The commands of a round, ready to be started.
pub(crate) fn commands(round: &[Step]) -> Result<Vec<Command>> {
    let ready = |step: &Step| {
        let mut command = Command::new(&step.program);
        command.args(&step.arguments);
        feed(&mut command, step)?;
        Ok(command)
    };
    round.iter().map(ready).collect()
}

/// Runs commands at once, and waits for all of them.
pub(crate) fn round(commands: Vec<Command>, call: &Call) -> Result<()> {
    let mut children = Vec::with_capacity(commands.len());
    for mut command in commands {
        if call.ending == Ending::Good {
            // It says why, where it fails.
            command.stderr(Stdio::inherit());
        }
        children.push(command.spawn().with_context(|| call.name.clone())?);
    }
    for mut child in children {
        let status = child.wait().with_context(|| call.name.clone())?;
        if !is_fine(status, call.ending) {
            bail!("{}: {status}", call.name);
        }
    }
    Ok(())
}

fn is_fine(status: ExitStatus, ending: Ending) -> bool {
    match ending {
        Ending::Any => status.code().is_some(),
        Ending::Good => status.success(),
    }
}

/// Waits for the end of what `who` has left to itself, which comes soon.
pub(crate) fn await_orphans(who: &str) -> Result<()> {
    const SOON: Duration = Duration::from_secs(60);
    let begun = Instant::now();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return Ok(()),
            Ok(WaitStatus::StillAlive) if begun.elapsed() > SOON => {
                bail!("{who}: a process that it has left to itself does not end")
            }
            Ok(WaitStatus::StillAlive) => thread::sleep(Duration::from_millis(1)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("waiting for what a call has left to itself"),
        }
    }
}

/// What a step has on its standard input, and around it.
pub(crate) fn feed(command: &mut Command, step: &Step) -> Result<()> {
    let input = match &step.input {
        Some(file) => File::open(file)
            .with_context(|| format!("{}", file.display()))?
            .into(),
        None => Stdio::null(),
    };
    command.stdin(input).stdout(Stdio::null()).stderr(Stdio::null());
    // What one has in the environment costs each program a little.
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Ok(())
}
