//! The domains that libvirt runs now, from its run-time files: `NAME.pid` and `NAME.xml` below `/run/libvirt/qemu`.
//! libvirt itself is never asked.

use std::path::Path;

use super::files;
use super::kernel::Kernel;
use super::life::{self, LIBVIRT_RUN};
use super::root::Root;
use crate::model::affinity::Affinity;
use crate::model::claim::ProcessId;
use crate::model::domain::{self, Domain};
use crate::model::names::{DomainUuid, MdevUuid, printable};

/// A domain whose QEMU runs.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: DomainUuid,
    /// Its QEMU.
    pub qemu: ProcessId,
    /// The mediated devices that libvirt has given it, and has not taken from it.
    pub devices: Vec<MdevUuid>,
    /// Where it runs.
    pub affinity: Affinity,
}

/// Why there is no such domain.
#[derive(Debug, thiserror::Error)]
pub enum NotRunning {
    /// No QEMU of that name or UUID runs.
    #[error(
        "no domain {} runs on this host; where it is only defined, virsh start makes its devices",
        printable(.0)
    )]
    Absent(String),
    /// What libvirt keeps of it cannot be read.
    #[error("cannot read {file}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why not.
        source: std::io::Error,
    },
    /// What libvirt keeps of it cannot be understood.
    #[error("{file}: {why}")]
    Wrong {
        /// The file.
        file: String,
        /// Why not.
        why: String,
    },
}

/// The running domain of that name, or of that UUID.
///
/// # Errors
/// See [`NotRunning`].
pub fn find(root: &Root, kernel: &dyn Kernel, wanted: &str) -> Result<Running, NotRunning> {
    let absent = || NotRunning::Absent(wanted.to_owned());
    if let Some(running) = of_name(root, kernel, wanted)? {
        return Ok(running);
    }
    let uuid: DomainUuid = wanted.parse().map_err(|_| absent())?;
    let names = files::names(&root.path(LIBVIRT_RUN)).unwrap_or_default();
    for name in names.iter().filter_map(|name| name.strip_suffix(".xml")) {
        // Another domain's file that cannot be read says nothing about this one.
        if let Ok(Some(running)) = of_name(root, kernel, name) {
            if running.uuid == uuid {
                return Ok(running);
            }
        }
    }
    Err(absent())
}

fn of_name(root: &Root, kernel: &dyn Kernel, name: &str) -> Result<Option<Running>, NotRunning> {
    if name.is_empty() || name.contains(['/', '\0']) {
        return Ok(None);
    }
    let path = Path::new(LIBVIRT_RUN).join(format!("{name}.xml"));
    let file = printable(&path.to_string_lossy()).to_string();
    let content = match files::read_bounded(&root.path(&path), domain::MOST_BYTES) {
        Ok(Some(content)) => content,
        Ok(None) => return Ok(None),
        Err(source) => return Err(NotRunning::Unreadable { file, source }),
    };
    let wrong = |why: String| NotRunning::Wrong {
        file: file.clone(),
        why,
    };
    let status = String::from_utf8_lossy(&content);
    let domain = domain::of_status(&status)
        .and_then(Domain::parse)
        .map_err(|faults| wrong(faults.first().map(ToString::to_string).unwrap_or_default()))?;
    let uuid = domain.uuid.ok_or_else(|| wrong("it has no <uuid>".to_owned()))?;
    let qemu = life::qemu_of(root, kernel, uuid, name);
    Ok(qemu.map(|qemu| Running {
        name: name.to_owned(),
        uuid,
        qemu,
        devices: domain
            .hostdevs
            .iter()
            .filter_map(|hostdev| hostdev.source.uuid())
            .collect(),
        affinity: domain.affinity,
    }))
}
