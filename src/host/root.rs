//! The folder below which every path of the machine lies.

use std::path::{Path, PathBuf};

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
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
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
