//! The folder below which every path of the machine lies.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Most paths get longer: room for a few names more.
const SPARE: usize = 96;

/// `/`, or the folder that `--root` names, for samples, tests and images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// Everything below `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Root(folder.into())
    }

    /// Where the machine's `path` lies.
    #[must_use]
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let mut below = path.as_ref().as_os_str().as_bytes();
        while let [b'/', rest @ ..] = below {
            below = rest;
        }
        let mut whole = PathBuf::with_capacity(self.0.as_os_str().len() + below.len() + SPARE);
        whole.push(&self.0);
        whole.push(OsStr::from_bytes(below));
        whole
    }

    /// Whether this is the machine itself.
    #[must_use]
    pub fn is_machine(&self) -> bool {
        self.0 == Path::new("/")
    }
}

impl Default for Root {
    fn default() -> Self {
        Root::new("/")
    }
}
