//! Whatever a file of the ledger holds, it is read or refused, and what is read is written as the same again; and a
//! file's name is a claimant's or none.

use automdev::host::ledger::Swap;
use automdev::model::claim::{Claim, Claimant, Holdings, Record};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn check_file<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(bytes) else {
        return;
    };
    let text = serde_json::to_vec(&value).expect("it can be written down");
    let again: T = serde_json::from_slice(&text).expect("what is written can be read");
    assert_eq!(again, value);
}

pub(crate) fn check(bytes: &[u8]) {
    check_file::<Record>(bytes);
    check_file::<Claim>(bytes);
    check_file::<Holdings>(bytes);
    check_file::<Swap>(bytes);
    if let Ok(name) = std::str::from_utf8(bytes) {
        if let Some(claimant) = Claimant::of_file_name(name) {
            let shown = claimant.to_string();
            assert!(!shown.contains('/'));
            assert_eq!(Claimant::of_file_name(&shown), Some(claimant));
        }
    }
}
