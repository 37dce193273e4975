//! What the ledger holds: a record for each device that automdev makes, a claim for each user of a device.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::definition::Attribute;
use super::names::{DomainUuid, MdevUuid, ParentName, TypeName};
use super::pool::FromPool;

/// The version of what is written into the ledger.
pub const SCHEMA: u32 = 1;

/// A process that no later one can be taken for: its number, and when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it started: field 22 of `/proc/PID/stat` (proc(5)), in clock ticks since the host's boot.
    pub start: u64,
}

/// Who uses a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claimant {
    /// A libvirt domain.
    Domain(DomainUuid),
    /// A process that `automdev run` started.
    Process(ProcessId),
}

impl Claimant {
    /// The claimant of a file of that name, where it is one's.
    #[must_use]
    pub fn of_file_name(name: &str) -> Option<Self> {
        if let Some(uuid) = name.strip_prefix("domain-") {
            let claimant = Claimant::Domain(uuid.parse().ok()?);
            return (claimant.to_string() == name).then_some(claimant);
        }
        let (pid, start) = name.strip_prefix("process-")?.split_once('-')?;
        Some(Claimant::Process(ProcessId {
            pid: pid.parse().ok()?,
            start: start.parse().ok()?,
        }))
    }
}

/// The name of the claimant's files in the ledger.
impl fmt::Display for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Claimant::Domain(uuid) => write!(f, "domain-{uuid}"),
            Claimant::Process(ProcessId { pid, start }) => write!(f, "process-{pid}-{start}"),
        }
    }
}

/// A claim: the claimant stands in the file's name, what is known about it in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The domain's name, or the program's.
    pub name: String,
    /// The boot in which it was made: `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
    /// When it was made, in seconds since 1970.
    pub time: u64,
    /// For how long the host had been up by then, in seconds, where it told: nobody sets that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<u64>,
    /// The libvirt daemon that asked for it, where there was one.
    pub daemon: Option<ProcessId>,
}

/// What is known about all that one claimant claims. Written before its claims and taken away after them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holdings {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The domain's name, or the program's.
    pub name: String,
    /// The devices that it may claim; what it does claim, the claims say.
    pub devices: Vec<MdevUuid>,
}

/// How far a device of ours is. [`crate::host::ledger`] draws who moves it, and what a crash leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// About to be made, or half made.
    Creating,
    /// Made, all attributes written.
    Ready,
    /// About to be removed, or on its way out.
    Removing,
}

/// What automdev knows about a device that it makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What is made; today only mediated devices.
    pub kind: Kind,
    /// The device.
    pub uuid: MdevUuid,
    /// Where it is made.
    pub parent: ParentName,
    /// What is made there.
    pub mdev_type: TypeName,
    /// What is written into it.
    pub attributes: Vec<Attribute>,
    /// How far it is.
    pub state: State,
    /// The inode of the device's folder, which differs at each creation; none before it has been seen.
    pub inode: Option<u64>,
    /// The boot in which it was made: `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
    /// The pool that it was taken from, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<FromPool>,
}

impl Record {
    /// Whether its driver cleans up by itself once its user has ended, which a removal would break: NVIDIA's does, whose
    /// types are named `nvidia-NUMBER`.
    #[must_use]
    pub fn goes_by_itself(&self) -> bool {
        goes_by_itself(&self.mdev_type)
    }
}

/// The same of any device of a type.
#[must_use]
pub fn goes_by_itself(mdev_type: &TypeName) -> bool {
    mdev_type.as_str().starts_with("nvidia-")
}

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A mediated device.
    Mdev,
}

/// Who else uses a device, and whether it still does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who it is.
    pub claimant: Claimant,
    /// The domain's name, or the program's.
    pub name: String,
    /// Whether it still uses the device.
    pub life: Life,
}

/// Whether a claimant still uses what it claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Life {
    /// Its process runs.
    Running,
    /// No process runs, but its libvirt daemon does, and the claim is so young that its process may be about to come.
    Starting,
    /// No process runs, but its libvirt daemon does: its `release` is still to come.
    Pending,
    /// The same, of a claim so old that its `release` may never come. One that starts gives it some time; for all
    /// others it is over.
    Ended,
    /// Nothing of it is left.
    Gone,
}

impl Life {
    /// Whether the claim counts no more.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Life::Ended | Life::Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an automdev that knew no pools has left in a ledger is read as ever.
    #[test]
    fn a_record_without_a_pool_is_read_and_written_as_before() {
        let text = r#"{"schema":1,"kind":"mdev","uuid":"c2177883-f1bb-47f0-914d-32a22e3a8804","parent":"mtty","mdev_type":"mtty-1","attributes":[],"state":"ready","inode":7,"boot":"b"}"#;
        let record: Record = serde_json::from_str(text).expect("a record");
        assert_eq!(record.pool, None);
        assert_eq!(serde_json::to_string(&record).expect("JSON"), text);
        let pool = r#"{"name":"p","member":{"device":"c2177883-f1bb-47f0-914d-32a22e3a8804"}}"#;
        let text = text.replace("\"b\"}", &format!("\"b\",\"pool\":{pool}}}"));
        let record: Record = serde_json::from_str(&text).expect("a record");
        assert_eq!(serde_json::to_string(&record).expect("JSON"), text);
    }

    /// The same of one that knew the clock only.
    #[test]
    fn a_claim_without_the_hosts_uptime_is_read_and_written_as_before() {
        let text = r#"{"schema":1,"name":"vm","boot":"b","time":7,"daemon":null}"#;
        let claim: Claim = serde_json::from_str(text).expect("a claim");
        assert_eq!((claim.time, claim.uptime), (7, None));
        assert_eq!(serde_json::to_string(&claim).expect("JSON"), text);
    }

    #[test]
    fn a_claimant_is_known_by_its_files_name() {
        for name in ["domain-c2177883-f1bb-47f0-914d-32a22e3a8804", "process-12-3456"] {
            assert_eq!(
                Claimant::of_file_name(name)
                    .map(|claimant| claimant.to_string())
                    .as_deref(),
                Some(name)
            );
        }
        for name in [
            "",
            "domain-",
            "domain-C2177883-F1BB-47F0-914D-32A22E3A8804",
            "process-1",
            "process-x-1",
            "x",
        ] {
            assert_eq!(Claimant::of_file_name(name), None, "{name}");
        }
    }
}
