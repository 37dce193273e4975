//! Which of the devices on a command line automdev has to see to.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;

use anyhow::bail;

use crate::host::root::Root;
use crate::host::sysfsdev;
use crate::model::domain::{Domain, Mark, Model, Select};
use crate::model::names::{MdevUuid, ParentName, PoolName};
use crate::model::plan::{self, Origin, Wanted};
use crate::model::qemu::{CommandLine, Problem, Refused, Source};

/// A mediated device on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    uuid: MdevUuid,
    /// The parent below which alone QEMU looks for it.
    parent: Option<ParentName>,
    model: Model,
    mark: Mark,
    /// The pool that it is taken from, and its place among the devices of the command line. Its UUID is one that
    /// nobody has.
    pool: Option<(PoolName, usize)>,
}

impl Device {
    fn wanted(&self) -> Wanted {
        let origin = match (&self.pool, &self.parent) {
            (Some((pool, _)), _) => Origin::AnyOfPool(pool.clone()),
            (None, Some(parent)) => Origin::DefinitionUnder(parent.clone()),
            (None, None) => Origin::Definition,
        };
        Wanted {
            uuid: self.uuid,
            model: Some(self.model),
            origin,
        }
    }
}

/// The UUID for each pool on the command line, by its place among the devices. `actual` tells the device that each of
/// the wanted ones has become.
pub(super) fn chosen(devices: &[Device], actual: impl Fn(MdevUuid) -> MdevUuid) -> BTreeMap<usize, MdevUuid> {
    let of_pools = devices
        .iter()
        .filter_map(|device| Some((device.pool.as_ref()?.1, device.uuid)));
    of_pools.map(|(index, uuid)| (index, actual(uuid))).collect()
}

/// The mediated devices of a command line, each by its UUID; those of pools by a `spare` one.
pub(super) fn devices(
    root: &Root,
    line: &CommandLine,
    arguments: &[OsString],
    mut spare: impl FnMut() -> MdevUuid,
) -> anyhow::Result<Vec<Device>> {
    let mut devices = Vec::new();
    let mut firsts = HashMap::new();
    for (index, device) in line.devices.iter().enumerate() {
        let mut of_pool = None;
        let number = device.number;
        let text = arguments[number - 1].to_string_lossy().into_owned();
        let (uuid, parent) = match &device.source {
            Source::Mdev { uuid, parent } => (*uuid, parent.clone()),
            Source::Path(path) => match sysfsdev::resolve(root, path) {
                Some(found) => found,
                None if device.mark == Mark::Yes => {
                    bail!(
                        "QEMU's argument {number} has autocreate=on, but {} leads to no mediated device; write sysfsdev=/sys/bus/mdev/devices/UUID",
                        path.display()
                    );
                }
                // A whole PCI function, say.
                None => continue,
            },
            Source::Pool(pool) => {
                of_pool = Some((pool.clone(), index));
                (spare(), None)
            }
        };
        if let Some(first) = firsts.insert(uuid, number) {
            let problem = Problem::Twice { uuid, first };
            return Err(Refused {
                number,
                text,
                problem,
            }
            .into());
        }
        devices.push(Device {
            uuid,
            parent,
            model: device.model,
            mark: device.mark,
            pool: of_pool,
        });
    }
    Ok(devices)
}

/// All that the command line does not take out itself.
pub(super) fn by_marks(devices: &[Device]) -> Vec<Wanted> {
    let marked = devices.iter().filter(|device| device.mark != Mark::No);
    marked.map(Device::wanted).collect()
}

/// Those on the command line that are nobody's to make.
pub(super) fn besides(devices: &[Device], wanted: &[Wanted]) -> Vec<MdevUuid> {
    let all = devices.iter().map(|device| device.uuid);
    all.filter(|uuid| wanted.iter().all(|wanted| wanted.uuid != *uuid))
        .collect()
}

/// Those that a domain marks, in the command line's order. What the domain has and the command line does not is
/// of no use to this QEMU.
pub(super) fn by_domain(
    devices: &[Device],
    domain: &Domain,
    select: Select,
    is_defined: impl Fn(MdevUuid) -> bool,
) -> anyhow::Result<Vec<Wanted>> {
    if domain
        .hostdevs
        .iter()
        .any(|hostdev| hostdev.source.uuid().is_none())
    {
        bail!("a device of a pool has no UUID yet; run the domain's XML through automdev rewrite");
    }
    let marked = plan::wanted(domain, select, is_defined);
    for Wanted { uuid, .. } in &marked {
        if devices.iter().all(|device| device.uuid != *uuid) {
            log::warn!(uuid:%; "the domain marks {uuid}, which is not on QEMU's command line; ignored");
        }
    }
    let wanted = devices.iter().filter_map(|device| {
        // What the command line takes from a pool, the domain cannot know.
        if device.pool.is_some() {
            return Some(device.wanted());
        }
        let marked = marked.iter().find(|marked| marked.uuid == device.uuid)?;
        let wanted = device.wanted();
        Some(match &marked.origin {
            Origin::Pool(_) => Wanted {
                origin: marked.origin.clone(),
                ..wanted
            },
            _ => wanted,
        })
    });
    Ok(wanted.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
    const B: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

    fn device(uuid: &str, mark: Mark) -> Device {
        Device {
            uuid: uuid.parse().expect("a UUID"),
            parent: None,
            model: Model::VfioPci,
            mark,
            pool: None,
        }
    }

    fn uuids(wanted: &[Wanted]) -> Vec<String> {
        wanted.iter().map(|wanted| wanted.uuid.to_string()).collect()
    }

    #[test]
    fn every_device_is_wanted_but_those_taken_out() {
        let devices = [device(A, Mark::Absent), device(B, Mark::No)];
        assert_eq!(uuids(&by_marks(&devices)), [A]);
        let devices = [device(A, Mark::No), device(B, Mark::Yes)];
        assert_eq!(uuids(&by_marks(&devices)), [B]);
    }

    #[test]
    fn a_domain_decides_in_the_place_of_the_command_line() {
        let hostdev = |uuid: &str, mark: &str| {
            format!(
                "<hostdev mode='subsystem' type='mdev' model='vfio-pci'{mark}><source><address uuid='{uuid}'/></source></hostdev>"
            )
        };
        let yes = " autocreate='yes'";
        for (xml, devices, expected) in [
            (
                hostdev(A, yes),
                vec![device(A, Mark::Absent), device(B, Mark::Absent)],
                vec![A],
            ),
            (hostdev(A, yes), vec![device(A, Mark::No)], vec![A]),
            (hostdev(A, ""), vec![device(A, Mark::Yes)], vec![]),
            (
                hostdev(A, yes) + &hostdev(B, yes),
                vec![device(B, Mark::Absent)],
                vec![B],
            ),
            (
                hostdev(A, yes) + &hostdev(B, yes),
                vec![device(B, Mark::Absent), device(A, Mark::Absent)],
                vec![B, A],
            ),
        ] {
            let xml = format!("<domain><devices>{xml}</devices></domain>");
            let domain = Domain::parse(&xml).expect("a domain");
            let wanted = by_domain(&devices, &domain, Select::Marked, |_| false).expect(&xml);
            assert_eq!(uuids(&wanted), expected, "{xml}");
        }
    }
}
