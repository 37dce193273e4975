//! All that touches the machine. Decides nothing that [`crate::model`] could.

pub mod callouts;
pub mod check;
pub mod clock;
pub mod create;
pub mod definitions;
pub mod files;
pub mod hook_link;
pub mod kernel;
pub mod ledger;
pub mod leftovers;
pub mod life;
pub mod log;
pub mod machine;
pub mod overview;
pub mod prepare;
pub mod processes;
pub mod programs;
pub mod release;
pub mod remove;
pub mod root;
pub mod share;
pub mod supervise;
pub mod survey;
pub mod sysfs;
pub mod sysfsdev;
pub mod types;
