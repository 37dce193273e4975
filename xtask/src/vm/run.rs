//! Runs one command in a host and brings back what came of it.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::image::Image;
use super::machine::{self, Purpose};
use super::payload::{self, Carried};
use super::place::Temporary;
use super::{crash, place, tools};

/// What a host says on its serial line, in the folder of its run.
const CONSOLE: &str = "console.log";

/// What to run in a host.
pub(crate) struct Job<'a> {
    /// The host.
    pub(crate) image: &'a Image,
    /// What it needs there; one named `automdev` is installed as /usr/bin/automdev.
    pub(crate) carried: &'a [Carried],
    /// Program and arguments.
    pub(crate) command: &'a [String],
    /// [`Purpose::Run`], or, while an image is built, [`Purpose::WarmUp`].
    pub(crate) purpose: Purpose,
    /// When to give up, from the boot on.
    pub(crate) limit: Duration,
}

/// A host that runs, and ends with the value.
pub(super) struct Running {
    name: String,
    guard: Guard,
    work: Temporary,
}

impl Job<'_> {
    /// Runs it; each piece of its output goes to `output` as it comes. Returns its exit status. Where that is not 0,
    /// the logs are kept, and the person is told where. After a crash of an emulated kernel it begins anew.
    pub(crate) fn run(&self, mut output: impl FnMut(&[u8])) -> Result<i32> {
        crash::again(self.image.generation, || self.once(&mut output))
    }

    /// The same, but a crash is an error, [`crash::Crash`].
    pub(super) fn once(&self, output: impl FnMut(&[u8])) -> Result<i32> {
        let running = self.start(self.image.generation.codename(), |_| {})?;
        running.end(self.limit, output)
    }

    /// Boots it, under a name of its own, with what `add` gives its QEMU besides.
    pub(super) fn start(&self, name: &str, add: impl FnOnce(&mut Command)) -> Result<Running> {
        tools::ensure()?;
        let work = Temporary::new(&format!("run-{name}"))?;
        let payload = payload::make(work.path(), self.carried, self.command)?;
        let mut command = machine::command(self.image, &payload, work.path(), self.purpose, "")?;
        machine::add_ports(&mut command, work.path());
        let console = machine::escaped(&work.path().join(CONSOLE));
        command.args(["-serial", &format!("file:{console}")]);
        add(&mut command);
        // Its stdin stays open: a port whose outer end is closed takes no output.
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Ok(Running {
            name: name.to_owned(),
            guard: Guard(child.context("cannot run QEMU")?),
            work,
        })
    }
}

impl Running {
    /// Hands on its output and waits for its end, for so long at most; its exit status. Where that is not 0, the logs are
    /// kept, and the person is told where.
    pub(super) fn end(mut self, limit: Duration, mut output: impl FnMut(&[u8])) -> Result<i32> {
        let Self { name, guard, work } = &mut self;
        let in_time = stream(&mut guard.0, limit, &mut output)?;
        guard.0.kill().ok();
        guard.0.wait()?;
        // Several runs may go on at once: the log that is kept is that of the last one that ended.
        let live = work.path().join(CONSOLE);
        let console = place::logs()?.join(format!("{name}-console.log"));
        fs::copy(&live, &console).with_context(|| format!("cannot keep {}", live.display()))?;

        let result = fs::read_to_string(work.path().join("result")).unwrap_or_default();
        let status = result
            .strip_prefix("status ")
            .and_then(|text| text.trim().parse().ok());
        match status {
            Some(0) => {}
            Some(_) => report(name, &work.path().join("logs"), &console)?,
            None => {
                if let Some(crash) = crash::find(&console) {
                    return Err(crash.into());
                }
                let mut said = String::new();
                guard
                    .0
                    .stderr
                    .take()
                    .map(|mut stderr| stderr.read_to_string(&mut said));
                eprint!("{said}{}", tail(&console, 60));
                let how = if in_time {
                    "ended without telling a status"
                } else {
                    "did not end in time"
                };
                bail!(
                    "{name}: the host {how}; all of its console is in {}",
                    console.display()
                );
            }
        }
        Ok(status.unwrap_or_default())
    }
}

/// No QEMU is left behind, whatever happens here.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Hands on what comes out until the host has ended. Returns whether that was in time.
fn stream(child: &mut Child, limit: Duration, output: &mut impl FnMut(&[u8])) -> Result<bool> {
    let mut stdout = child.stdout.take().context("QEMU has no stdout")?;
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(length @ 1..) = stdout.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    let end = Instant::now() + limit;
    loop {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(piece) => output(&piece),
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => return Ok(true),
        }
    }
}

/// Keeps the logs of a failed run, and shows the part that most often tells why.
fn report(name: &str, archive: &Path, console: &Path) -> Result<()> {
    let folder = place::logs()?.join(format!("{name}-failed"));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let status = tools::command("tar")
        .arg("-C")
        .arg(&folder)
        .arg("-xf")
        .arg(archive)
        .status()?;
    if !status.success() {
        bail!("cannot unpack the logs that the host sent");
    }
    fs::copy(console, folder.join("console.log"))?;
    let mut stderr = io::stderr().lock();
    for file in ["journal.txt".into(), libvirt_log(&folder)] {
        let path: PathBuf = folder.join(file);
        if path.is_file() {
            writeln!(stderr, "--- the end of {}:\n{}", path.display(), tail(&path, 40))?;
        }
    }
    writeln!(
        stderr,
        "{name}: failed; journal, dmesg, libvirt's and QEMU's logs are in {}",
        folder.display()
    )?;
    Ok(())
}

/// The log of the QEMU that wrote last.
fn libvirt_log(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder.join("libvirt/qemu"))
        .into_iter()
        .flatten()
        .flatten();
    let logs = entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "log"));
    let last = logs.max_by_key(|entry| entry.metadata().and_then(|found| found.modified()).ok());
    last.map_or_else(|| folder.join("libvirt"), |entry| entry.path())
}

/// The last lines of a text file.
fn tail(file: &Path, lines: usize) -> String {
    let mut text = Vec::new();
    let read = File::open(file).and_then(|mut file| file.read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    match read {
        Ok(_) => all[all.len().saturating_sub(lines)..].join("\n") + "\n",
        Err(error) => format!("{}: {error}\n", file.display()),
    }
}
