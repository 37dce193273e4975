//! How many files may be open: each host takes three pipes, and the usual limit of 1024 is there for programs that use
//! `select`, which this one does not.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// The limit raised to what the system allows, until this is dropped.
pub(super) struct Descriptors {
    /// As we were started: what holds without further ado, and the most.
    before: Option<(rlim_t, rlim_t)>,
}

impl Descriptors {
    /// Raises it; where that cannot be done, it is left as it is.
    pub(super) fn raise() -> Self {
        let before = getrlimit(Resource::RLIMIT_NOFILE).ok();
        let before = before.filter(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, *most, *most).is_ok());
        Descriptors { before }
    }

    /// Puts back what was there before; for a child of ours, too, which may know of `select` alone. It makes one system call.
    pub(super) fn put_back(before: Option<(rlim_t, rlim_t)>) -> Result<(), Errno> {
        before.map_or(Ok(()), |(usual, most)| {
            setrlimit(Resource::RLIMIT_NOFILE, usual, most)
        })
    }

    /// As we were started.
    pub(super) const fn before(&self) -> Option<(rlim_t, rlim_t)> {
        self.before
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        let _ = Self::put_back(self.before);
    }
}
