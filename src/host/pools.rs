//! The pools on disk: `/etc/automdev/pools.d/NAME.toml`.

pub mod pick;
pub mod swap;
pub mod usage;

use super::files;
use super::machine;
use super::root::Root;
use super::sysfs;
use super::trust;
use crate::model::fault::Fault;
use crate::model::names::PoolName;
pub use crate::model::pool::{FOLDER, file};
use crate::model::pool::{Glob, Pool, PoolError};

/// What a pool's file ends in.
const END: &str = ".toml";

/// Larger than any pool.
const MOST_BYTES: usize = 1 << 20;

/// A pool. Reads no other one's file.
///
/// # Errors
/// There is none, or its file cannot be used.
pub fn load(root: &Root, name: &PoolName) -> Result<Pool, PoolError> {
    let file = file(name);
    let path = root.path(&file);
    let content = match files::read_bounded(&path, MOST_BYTES) {
        Ok(None) => return Err(PoolError::Absent),
        Ok(Some(content)) => trust::check(&path, 2).map(|()| content),
        Err(error) => Err(error),
    };
    let content = match content {
        Ok(content) => content,
        Err(error) => {
            let why = error.to_string();
            return Err(PoolError::Unreadable { file, why });
        }
    };
    let text = match String::from_utf8(content) {
        Ok(text) => text,
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let fault = Fault::at(&text, good, "the file is not UTF-8");
            return Err(PoolError::Wrong { file, fault });
        }
    };
    Pool::parse(name.clone(), &text).map_err(|fault| PoolError::Wrong { file, fault })
}

/// Which of the settings' patterns mean none of the host's parents, and where they stand.
#[must_use]
pub fn meaning_nothing(root: &Root, cordon: &[Glob]) -> Vec<String> {
    if cordon.is_empty() {
        return Vec::new();
    }
    let parents = sysfs::parents(root);
    cordon
        .iter()
        .filter(|glob| !parents.iter().any(|parent| glob.matches(parent.as_str())))
        .map(|glob| glob.means_nothing(machine::SETTINGS))
        .collect()
}

/// What there is in the folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The names of the pools, sorted.
    pub names: Vec<PoolName>,
    /// What is no pool's file, and why not.
    pub strange: Vec<(String, String)>,
}

/// All pools, good and broken. Hidden files are nobody's.
#[must_use]
pub fn list(root: &Root) -> Listing {
    let mut listing = Listing::default();
    let names = match files::names(&root.path(FOLDER)) {
        Ok(names) => names,
        Err(error) => {
            listing.strange.push((FOLDER.to_owned(), error.to_string()));
            return listing;
        }
    };
    for name in names.iter().filter(|name| !name.starts_with('.')) {
        let path = format!("{FOLDER}/{name}");
        match name.strip_suffix(END).map(str::parse) {
            Some(Ok(name)) => listing.names.push(name),
            Some(Err(error)) => listing.strange.push((path, error.to_string())),
            None => {
                let why = format!("its name does not end in {END}; it is no pool");
                listing.strange.push((path, why));
            }
        }
    }
    listing.names.sort();
    listing
}
