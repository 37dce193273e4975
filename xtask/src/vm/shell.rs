//! A person's shell in a host.

use std::process::{Command, Stdio};
use std::{env, io};

use anyhow::{Context as _, Result};

use super::image::Image;
use super::machine::{self, Purpose};
use super::payload::{self, Carried};
use super::place::Temporary;
use super::tools;

/// Boots `image` and connects its serial line with this terminal until it is switched off.
pub(crate) fn open(image: &Image, carried: &[Carried]) -> Result<()> {
    tools::ensure()?;
    let work = Temporary::new("shell")?;
    let payload = payload::make(work.path(), carried, &["true".into()])?;
    let mut words = vec!["quiet".to_owned()];
    if let Some((rows, columns)) = terminal_size() {
        words.push(format!("automdev-vm.rows={rows} automdev-vm.columns={columns}"));
    }
    if let Ok(terminal) = env::var("TERM") {
        words.push(format!("TERM={terminal}"));
    }
    eprintln!(
        "Booting {}, which takes up to half a minute. It ends with `poweroff`, or at once with Ctrl-A X; nothing that \
         is done in it lasts.",
        image.generation
    );
    let status = machine::command(image, &payload, work.path(), Purpose::Shell, &words.join(" "))?
        .args(["-serial", "mon:stdio"])
        .stdin(Stdio::inherit())
        .status()
        .context("cannot run QEMU")?;
    eprintln!();
    if !status.success() {
        return Err(io::Error::other(format!("QEMU failed ({status})")).into());
    }
    Ok(())
}

/// Rows and columns of this terminal, as stty(1) tells them.
fn terminal_size() -> Option<(u16, u16)> {
    let output = Command::new("stty")
        .arg("size")
        .stdin(Stdio::inherit())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (rows, columns) = text.trim().split_once(' ')?;
    Some((rows.parse().ok()?, columns.parse().ok()?)).filter(|size| *size != (0, 0))
}
