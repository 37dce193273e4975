//! All that touches the machine. Decides nothing that [`crate::model`] could.

pub mod clock;
pub mod kernel;
pub mod root;
