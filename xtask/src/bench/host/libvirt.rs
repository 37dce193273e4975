//! libvirt's daemon, which reacts to each device that comes and goes: it runs where it is measured, and nowhere else.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// It is started by whoever connects to these.
const SOCKETS: [&str; 3] = ["libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket"];

/// When it is given up.
const LIMIT: Duration = Duration::from_secs(180);

/// It runs, and knows of the node device.
pub(super) fn start(device: &str) -> Result<()> {
    systemctl("start", &SOCKETS)?;
    systemctl("start", &["libvirtd.service"])?;
    let begun = Instant::now();
    loop {
        let known = run(
            "virsh",
            &[
                "--connect",
                "qemu:///system",
                "nodedev-list",
                "--all",
                "--cap",
                "mdev",
            ],
        );
        if known.is_ok_and(|known| known.lines().any(|line| line.trim() == device)) {
            return Ok(());
        }
        if begun.elapsed() > LIMIT {
            bail!("libvirt does not know {device}");
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// It does not run any more, and nobody starts it.
pub(super) fn stop() -> Result<()> {
    systemctl("stop", &SOCKETS)?;
    systemctl("stop", &["libvirtd.service"])
}

fn systemctl(verb: &str, units: &[&str]) -> Result<()> {
    run("systemctl", &[&[verb], units].concat()).map(drop)
}

fn run(program: &str, words: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(words)
        .output()
        .with_context(|| program.to_owned())?;
    if !output.status.success() {
        bail!(
            "{program} {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}
