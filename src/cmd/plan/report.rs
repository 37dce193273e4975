//! A plan as it is told: device by device, in the domain's order, those that are not marked too.

use crate::model::claim::State;
use crate::model::definition::Attribute;
use crate::model::domain::{Domain, Hostdev, Mark, Model, Source};
use crate::model::names::{DomainUuid, MdevUuid, ParentName, TypeName};
use crate::model::plan::{Action, Adoption, Place, Plan, Startable, Wait};
use crate::model::pool::{FromPool, MemberKind};
use crate::model::refusal::Refusal;

/// What a start of a domain would do.
#[derive(Debug)]
pub(super) struct Report {
    /// What the XML came from.
    pub(super) file: String,
    pub(super) name: String,
    pub(super) uuid: Option<DomainUuid>,
    pub(super) startable: Startable,
    pub(super) devices: Vec<Device>,
    /// Devices that the metadata lists and the domain does not have.
    pub(super) stray: Vec<MdevUuid>,
}

/// The code of a device that is not ours to make, and is there.
const NOT_MARKED: &str = "not-marked";

/// That of one that is not ours to make, and is missing.
const NOT_THERE: &str = "not-there";

/// What a start would do about one device.
#[derive(Debug, Default)]
pub(super) struct Device {
    /// None for a device of a pool that has not been given one.
    pub(super) uuid: Option<MdevUuid>,
    /// `create`, `adopt`, `refuse` or `skip`.
    pub(super) action: &'static str,
    pub(super) parent: Option<ParentName>,
    pub(super) mdev_type: Option<TypeName>,
    pub(super) model: Option<Model>,
    pub(super) attributes: Option<Vec<Attribute>>,
    /// What says what the device is: its kind and its name.
    pub(super) source: Option<(&'static str, String)>,
    /// The stable word for the reason.
    pub(super) code: Option<&'static str>,
    pub(super) reason: Option<String>,
}

impl Report {
    /// `is_there` is asked about devices that are not marked.
    pub(super) fn new(file: &str, domain: &Domain, plan: &Plan, is_there: impl Fn(MdevUuid) -> bool) -> Self {
        let mut actions = plan.devices.iter();
        let mut next = actions.next();
        let mut devices = Vec::new();
        for hostdev in &domain.hostdevs {
            // The plan has the marked ones, in the same order.
            let device = match next {
                Some((wanted, action)) if hostdev.source.uuid() == Some(wanted.uuid) => {
                    next = actions.next();
                    of_action(wanted.uuid, action)
                }
                _ => unplanned(hostdev, &is_there),
            };
            devices.push(Device {
                uuid: hostdev.source.uuid(),
                model: Some(hostdev.model),
                ..device
            });
        }
        // libvirt itself refuses a start for a device that is not there, whoever was to make it.
        let fails = |device: &Device| device.action == "refuse" || device.code == Some(NOT_THERE);
        let startable = if devices.iter().any(fails) {
            Startable::No
        } else if plan.is_uncertain {
            Startable::Uncertain
        } else {
            Startable::Yes
        };
        Report {
            file: file.to_owned(),
            name: domain.name.clone(),
            uuid: domain.uuid,
            startable,
            devices,
            stray: domain.stray.clone(),
        }
    }

    /// Refuses a device of which something could not be read, as the hook would.
    pub(super) fn refuse(&mut self, uuid: MdevUuid, code: &'static str, reason: &str) {
        let devices = self.devices.iter_mut();
        for device in devices.filter(|device| device.uuid == Some(uuid) && device.code != Some(code)) {
            *device = Device {
                uuid: device.uuid,
                model: device.model,
                action: "refuse",
                code: Some(code),
                reason: Some(reason.to_owned()),
                ..Device::default()
            };
            self.startable = Startable::No;
        }
    }
}

fn unplanned(hostdev: &Hostdev, is_there: impl Fn(MdevUuid) -> bool) -> Device {
    match &hostdev.source {
        Source::Pool(pool) if hostdev.mark == Mark::Yes => {
            let pool = pool.clone();
            refused(&Refusal::NoUuid { pool }, None)
        }
        source => {
            let is_there = source.uuid().is_some_and(is_there);
            let (code, reason) = if is_there {
                (
                    NOT_MARKED,
                    "the domain does not mark it; it is there already".to_owned(),
                )
            } else {
                (NOT_THERE, not_there(source.uuid()))
            };
            Device {
                action: "skip",
                code: Some(code),
                reason: Some(reason),
                ..Device::default()
            }
        }
    }
}

/// Why a device that is nobody's of ours keeps the domain from starting.
fn not_there(uuid: Option<MdevUuid>) -> String {
    let uuid = uuid.map_or_else(|| "UUID".to_owned(), |uuid| uuid.to_string());
    format!(
        "it is not there, and the domain does not mark it, so that automdev will not make it; mark it (autocreate='yes', or its UUID in the metadata), or make it beforehand (mdevctl start --uuid {uuid})"
    )
}

fn of_action(uuid: MdevUuid, action: &Action) -> Device {
    match action {
        Action::Create(place) => created(uuid, place, None),
        Action::Remake(old, place) => created(
            uuid,
            place,
            Some(if old.state == State::Ready && old.goes_by_itself() {
                "its driver may still be cleaning up after its last guest; it is removed first"
            } else {
                "what an interrupted start left of it is removed first"
            }),
        ),
        Action::Keep(active) => Device {
            reason: Some("automdev made it before".to_owned()),
            ..adopted(uuid, &active.parent, &active.mdev_type)
        },
        Action::Adopt(active, adoption) => Device {
            reason: Some(match adoption {
                Adoption::AsDefined => "it is active already, as defined, and is left standing".to_owned(),
                Adoption::Undefined => {
                    "it is active already and is left standing; this host has no definition of it, so that it could not be made again".to_owned()
                }
            }),
            ..adopted(uuid, &active.parent, &active.mdev_type)
        },
        Action::Refuse(refusal, place) => refused(refusal, place.as_ref()),
        // A dry run is past all waiting.
        Action::Wait(Wait::Claim(_, name)) => refused(&Refusal::Starting { name: name.clone() }, None),
        Action::Wait(Wait::Creation(parent)) => {
            let parent = parent.clone();
            refused(&Refusal::Creating { parent }, None)
        }
        Action::Wait(Wait::Room(place)) => {
            let (parent, mdev_type) = (place.parent.clone(), place.mdev_type.clone());
            let taken = Vec::new();
            refused(&Refusal::NoInstance { parent, mdev_type, taken }, Some(place))
        }
        Action::Wait(Wait::Removal(parent)) => {
            refused(&Refusal::Removing { parent: parent.clone(), holders: Vec::new() }, None)
        }
        Action::Wait(Wait::Users) => refused(&Refusal::InUse { users: Vec::new() }, None),
        Action::Wait(Wait::Late(places)) => late(places),
        Action::Wait(Wait::LateMembers(_) | Wait::Others(_) | Wait::Busy(_)) => late(&[]),
        Action::HandOut(device, active) => adopted(*device, &active.parent, &active.mdev_type),
    }
}

fn late(places: &[(ParentName, TypeName)]) -> Device {
    let Some((parent, _)) = places.first() else {
        return refused(&Refusal::NoDefinition { nearest: Vec::new() }, None);
    };
    let parent = parent.clone();
    let nearest = Vec::new();
    refused(&Refusal::ParentAbsent { parent, nearest }, None)
}

fn created(uuid: MdevUuid, place: &Place, reason: Option<&str>) -> Device {
    let Place {
        parent,
        mdev_type,
        attributes,
        pool,
        ..
    } = place.clone();
    let source = match &pool {
        Some(from) => ("pool", from.name.to_string()),
        None => (
            "definition",
            format!("{}/{parent}/{uuid}", crate::host::definitions::STORE),
        ),
    };
    let reason = reason
        .map(str::to_owned)
        .or_else(|| pool.map(|from| of_pool(&from)));
    Device {
        action: "create",
        parent: Some(parent),
        mdev_type: Some(mdev_type),
        attributes: Some(attributes),
        source: Some(source),
        reason,
        ..Device::default()
    }
}

/// A pool's place is only the one that would be taken now.
fn of_pool(from: &FromPool) -> String {
    let name = &from.name;
    match from.member {
        MemberKind::Type => format!("a place of pool {name} now; another start may take it first"),
        MemberKind::Definition(uuid) => {
            format!("a place of pool {name} now, made as {uuid} is defined; another start may take it first")
        }
        MemberKind::Device(uuid) => format!(
            "a place of pool {name} now: {uuid} makes way and is put back afterwards; another start may take it first"
        ),
    }
}

fn adopted(uuid: MdevUuid, parent: &ParentName, mdev_type: &TypeName) -> Device {
    Device {
        action: "adopt",
        parent: Some(parent.clone()),
        mdev_type: Some(mdev_type.clone()),
        source: Some(("active", format!("{}/{uuid}", crate::host::sysfs::DEVICES))),
        ..Device::default()
    }
}

fn refused(refusal: &Refusal, place: Option<&Place>) -> Device {
    Device {
        action: "refuse",
        parent: place.map(|place| place.parent.clone()),
        mdev_type: place.map(|place| place.mdev_type.clone()),
        code: Some(refusal.code()),
        reason: Some(refusal.to_string()),
        ..Device::default()
    }
}
