//! The answer of a dry run.

use serde::Deserialize;

/// Whether a domain would start, as far as its mediated devices are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Startable {
    /// A device is refused, or is not there and nobody makes it.
    No,
    /// Several types share room that only the driver knows.
    Uncertain,
    /// Nothing is in the way.
    Yes,
}

impl Startable {
    /// As JSON has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Startable::No => "no",
            Startable::Uncertain => "uncertain",
            Startable::Yes => "yes",
        }
    }
}
