//! The pipes of a program that we have started: written and read without ever waiting, so that neither it nor we can hang
//! on the other.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ChildStdin;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// Makes reads and writes return at once.
fn never_wait(pipe: BorrowedFd<'_>) -> io::Result<()> {
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

/// What goes to its standard input.
pub(super) struct Input<'a> {
    pipe: Option<ChildStdin>,
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(pipe: Option<ChildStdin>, text: &'a [u8]) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            never_wait(pipe.as_fd())?;
        }
        Ok(Input { pipe, rest: text })
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Writes what it takes now; closes the pipe behind the last of it.
    pub(super) fn write(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        while !self.rest.is_empty() {
            match pipe.write(self.rest) {
                Ok(written) => self.rest = &self.rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It does not want to read more, which is its right.
                Err(_) => break,
            }
        }
        self.pipe = None;
    }
}

trait Pipe: Read + AsFd {}

impl<T: Read + AsFd> Pipe for T {}

/// What it prints.
pub(super) struct Output {
    pipe: Option<Box<dyn Pipe>>,
    kept: Vec<u8>,
    most: usize,
    is_cut: bool,
}

impl Output {
    /// Keeps the first `most` bytes. What comes after them is read and thrown away.
    pub(super) fn new(pipe: Option<impl Read + AsFd + 'static>, most: usize) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            never_wait(pipe.as_fd())?;
        }
        Ok(Output {
            pipe: pipe.map(|pipe| Box::new(pipe) as Box<dyn Pipe>),
            kept: Vec::new(),
            most,
            is_cut: false,
        })
    }

    pub(super) fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(|pipe| pipe.as_fd())
    }

    /// Whether it was more than is kept.
    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// What is kept.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.kept
    }

    /// Reads what is there, but not for ever: a program may print faster than it is read.
    pub(super) fn read(&mut self) {
        const MOST_PARTS: u32 = 16;
        let mut part = [0; 4096];
        for _ in 0..MOST_PARTS {
            let Some(pipe) = &mut self.pipe else { return };
            match pipe.read(&mut part) {
                Ok(0) => self.pipe = None,
                Ok(length) => {
                    let room = self.most.saturating_sub(self.kept.len());
                    self.is_cut |= length > room;
                    self.kept.extend(&part[..length.min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.pipe = None,
            }
        }
    }
}
