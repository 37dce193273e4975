//! Many short lines of sysfs in one go: how they are asked for, how the worker reads them, and how it tells them.
//!
//! What it has read in a folder it writes into a pipe, and only at the end it says that it is through. So who asks is
//! not woken for each of many folders, and finds in the pipe how far it got where a driver does not answer. What one
//! folder alone has comes with the answer.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::write;

use super::serve::{close_all, read_once};
use super::worker::PAGE;
use super::{Line, Lines};

/// So many files are open at most, and closed by one call.
const MOST_OPEN: usize = 64;

/// Before each line that is told: an errno or 0, and the length.
const HEAD: usize = 3;

/// The request for as many of these folders as fit into so many bytes, and for how many: for each its length, the folder's
/// path, and the files' below it, a zero behind each.
pub(super) fn request_for(folders: &[Lines], most: usize) -> (Vec<u8>, usize) {
    let mut request = Vec::new();
    let mut asked = 0;
    for Lines { folder, names, file } in folders {
        let start = request.len();
        request.extend([0; 4]);
        request.extend(folder.as_os_str().as_bytes());
        request.push(0);
        for name in names {
            request.extend(name.as_bytes());
            request.push(b'/');
            request.extend(file.as_bytes());
            request.push(0);
        }
        if asked > 0 && request.len() > most {
            request.truncate(start);
            break;
        }
        let length = u32::try_from(request.len() - start - 4).unwrap_or(u32::MAX);
        request[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        asked += 1;
    }
    (request, asked)
}

/// Whether what is told of a folder fits into a page.
pub(super) fn fits_into_page(folder: &Lines) -> bool {
    folder.names.len() <= PAGE / (HEAD + Line::MOST)
}

/// Reads what is asked for, and tells it folder by folder. It ends where it cannot be told.
pub(super) fn answer(
    mut request: &[u8],
    mut tell: impl FnMut(&[u8]) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut lines = Vec::new();
    while let Some((length, rest)) = request.split_first_chunk() {
        let length = usize::try_from(u32::from_ne_bytes(*length)).unwrap_or(usize::MAX);
        let (paths, others) = rest.split_at(length.min(rest.len()));
        lines.clear();
        read_folder(paths, &mut lines);
        tell(&lines)?;
        request = others;
    }
    Ok(())
}

/// Tells it through a pipe. What is there of a folder that does not fit counts for nothing.
pub(super) fn tell(pipe: &OwnedFd, lines: &[u8]) -> Result<(), Errno> {
    if write(pipe, lines)? < lines.len() {
        return Err(Errno::EAGAIN);
    }
    Ok(())
}

/// Reads one line of each file of a folder.
fn read_folder(paths: &[u8], lines: &mut Vec<u8>) {
    let mut paths = paths.split_inclusive(|byte| *byte == 0);
    let mut next = || CStr::from_bytes_with_nul(paths.next()?).ok();
    let folder = next().unwrap_or_default();
    let folder = open(folder, OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty());
    let mut files = Vec::with_capacity(MOST_OPEN);
    while let Some(file) = next() {
        let mut line = [0; Line::MOST];
        let file = match &folder {
            Ok(folder) => openat(folder, file, OFlag::O_RDONLY, Mode::empty()),
            Err(errno) => Err(*errno),
        };
        let read = file.and_then(|file| {
            let read = read_once(&file, &mut line);
            files.push(file);
            read
        });
        let (errno, length) = match read {
            Ok(length) => (0, length),
            Err(errno) => (errno as i32, 0),
        };
        lines.extend(u16::try_from(errno).unwrap_or(u16::MAX).to_ne_bytes());
        lines.push(u8::try_from(length).unwrap_or(u8::MAX));
        lines.extend(&line[..length]);
        if files.len() == MOST_OPEN {
            close_all(&mut files);
        }
    }
    close_all(&mut files);
}

/// What was told about these folders, as far as it goes.
pub(super) fn parse<'a>(
    mut told: &'a [u8],
    folders: &'a [Lines],
) -> impl Iterator<Item = Vec<Result<Line, Errno>>> {
    folders.iter().map_while(move |folder| {
        let mut lines = Vec::with_capacity(folder.names.len());
        for _ in &folder.names {
            let ([low, high, length], rest) = told.split_first_chunk::<HEAD>()?;
            let (line, rest) = rest.split_at_checked(usize::from(*length))?;
            lines.push(match u16::from_ne_bytes([*low, *high]) {
                0 => Ok(Line::new(line)),
                errno => Err(Errno::from_raw(errno.into())),
            });
            told = rest;
        }
        Some(lines)
    })
}
