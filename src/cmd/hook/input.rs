//! The domain's XML on the hook's standard input.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::buffer::spare_capacity;

use crate::host::clock::Deadline;
use crate::model::domain::MOST_BYTES;
use crate::model::fault::Place;
use crate::model::names::Shown;

/// For so long nobody is asked how long it may take.
const SOON: Duration = Duration::from_secs(1);

/// Reads it, no more of it than a domain's can be. Where it does not come soon, `until` is asked how long it is waited
/// for.
pub(super) fn read(until: impl Fn() -> Deadline) -> anyhow::Result<String> {
    let mut deadline = Deadline::after(SOON);
    let mut is_asked = false;
    let input = io::stdin();
    // Larger than most; what does not fit has a room of its own, a page of which is there once something is read into it.
    let mut bytes = Vec::with_capacity(16 << 10);
    while bytes.len() <= MOST_BYTES {
        let left = PollTimeout::try_from(deadline.left()).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(input.as_fd(), PollFlags::POLLIN)], left) {
            Ok(0) if is_asked => bail!("nobody ends the domain's XML on standard input"),
            Ok(0) => {
                is_asked = true;
                deadline = until();
                continue;
            }
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno).context("cannot read standard input"),
        }
        if bytes.len() == bytes.capacity() {
            bytes.reserve(bytes.len().max(256 << 10));
        }
        match rustix::io::read(&input, spare_capacity(&mut bytes)) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno).context("cannot read standard input"),
        }
    }
    if bytes.len() > MOST_BYTES {
        bail!(
            "the domain's XML on standard input is larger than {} MiB",
            MOST_BYTES >> 20
        );
    }
    String::from_utf8(bytes).map_err(|error| not_text(&error))
}

fn not_text(error: &std::string::FromUtf8Error) -> anyhow::Error {
    let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
    let place = Place::of_offset(&good, good.len());
    let near: String = good
        .chars()
        .rev()
        .take(20)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    anyhow!("the domain's XML is not UTF-8 at {place}, after {}", Shown(&near))
}
