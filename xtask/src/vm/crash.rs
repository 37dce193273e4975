//! Crashes of a host's kernel. An emulated processor makes mistakes now and then that no real one makes; the kernel
//! then dies somewhere that has nothing to do with what is tested, most often while it boots. That says nothing about
//! automdev, so the run begins anew, and says so. A crash that has the kernel's mediated devices in its trace is a
//! finding, and so is one on a real processor: these fail at once.

use std::path::Path;
use std::{fmt, fs};

use anyhow::Result;

use super::probe::{Accelerator, accelerator};

/// How often a run is begun, the first time included.
const ATTEMPTS: u32 = 3;

/// The kernel's modules whose crashes are findings, as its traces name them.
const OURS: [&str; 6] = ["mdev", "mtty", "mdpy", "mbochs", "vfio", "iommufd"];

/// An emulated host's kernel crashed for no reason of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Crash {
    /// What the kernel said first and last about it.
    said: String,
}

impl fmt::Display for Crash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the emulated kernel crashed: {}", self.said)
    }
}

impl std::error::Error for Crash {}

/// The crash that ended the host with this console, if it is one of those after which it makes sense to begin anew.
pub(super) fn find(console: &Path) -> Option<Crash> {
    let text = fs::read(console).ok()?;
    let crash = in_console(&String::from_utf8_lossy(&text))?;
    let said = format!("{}; all of its console is in {}", crash.said, console.display());
    (accelerator() == Accelerator::Tcg).then_some(Crash { said })
}

fn in_console(console: &str) -> Option<Crash> {
    let message = |line: &'_ str| {
        let (_, message) = line.split_once("] ")?;
        Some(message.trim().to_owned())
    };
    let lines: Vec<String> = console.lines().filter_map(message).collect();
    let last = lines
        .iter()
        .find(|line| line.starts_with("Kernel panic - not syncing"))?;
    let begins = [
        "BUG:",
        "Oops",
        "traps: PANIC",
        "general protection fault",
        "invalid opcode",
    ];
    let first = lines
        .iter()
        .position(|line| begins.iter().any(|begin| line.starts_with(begin)));
    let trace = &lines[first.unwrap_or_default()..];
    if first.is_some() && trace.iter().any(|line| names_ours(line)) {
        return None;
    }
    let first = first.map_or(last, |first| &lines[first]);
    Some(Crash {
        said: if first == last {
            last.clone()
        } else {
            format!("{first}; {last}")
        },
    })
}

/// Whether a line of a trace lies in one of [`OURS`]: `mdev_probe+0x12/0x34 [mdev]`.
fn names_ours(line: &str) -> bool {
    let module = line
        .strip_suffix(']')
        .and_then(|line| line.rsplit_once(" ["))
        .map(|(_, module)| module);
    module.is_some_and(|module| OURS.iter().any(|ours| module.starts_with(ours)))
}

/// Does `action`, and again where it ends by a [`Crash`], a few times at most.
pub(super) fn again<T>(whom: impl fmt::Display, mut action: impl FnMut() -> Result<T>) -> Result<T> {
    let mut attempt = 1;
    loop {
        match action() {
            Err(error) if attempt < ATTEMPTS && error.is::<Crash>() => {
                attempt += 1;
                eprintln!("{whom}: {error}; beginning anew ({attempt} of {ATTEMPTS}) …");
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    const TRACE: &str = "\
[    0.104432] pid_max: default: 32768 minimum: 301
[    8.908053] traps: PANIC: double fault, error_code: 0x0
[    8.911032] Oops: double fault: 0000 [#1] PREEMPT SMP NOPTI
[    8.912311] RIP: 0010:kmem_cache_alloc_noprof+0x69/0x2f0
[    8.917190]  entry_SYSCALL_64_after_hwframe+0x76/0x7e
[    8.918238] Modules linked in: mtty(E) mdev vfio ext4
";
    const PANIC: &str = "[    8.919488] Kernel panic - not syncing: Fatal exception in interrupt\n";

    #[test]
    fn a_crash_elsewhere_is_the_emulator_s() {
        let crash = in_console(&format!("{TRACE}{PANIC}")).expect("a crash");
        assert_eq!(
            crash.to_string(),
            "the emulated kernel crashed: traps: PANIC: double fault, error_code: 0x0; Kernel panic - not syncing: \
             Fatal exception in interrupt"
        );
        assert!(in_console(PANIC).is_some());
    }

    #[test]
    fn one_in_the_drivers_is_a_finding() {
        for line in [
            "RIP: 0010:mtty_probe+0x1a/0x40 [mtty]",
            " mdev_bind+0x12/0x20 [mdev]",
        ] {
            let console = format!("{TRACE}[    8.917191] {line}\n{PANIC}");
            assert_eq!(in_console(&console), None, "{line}");
        }
    }

    #[test]
    fn what_is_no_crash_is_none() {
        assert_eq!(in_console(TRACE), None);
        assert_eq!(
            in_console("[    1.000000] systemd[1]: Kernel panic is no word of ours\n"),
            None
        );
    }

    #[test]
    fn again_only_after_a_crash_and_not_forever() {
        let crash = || Crash { said: String::new() };
        let mut calls = 0;
        let result = again("test", || {
            calls += 1;
            if calls < 3 { Err(crash().into()) } else { Ok(calls) }
        });
        assert_eq!(result.expect("the third"), 3);

        let mut calls = 0;
        let result: Result<()> = again("test", || {
            calls += 1;
            Err(crash().into())
        });
        assert!(result.is_err());
        assert_eq!(calls, 3);

        let mut calls = 0;
        let result: Result<()> = again("test", || {
            calls += 1;
            bail!("another")
        });
        assert!(result.is_err());
        assert_eq!(calls, 1);
    }
}
