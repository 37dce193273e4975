//! All that touches the machine. Decides nothing that [`crate::model`] could.

pub mod root;
