//! Writes what a command has made: to standard output, or into a file, all or nothing.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::input::display_name;

/// The most links that are followed, as the kernel does (`MAXSYMLINKS` of its `namei.h`).
const MOST_LINKS: usize = 40;

/// Prints a text. That its reader went away is not our failure.
pub fn print(text: &str) -> anyhow::Result<()> {
    match write_out(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write standard output"),
    }
}

/// Prints a text that somebody has to hear.
pub fn print_to_somebody(text: &str) -> anyhow::Result<()> {
    write_out(text).context("cannot write standard output")
}

fn write_out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Makes a file have that text, at once: whoever opens it meanwhile, or after a crash, finds all of the old or
/// all of the new. A file that is there keeps its mode and owner; a link stays and what it points to is
/// replaced; what is no plain file (a pipe, `/dev/stdout`) is written to.
pub fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", display_name(path));
    match fs::metadata(path) {
        Ok(old) if old.is_file() => {
            let target = fs::canonicalize(path).with_context(context)?;
            put(&target, text, Some(&old)).with_context(context)
        }
        Ok(_) => write_into(path, text).with_context(context),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let target = follow(path).with_context(context)?;
            put(&target, text, None).with_context(context)
        }
        Err(error) => Err(error).with_context(context),
    }
}

/// Whether both paths lead to one file.
#[must_use]
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|data| (data.dev(), data.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// What the path, where nothing is yet, leads to over links.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::from_raw_os_error(nix::errno::Errno::ELOOP as i32))
}

fn write_into(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(text.as_bytes())
}

/// Writes the new file beside the old one, then gives it its name.
fn put(path: &Path, text: &str, old: Option<&Metadata>) -> anyhow::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Nobody else may read it before it has its mode. A new one gets what the umask leaves.
    let mode = if old.is_some() { 0o600 } else { 0o666 };
    let (new, mut file) = Temporary::create(folder, mode)
        .with_context(|| format!("cannot make a file in {}", display_name(folder)))?;
    file.write_all(text.as_bytes())?;
    if let Some(old) = old {
        keep(&file, old).with_context(|| {
            format!(
                "its owner (user {}, group {}) and mode cannot be kept",
                old.uid(),
                old.gid()
            )
        })?;
    }
    file.sync_all()?;
    new.rename(path)?;
    // The new name lasts once the folder does. The file is complete under either name.
    if let Ok(folder) = File::open(folder) {
        drop(folder.sync_all());
    }
    Ok(())
}

fn keep(file: &File, old: &Metadata) -> anyhow::Result<()> {
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    // After the owner, since a change of that takes bits of the mode away.
    file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    let new = file.metadata()?;
    if new.mode() != old.mode() {
        bail!("the file system gave it another mode");
    }
    Ok(())
}

/// A file that goes again unless it is renamed.
struct Temporary {
    path: Option<PathBuf>,
}

impl Temporary {
    fn create(folder: &Path, mode: u32) -> io::Result<(Self, File)> {
        let path = folder.join(format!(".automdev-{}", uuid::Uuid::new_v4().simple()));
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(mode).open(&path)?;
        Ok((Temporary { path: Some(path) }, file))
    }

    fn rename(mut self, path: &Path) -> io::Result<()> {
        if let Some(temporary) = &self.path {
            fs::rename(temporary, path)?;
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            drop(fs::remove_file(path));
        }
    }
}
