//! When the last guest of a device ended that somebody else made, where its driver cleans up after each of them: of one of
//! ours, its record tells. `locks/guest-UUID` says it, and stays as the locks beside it do.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::fcntl::OFlag;

use super::Ledger;
use crate::host::files;
use crate::host::machine;
use crate::host::root::Root;
use crate::model::names::MdevUuid;

impl Ledger<'_> {
    /// Notes that the last guest of a device has just ended. That it cannot be noted keeps nobody.
    pub fn note_guests_end(&self, root: &Root, uuid: MdevUuid) {
        let how = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW;
        let text = format!("{}\n", time(root).as_millis());
        let noted = files::open(&self.lock_path(&name_of(uuid)), how)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        if let Err(error) = noted {
            log::debug!(uuid:%; "it is not noted that the last guest of {uuid} has ended: {error}");
        }
    }

    /// For how long a device has had no guest, where that was noted.
    #[must_use]
    pub fn since_last_guest(&self, root: &Root, uuid: MdevUuid) -> Option<Duration> {
        let then = files::read_short(&self.lock_path(&name_of(uuid)))?.parse().ok()?;
        time(root).checked_sub(Duration::from_millis(then))
    }
}

/// For how long the host has been up, which nobody sets; the clock where it does not tell.
fn time(root: &Root) -> Duration {
    machine::uptime(root).unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn name_of(uuid: MdevUuid) -> String {
    format!("guest-{uuid}")
}
