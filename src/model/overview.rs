//! Definitions and devices side by side: what is defined, what is there, who made it, who claims it, and what is
//! wrong about it.

use super::claim::{Holder, Record, State};
use super::inventory::{Active, Defined, Inventory, ParentState};
use super::names::{MdevUuid, ParentName, TypeName};
use super::nearest::nearest;
use super::plan;
use super::refusal::Refusal;

/// One device under one parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The device.
    pub uuid: MdevUuid,
    /// Where it is, or is defined.
    pub parent: ParentName,
    /// What it is, or else is to be.
    pub mdev_type: Option<TypeName>,
    /// Its definition.
    pub defined: Option<Defined>,
    /// The device.
    pub present: Option<Present>,
    /// Who claims it; nobody where it is elsewhere.
    pub holders: Vec<Holder>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// A device that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// How the guest sees it; unknown for one on its way out.
    pub device_api: Option<String>,
    /// Who made it; unknown where the ledger cannot be read.
    pub maker: Option<Maker>,
}

/// Who made a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Maker {
    /// automdev, which will remove it.
    Automdev,
    /// Somebody else.
    Other,
}

impl Maker {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Maker::Automdev => "automdev",
            Maker::Other => "other",
        }
    }
}

/// Something wrong about a device or its definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A stable word; where a start would be refused for it, the refusal's.
    pub code: &'static str,
    /// For people, on one line.
    pub text: String,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Problem {
            code: refusal.code(),
            text: refusal.to_string(),
        }
    }
}

/// Whether the ledger can be read, which only root may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LedgerAccess {
    /// Nothing is known of who made or claims a device.
    Closed,
    /// It can.
    Open,
}

/// A folder of a device below a parent: its type, unless it is on its way out.
pub type Place = (MdevUuid, ParentName, Option<TypeName>);

/// The rows of these definitions and these devices, by parent and UUID.
pub fn rows(
    definitions: Vec<(MdevUuid, Defined)>,
    devices: Vec<Place>,
    inventory: &dyn Inventory,
    access: LedgerAccess,
) -> Vec<Row> {
    let mut keyed: Vec<(ParentName, MdevUuid, Option<Defined>, Option<Place>)> = Vec::new();
    for (uuid, defined) in definitions {
        keyed.push((defined.parent.clone(), uuid, Some(defined), None));
    }
    keyed.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
    let defined = keyed.len();
    for device in devices {
        let key = (&device.1, device.0);
        match keyed[..defined].binary_search_by(|one| (&one.0, one.1).cmp(&key)) {
            Ok(index) => keyed[index].3 = Some(device),
            Err(_) => keyed.push((device.1.clone(), device.0, None, Some(device))),
        }
    }
    keyed.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
    let viewer = Viewer { inventory, access };
    let rows = keyed.into_iter();
    rows.map(|(parent, uuid, defined, device)| viewer.row(parent, uuid, defined, device.as_ref()))
        .collect()
}

struct Viewer<'a> {
    inventory: &'a dyn Inventory,
    access: LedgerAccess,
}

impl Viewer<'_> {
    fn row(
        &self,
        parent: ParentName,
        uuid: MdevUuid,
        defined: Option<Defined>,
        device: Option<&Place>,
    ) -> Row {
        let defined_type = defined
            .as_ref()
            .and_then(|one| Some(one.definition.as_ref().ok()?.mdev_type.clone()));
        let mut row = Row {
            uuid,
            parent,
            mdev_type: device
                .and_then(|(.., mdev_type)| mdev_type.clone())
                .or(defined_type),
            defined,
            present: None,
            holders: Vec::new(),
            problems: Vec::new(),
        };
        if let Some(defined) = row.defined.clone() {
            row.problems.extend(self.wrong_with_definition(&defined));
        }
        if device.is_some() {
            self.fill_in_device(&mut row);
        }
        row
    }

    /// Why nothing could be made from a definition, whatever else the host is doing.
    fn wrong_with_definition(&self, defined: &Defined) -> Option<Problem> {
        let parent = defined.parent.clone();
        let definition = match &defined.definition {
            Ok(definition) => definition,
            Err(error) => {
                return Some(Problem {
                    code: "definition-broken",
                    text: format!("{} is broken: {error}", defined.file),
                });
            }
        };
        let refusal = match self.inventory.parent(&parent) {
            ParentState::Absent => Refusal::ParentAbsent {
                nearest: nearest(&parent, self.inventory.all_parents()),
                parent,
            },
            ParentState::NotMdev => Refusal::NotMdev { parent },
            ParentState::NvidiaVfio => Refusal::NvidiaVfio { parent },
            ParentState::There => {
                let offered = self.inventory.offered(&parent);
                if offered.contains(&definition.mdev_type) {
                    return None;
                }
                Refusal::TypeUnknown {
                    mdev_type: definition.mdev_type.clone(),
                    offered,
                    parent,
                }
            }
        };
        Some(refusal.into())
    }

    fn fill_in_device(&self, row: &mut Row) {
        let active = self.inventory.active(row.uuid);
        let active = active.filter(|active| active.parent == row.parent);
        let record = match self.access {
            LedgerAccess::Open => self.inventory.record(row.uuid),
            LedgerAccess::Closed => None,
        };
        let record = record.filter(|record| record.parent == row.parent);
        if self.access == LedgerAccess::Open {
            row.holders = self.inventory.holders(row.uuid);
        }
        let ours = record.filter(|record| match &active {
            Some(active) => plan::is_ours(record, active),
            None => record.inode.is_some(),
        });
        row.present = Some(Present {
            device_api: active.as_ref().map(|active| active.device_api.clone()),
            maker: match (self.access, &ours) {
                (LedgerAccess::Closed, _) => None,
                (LedgerAccess::Open, Some(_)) => Some(Maker::Automdev),
                (LedgerAccess::Open, None) => Some(Maker::Other),
            },
        });
        let Some(active) = active else {
            row.problems.push(Problem {
                code: "removing",
                text: "it is on its way out: something holds it open".to_owned(),
            });
            return;
        };
        row.problems.extend(self.mismatch(row, &active));
        if let Some(record) = ours {
            row.problems.extend(left_over(&record, &row.holders));
        }
    }

    /// Whether a device is another one than its definitions say.
    fn mismatch(&self, row: &Row, active: &Active) -> Option<Problem> {
        let definitions = match &row.defined {
            Some(defined) => vec![defined.clone()],
            None => self.inventory.definitions(row.uuid),
        };
        let mut good = definitions
            .iter()
            .filter_map(|one| Some((&one.parent, &one.definition.as_ref().ok()?.mdev_type)));
        let (parent, mdev_type) = good.next()?;
        if (parent, mdev_type) == (&active.parent, &active.mdev_type) {
            return None;
        }
        let text = format!(
            "it is active as {} on {}, but defined as {mdev_type} on {parent}",
            active.mdev_type, active.parent
        );
        Some(Problem {
            code: "active-mismatch",
            text,
        })
    }
}

/// Whether a device of ours was left by somebody who died.
fn left_over(record: &Record, holders: &[Holder]) -> Option<Problem> {
    if holders.iter().any(|holder| !holder.life.is_over()) {
        return None;
    }
    let text = match record.state {
        State::Creating => "automdev was interrupted while it made it; run automdev reconcile",
        State::Ready => "automdev made it, and nobody uses it any more; run automdev reconcile",
        State::Removing => "automdev was interrupted while it removed it; run automdev reconcile",
    };
    Some(Problem {
        code: "left-over",
        text: text.to_owned(),
    })
}
