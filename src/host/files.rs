//! Small files: read within bounds, replaced in one step.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use rustix::fs::RawDir;

use super::kernel::{Change, Kernel};

/// More than most files of the kernel's that tell no size: of them, too, all is read at once.
const ROOM: usize = 64;

/// Opens a file or makes it, for ourselves alone: closed where a program is run. By one call, where musl's `open` makes two.
pub(super) fn open(path: &Path, flags: OFlag) -> io::Result<File> {
    const OURS: Mode = Mode::from_bits_truncate(0o600);
    let opened = loop {
        match openat(AT_FDCWD, path, flags | OFlag::O_CLOEXEC, OURS) {
            Err(Errno::EINTR) => {}
            opened => break opened,
        }
    };
    Ok(opened?.into())
}

/// Reads a whole file of at most `most` bytes; none where there is no such file.
///
/// # Errors
/// It cannot be read, is no plain file, or is larger.
pub fn read_bounded(path: &Path, most: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    // Room for all of it, so that it is read in one piece. sysfs says that each of its files has a page, however large pages are.
    let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    let mut content = vec![0; size.min(most) + ROOM];
    let mut length = 0;
    loop {
        match read(&file, &mut content[length..])? {
            0 => break,
            some => length += some,
        }
        if length > most {
            return Err(io::Error::other(format!("it is larger than {most} bytes")));
        }
        // A file of the kernel's has no size, or one that is not its own: only another read finds its end.
        if length == size {
            break;
        }
        if length == content.len() {
            content.resize(length * 2, 0);
        }
    }
    content.truncate(length);
    Ok(Some(content))
}

/// Whether the error says that there is no such file.
#[must_use]
pub fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Of which file this is the neighbour through which [`replace`] goes.
#[must_use]
pub fn replaced_through(name: &str) -> Option<&str> {
    name.strip_prefix('.')?.strip_suffix(".new")
}

/// Puts a file of mode 0600 in place, in one step: whoever looks sees the old content or the new. It goes
/// through a neighbour named `.NAME.new`, so that two must not replace one file at once.
///
/// # Errors
/// It cannot be written; then it is as before.
pub fn replace(kernel: &dyn Kernel, path: &Path, content: &[u8]) -> io::Result<()> {
    kernel.before(Change::Write, path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.new"));
    let written = write_new(&fresh, content).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        // The neighbour is never read, and the next replacement truncates it.
        drop(fs::remove_file(&fresh));
    }
    written
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let how = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW;
    open(path, how)?.write_all(content)
}

/// Takes a file away; that it was not there is fine.
///
/// # Errors
/// It is there and cannot be taken away.
pub fn unlink(kernel: &dyn Kernel, path: &Path) -> io::Result<()> {
    kernel.before(Change::Unlink, path)?;
    match fs::remove_file(path) {
        Err(error) if !is_absent(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Reads a file of the kernel's, whose content is a short line. None where it cannot be read, or is no text.
#[must_use]
pub fn read_short(path: &Path) -> Option<String> {
    let content = read_start(path).ok()?;
    let text = std::str::from_utf8(&content).ok()?;
    Some(text.trim_end().to_owned())
}

/// Reads the beginning of a file of the kernel's, enough for a line of many numbers: no more calls than it takes, as there
/// may be hundreds.
///
/// # Errors
/// It cannot be read.
pub fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    const MOST: usize = 1024;
    let file = open(path, OFlag::O_RDONLY)?;
    let mut content = vec![0; MOST];
    let length = read(&file, &mut content)?;
    content.truncate(length);
    Ok(content)
}

fn read(mut file: &File, content: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(content) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Tells the names in a folder, in no order and as far as it can be read. As [`names`], where there may be thousands and
/// none of them is to be kept.
pub fn each_name(folder: &Path, told: impl FnMut(&str)) {
    // What cannot be read has no names.
    drop(read_names(folder, told));
}

/// The names in a folder, sorted; none where there is no such folder. Names that are not UTF-8 are left out:
/// none of ours is.
///
/// # Errors
/// It cannot be read.
pub fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    match read_names(folder, |name| names.push(name.to_owned())) {
        Err(error) if !is_absent(&error) => return Err(error),
        _ => {}
    }
    names.sort_unstable();
    Ok(names)
}

/// Tells the names in a folder, with a room for them that costs nothing to be had: musl's own maps and unmaps one for each
/// folder.
fn read_names(folder: &Path, mut told: impl FnMut(&str)) -> io::Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    let folder = open(folder, flags)?;
    let mut room = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(folder, &mut room);
    while let Some(entry) = entries.next() {
        match entry?.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => told(name),
        }
    }
    Ok(())
}
