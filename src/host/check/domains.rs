//! The domains that libvirt keeps: marks that were lost, devices that somebody else makes as well.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::host::kernel::Kernel;
use crate::host::ledger::Ledger;
use crate::host::root::Root;
use crate::host::survey::Survey;
use crate::host::{definitions, files, pools, sysfs};
use crate::model::claim::Claimant;
use crate::model::definition::Start;
use crate::model::domain::{self, Domain, Mark, Source};
use crate::model::finding::{Area, Finding, Outcome};
use crate::model::inventory::Defined;
use crate::model::names::{MdevUuid, PoolName, printable};
use crate::model::nearest::nearest;
use crate::model::plan::{self, Patience, Wanted};
use crate::model::pool::Glob;
use crate::model::refusal::Refusal;
use crate::model::settings::Settings;

const AREA: Area = Area::Domains;

/// Where libvirt keeps the domains of the system's QEMUs.
const FOLDER: &str = "/etc/libvirt/qemu";

/// Where mdevctl's package puts the rule that makes what is to be made with its parent.
const RULES: [&str; 2] = [
    "/usr/lib/udev/rules.d/60-mdevctl.rules",
    "/etc/udev/rules.d/60-mdevctl.rules",
];

/// All domains that libvirt keeps; a finding in the place of each that cannot be read.
fn kept(root: &Root) -> impl Iterator<Item = Result<Domain, Finding>> {
    let (names, error) = match files::names(&root.path(FOLDER)) {
        Ok(names) => (names, None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), None),
        Err(error) => (Vec::new(), Some(Err(unreadable(FOLDER, &error)))),
    };
    let is_domain = |name: &String| Path::new(name).extension() == Some("xml".as_ref());
    let domains = names.into_iter().filter(is_domain).map(|name| {
        let file = format!("{FOLDER}/{name}");
        let content = files::read_bounded(&root.path(&file), domain::MOST_BYTES)
            .map_err(|error| unreadable(&file, &error))?;
        domain::decode(content.unwrap_or_default())
            .map_err(|(_, fault)| vec![fault])
            .and_then(|text| Domain::parse(&text))
            .map_err(|faults| {
                let why = faults.first().map(ToString::to_string).unwrap_or_default();
                Finding::note(AREA, "unreadable", format!("{}: {why}", printable(&file)))
            })
    });
    domains.chain(error)
}

/// The domains that libvirt keeps and that name a pool which this host does not have.
#[must_use]
pub fn without_pool(root: &Root) -> Vec<(String, Refusal)> {
    let known = pools::list(root).names;
    let of_domain = |domain: &Domain| -> Vec<(String, Refusal)> {
        let named = domain.hostdevs.iter().filter_map(|hostdev| hostdev.source.pool());
        let named: BTreeSet<&PoolName> = named.filter(|pool| !known.contains(pool)).collect();
        let named = named.into_iter();
        named
            .map(|pool| {
                let refusal = Refusal::NoPool {
                    pool: pool.clone(),
                    nearest: nearest(pool, known.clone()),
                };
                (printable(&domain.name).into_owned(), refusal)
            })
            .collect()
    };
    kept(root)
        .flatten()
        .flat_map(|domain| of_domain(&domain))
        .collect()
}

/// `earlier` is what was found on the host before: what it says is not told again for each domain.
pub(super) fn look(
    root: &Root,
    kernel: &dyn Kernel,
    settings: &Settings,
    earlier: &[Finding],
) -> Vec<Finding> {
    let select = settings.select;
    let ledger = Ledger::look(root, kernel);
    let wrong: Vec<&Finding> = earlier
        .iter()
        .filter(|one| one.result == Outcome::Problem)
        .collect();
    let is_told = |uuid: MdevUuid| {
        let uuid = uuid.to_string();
        wrong
            .iter()
            .any(|one| matches!(one.area, Area::Kernel | Area::Pools) || one.text.contains(&uuid))
    };
    let mut found = Vec::new();
    let mut marked = 0_usize;
    let has_rule = RULES.iter().any(|rule| root.path(rule).exists());
    for domain in kept(root) {
        let domain = match domain {
            Ok(domain) => domain,
            Err(finding) => {
                found.push(finding);
                continue;
            }
        };
        let wanted = plan::wanted(&domain, select, |uuid| definitions::is_defined(root, uuid));
        marked += usize::from(!wanted.is_empty());
        if let Some((uuid, refusal)) = refused(root, &ledger, &settings.cordon, &domain, &wanted) {
            if !is_told(uuid) {
                found.push(would_not_start(&domain, uuid, &refusal));
            }
        }
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
    for (name, refusal) in without_pool(root) {
        found.push(Finding::advised(
            AREA,
            refusal.code(),
            &format!("{name}: {refusal}"),
        ));
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

/// The first device that a start of the domain would be refused, leaving out a pool that is not there.
fn refused(
    root: &Root,
    ledger: &Ledger<'_>,
    cordon: &[Glob],
    domain: &Domain,
    wanted: &[Wanted],
) -> Option<(MdevUuid, Refusal)> {
    let survey =
        Survey::new(root, ledger, domain.uuid.map(Claimant::Domain)).placing(cordon, domain.affinity.clone());
    let plan = plan::plan(wanted, &survey, Patience::Exhausted);
    let (wanted, refusal, _) = plan.refusal()?;
    (!matches!(refusal, Refusal::NoPool { .. })).then(|| (wanted.uuid, refusal.clone()))
}

fn would_not_start(domain: &Domain, uuid: MdevUuid, refusal: &Refusal) -> Finding {
    let text = format!("{}: {uuid}: {refusal}", printable(&domain.name));
    if refusal.is_for_now() {
        return Finding::note(AREA, refusal.code(), text);
    }
    Finding::advised(AREA, refusal.code(), &text)
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
    let text = format!("cannot read {}: {error}", printable(path));
    super::unreadable(AREA, text, error)
}
