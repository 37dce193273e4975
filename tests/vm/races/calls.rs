//! Calls of the program that may be killed.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::cast;
use super::stage::Stage;
use crate::random::Random;
use crate::support::Called;

/// No call may take longer, on hosts as slow as these.
const LONGEST: Duration = Duration::from_secs(150);

/// Who calls the hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// A libvirt daemon that lives on: the test calls itself so.
    Daemon,
    /// One that dies as soon as the call is over: nothing holds the domain's devices but its QEMU.
    ShortLived,
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    Refused,
    Killed,
}

/// Calls the hook; kills it after that time.
pub(super) fn hook(
    stage: &Stage,
    caller: Caller,
    (domain, operation, xml): (&str, &str, &str),
    kill_after: Option<Duration>,
) -> Ended {
    let mut command = match caller {
        Caller::Daemon => Command::new("/usr/bin/automdev"),
        Caller::ShortLived => {
            let mut command = Command::new(cast::SHORT_LIVED_DAEMON);
            // Not the last command, which a shell would become.
            command.args(["-c", "\"$@\"; exit $?", "sh", "/usr/bin/automdev"]);
            command
        }
    };
    command.args(["hook", domain]).args(operation.split(' ')).arg("-");
    let begun = Instant::now();
    let answer = call(stage, &mut command, xml.as_bytes(), kill_after);
    let ended = match answer.status {
        Some(0) => Ended::Done,
        Some(1) => Ended::Refused,
        None if kill_after.is_some() => Ended::Killed,
        _ => {
            stage.fault(format!("{operation} of {domain}: {answer:?}"));
            Ended::Refused
        }
    };
    let is_one_line = answer.stderr.lines().count() <= 1 && answer.stdout.is_empty();
    if !is_one_line || ended == Ended::Refused && !answer.stderr.starts_with("automdev: ") {
        stage.fault(format!("{operation} of {domain}: {answer:?}"));
    }
    stage.tell(&format!(
        "{operation} of {domain}, {caller:?}: {ended:?} after {:.2} s {}",
        begun.elapsed().as_secs_f64(),
        answer.stderr.trim_end()
    ));
    ended
}

/// Calls the program.
pub(super) fn call(
    stage: &Stage,
    command: &mut Command,
    input: &[u8],
    kill_after: Option<Duration>,
) -> Called {
    let begun = Instant::now();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program is there");
    let mut stdin = child.stdin.take().expect("a pipe");
    // Less than a pipe holds; who is called may end without reading it.
    drop(stdin.write_all(input));
    drop(stdin);
    if let Some(time) = kill_after {
        wait_for(&mut child, time);
        // It may have ended.
        drop(child.kill());
    } else if !wait_for(&mut child, LONGEST) {
        stage.fault(format!("{command:?} does not end"));
        drop(child.kill());
    }
    let output = child.wait_with_output().expect("it ends");
    stage.took(begun.elapsed());
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Called {
        status: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Whether it ends within that time.
pub(super) fn wait_for(child: &mut Child, time: Duration) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < time {
        if child.try_wait().expect("a child").is_some() {
            return true;
        }
        thread::sleep(Duration::from_millis(2));
    }
    false
}

/// The first of what a process prints; empty where it ends without.
pub(super) fn first_words(child: &mut Child) -> String {
    let mut bytes = [0; 256];
    let stdout = child.stdout.as_mut().expect("a pipe");
    let count = stdout.read(&mut bytes).unwrap_or_default();
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

/// Some time below that.
pub(super) fn some_time(random: &mut Random, most_milliseconds: usize) -> Duration {
    Duration::from_millis(u64::try_from(random.below(most_milliseconds)).expect("small"))
}
