//! The domains that libvirt keeps: marks that were lost, devices that somebody else makes as well.

use std::io;
use std::path::Path;

use crate::host::root::Root;
use crate::host::{definitions, files, sysfs};
use crate::model::definition::Start;
use crate::model::domain::{self, Domain, Mark, Select, Source};
use crate::model::finding::{Area, Finding};
use crate::model::inventory::Defined;
use crate::model::names::{MdevUuid, printable};
use crate::model::plan;

const AREA: Area = Area::Domains;

/// Where libvirt keeps the domains of the system's QEMUs.
const FOLDER: &str = "/etc/libvirt/qemu";

/// Where mdevctl's package puts the rule that makes what is to be made with its parent.
const RULES: [&str; 2] = [
    "/usr/lib/udev/rules.d/60-mdevctl.rules",
    "/etc/udev/rules.d/60-mdevctl.rules",
];

pub(super) fn look(root: &Root, select: Select) -> Vec<Finding> {
    let names = match files::names(&root.path(FOLDER)) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => return vec![unreadable(FOLDER, &error)],
    };
    let mut found = Vec::new();
    let mut marked = 0_usize;
    let has_rule = RULES.iter().any(|rule| root.path(rule).exists());
    for name in names
        .iter()
        .filter(|name| Path::new(name).extension() == Some("xml".as_ref()))
    {
        let file = format!("{FOLDER}/{name}");
        let content = match files::read_bounded(&root.path(&file), domain::MOST_BYTES) {
            Ok(content) => content.unwrap_or_default(),
            Err(error) => {
                found.push(unreadable(&file, &error));
                continue;
            }
        };
        let parsed = domain::decode(content).map_err(|(_, fault)| vec![fault]);
        let domain = match parsed.and_then(|text| Domain::parse(&text)) {
            Ok(domain) => domain,
            Err(faults) => {
                let why = faults.first().map(ToString::to_string).unwrap_or_default();
                found.push(Finding::note(
                    AREA,
                    "unreadable",
                    format!("{}: {why}", printable(&file)),
                ));
                continue;
            }
        };
        let wanted = plan::wanted(&domain, select, |uuid| definitions::is_defined(root, uuid));
        marked += usize::from(!wanted.is_empty());
        for device in &wanted {
            if has_rule && is_made_at_boot(root, device.uuid) {
                found.push(made_at_boot(&domain, device.uuid));
            }
        }
        if wanted.is_empty() && domain.hostdevs.iter().all(|hostdev| hostdev.mark == Mark::Absent) {
            let devices = domain
                .hostdevs
                .iter()
                .filter_map(|hostdev| match &hostdev.source {
                    Source::Uuid(uuid) => Some(*uuid),
                    Source::Pool(_) | Source::PoolAs(..) => None,
                });
            let lost = devices.filter(|uuid| nobody_makes(root, *uuid));
            found.extend(lost.map(|uuid| mark_lost(&domain, uuid)));
        }
    }
    if found.is_empty() && marked > 0 {
        let text = match marked {
            1 => "1 domain with marked devices".to_owned(),
            _ => format!("{marked} domains with marked devices"),
        };
        found.push(Finding::good(AREA, "domains", text));
    }
    found
}

fn defined(root: &Root, uuid: MdevUuid) -> Vec<Defined> {
    definitions::of_device(root, uuid).unwrap_or_default()
}

fn is_made_at_boot(root: &Root, uuid: MdevUuid) -> bool {
    let is_auto = |defined: Defined| {
        defined
            .definition
            .is_ok_and(|definition| definition.start == Start::Auto)
    };
    defined(root, uuid).into_iter().any(is_auto)
}

/// Whether a device is defined here, is not there, and comes neither by itself.
fn nobody_makes(root: &Root, uuid: MdevUuid) -> bool {
    let is_there = sysfs::active(root, uuid).is_ok_and(|active| active.is_some());
    !is_there && !defined(root, uuid).is_empty() && !is_made_at_boot(root, uuid)
}

fn made_at_boot(domain: &Domain, uuid: MdevUuid) -> Finding {
    Finding::problem(
        AREA,
        "made-at-boot",
        format!(
            "{} marks {uuid}, and mdevctl makes it as well, as soon as its parent is there: it is then used and left standing",
            printable(&domain.name)
        ),
        format!("mdevctl modify --uuid {uuid} --manual"),
    )
}

fn mark_lost(domain: &Domain, uuid: MdevUuid) -> Finding {
    let name = printable(&domain.name);
    Finding::problem(
        AREA,
        "mark-missing",
        format!("{name} has {uuid}, which is defined here, and does not mark it: nobody makes it"),
        format!(
            "list it under <metadata> (virsh edit {name}), or write autocreate='yes' and pass the XML through automdev rewrite"
        ),
    )
}

fn unreadable(path: &str, error: &io::Error) -> Finding {
    Finding::note(
        AREA,
        "unreadable",
        format!("cannot read {}: {error}", printable(path)),
    )
}
