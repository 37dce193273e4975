//! The choice among most places, beside a program that opens, reads and closes the same files and does nothing else: what
//! the kernel takes for that.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::call::{Call, Case, Step};
use super::case::{LARGEST_CHOICE, LARGEST_HOST, TYPES};
use super::tree::Folder;

/// One of these cases once more, beside a `program` that only reads.
pub(crate) fn case(program: &Path, cases: &[Case], folder: &Folder) -> Result<Case> {
    let choice = cases.iter().find(|case| case.name == LARGEST_CHOICE);
    let choice = choice.with_context(|| format!("there is no case {LARGEST_CHOICE}"))?;
    let mut step = Step::new(program, &[&TYPES.to_string()]);
    for parent in fs::read_dir(folder.at(LARGEST_HOST).join("sys/class/mdev_bus"))? {
        let types = parent?.path().join("mdev_supported_types");
        step.arguments.push(types.into());
    }
    let bare = Call::in_turn("bare reads", vec![step]);
    Ok(Case::new(LARGEST_CHOICE, choice.own.clone(), bare))
}
