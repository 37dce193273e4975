//! The pools of a host, member by member: what is free, what is used, by whom, and what is wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::clock::Deadline;
use super::super::kernel::Kernel;
use super::super::ledger::{self, Ledger};
use super::super::root::Root;
use super::super::survey::Survey;
use super::super::{definitions, numa, sysfs};
use super::{file, load};
use crate::model::claim::{Holder, Record};
use crate::model::inventory::{Inventory as _, MadeWay};
use crate::model::names::{MdevUuid, ParentName, PoolName, TypeName};
use crate::model::overview::{LedgerAccess, Problem};
use crate::model::pool::{Glob, Member, MemberKind, Numa, Placement, Pool, PoolError, TypeMember};
use crate::model::refusal::Refusal;

/// For so long one parent's driver is asked.
const PATIENCE: Duration = Duration::from_secs(10);

/// A pool, and what is going on in it.
#[derive(Debug)]
pub struct Usage {
    /// Its name.
    pub name: PoolName,
    /// Its file.
    pub file: String,
    /// How it chooses; nothing where the file is broken.
    pub choice: Option<(Placement, Numa)>,
    /// Its members, in the file's order.
    pub members: Vec<MemberUsage>,
    /// Devices of the pool that no member means any more.
    pub others: Vec<Used>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// A member, and what is going on with it.
#[derive(Debug)]
pub struct MemberUsage {
    /// What the file says.
    pub member: Member,
    /// Where devices could be made, or are handed out.
    pub places: Vec<PlaceUsage>,
    /// How many more can be had, as far as the drivers tell.
    pub free: u32,
    /// The devices that domains have.
    pub used: Vec<Used>,
}

/// A place of a member.
#[derive(Debug)]
pub struct PlaceUsage {
    /// Where.
    pub parent: ParentName,
    /// As what.
    pub mdev_type: TypeName,
    /// How many more the driver makes there.
    pub available: u32,
    /// Whether nothing new is made there.
    pub is_cordoned: bool,
    /// Its NUMA node.
    pub node: Option<u32>,
}

/// A device that a domain has.
#[derive(Debug, Clone)]
pub struct Used {
    /// Which.
    pub uuid: MdevUuid,
    /// Where.
    pub parent: ParentName,
    /// What.
    pub mdev_type: TypeName,
    /// Who has it.
    pub holders: Vec<Holder>,
}

/// Looks at pools.
pub struct Viewer<'a> {
    root: &'a Root,
    kernel: &'a dyn Kernel,
    ledger: Ledger<'a>,
    cordon: &'a [Glob],
    /// What was made for pools.
    records: Vec<Record>,
    /// Whether that can be told.
    pub access: LedgerAccess,
}

impl<'a> Viewer<'a> {
    /// Looks at a host on which nothing new is to be made on these parents.
    #[must_use]
    pub fn new(root: &'a Root, kernel: &'a dyn Kernel, cordon: &'a [Glob]) -> Self {
        let ledger = Ledger::look(root, kernel);
        let is_closed = std::fs::read_dir(root.path(ledger::FOLDER))
            .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
        let records = ledger.recorded().into_iter();
        let records = records
            .filter_map(|uuid| ledger.record(uuid).ok().flatten())
            .filter(|record| record.pool.is_some())
            .filter(|record| sysfs::inode_below(root, &record.parent, record.uuid).is_some())
            .collect();
        Viewer {
            root,
            kernel,
            cordon,
            records,
            access: if is_closed {
                LedgerAccess::Closed
            } else {
                LedgerAccess::Open
            },
            ledger,
        }
    }

    /// One pool.
    ///
    /// # Errors
    /// There is none of that name. One that is broken is told among its problems.
    pub fn pool(&self, name: &PoolName) -> Result<Usage, PoolError> {
        let mut usage = Usage {
            name: name.clone(),
            file: file(name),
            choice: None,
            members: Vec::new(),
            others: Vec::new(),
            problems: Vec::new(),
        };
        let pool = match load(self.root, name) {
            Ok(pool) => pool,
            Err(PoolError::Absent) => return Err(PoolError::Absent),
            Err(error) => {
                let why = error.to_string();
                usage.problems.push(Refusal::PoolBroken { why }.into());
                usage.others = self.of_pool(name).map(|record| self.used(record)).collect();
                return Ok(usage);
            }
        };
        usage.choice = Some((pool.placement, pool.numa));
        let mut seen = Vec::new();
        for member in &pool.members {
            let usage_of = self.member(&pool, member, &mut usage.problems);
            seen.extend(usage_of.used.iter().map(|used| used.uuid));
            usage.members.push(usage_of);
        }
        let others = self.of_pool(name).filter(|record| !seen.contains(&record.uuid));
        usage.others = others.map(|record| self.used(record)).collect();
        Ok(usage)
    }

    fn of_pool(&self, name: &PoolName) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| {
            let from = record.pool.as_ref();
            from.is_some_and(|from| from.name == *name)
        })
    }

    fn survey(&self) -> Survey<'_> {
        Survey::new(self.root, &self.ledger, None)
    }

    fn used(&self, record: &Record) -> Used {
        Used {
            uuid: record.uuid,
            parent: record.parent.clone(),
            mdev_type: record.mdev_type.clone(),
            holders: self.survey().holders(record.uuid),
        }
    }

    fn member(&self, pool: &Pool, member: &Member, problems: &mut Vec<Problem>) -> MemberUsage {
        match member {
            Member::Type(of) => self.type_member(pool, member, of, problems),
            Member::Definition(uuid) => self.definition(member, *uuid, problems),
            Member::Device { uuid, .. } => self.device(member, *uuid, problems),
        }
    }

    fn place(&self, parent: &ParentName, mdev_type: &TypeName) -> Option<PlaceUsage> {
        Some(PlaceUsage {
            available: self.available(parent, mdev_type)?,
            is_cordoned: self.cordon.iter().any(|glob| glob.matches(parent.as_str())),
            node: numa::of_parent(self.root, parent),
            parent: parent.clone(),
            mdev_type: mdev_type.clone(),
        })
    }

    fn type_member(
        &self,
        pool: &Pool,
        member: &Member,
        of: &TypeMember,
        problems: &mut Vec<Problem>,
    ) -> MemberUsage {
        let parents = sysfs::parents(self.root);
        let meant = parents.iter().filter(|parent| of.rank(parent).is_some());
        let meant: Vec<&ParentName> = meant.collect();
        for glob in &of.parents {
            if !parents.iter().any(|parent| glob.matches(parent.as_str())) {
                problems.push(Problem {
                    code: "parent-absent",
                    text: glob.means_nothing(&file(&pool.name)),
                });
            }
        }
        let mut places: Vec<PlaceUsage> = meant
            .iter()
            .filter_map(|parent| self.place(parent, &of.mdev_type))
            .collect();
        places.sort_by_key(|place| of.rank(&place.parent));
        // Where its patterns mean none, that was said.
        if places.is_empty() && (of.parents.is_empty() || !meant.is_empty()) {
            problems.push(Problem {
                code: "type-unknown",
                text: format!("no parent offers it: {member}"),
            });
        }
        let used: Vec<Used> = self
            .of_pool(&pool.name)
            .filter(|record| {
                let kind = record.pool.as_ref().map(|from| from.member);
                kind == Some(MemberKind::Type)
                    && record.mdev_type == of.mdev_type
                    && of.rank(&record.parent).is_some()
            })
            .map(|record| self.used(record))
            .collect();
        let mut free = self.free(&places, &of.mdev_type);
        if let Some(limit) = of.limit {
            let taken = u32::try_from(used.len()).unwrap_or(u32::MAX);
            free = free.min(limit.get().saturating_sub(taken));
        }
        MemberUsage {
            member: member.clone(),
            places,
            free,
            used,
        }
    }

    /// How many more of a type a parent can make: none, where its driver does not say.
    fn available(&self, parent: &ParentName, mdev_type: &TypeName) -> Option<u32> {
        let deadline = Deadline::after(PATIENCE);
        let asked = [(parent, &[mdev_type][..])];
        let available = sysfs::available(self.root, self.kernel, &asked, PATIENCE, deadline).pop();
        available.map_or(Some(0), |answer| {
            answer.map_or(Some(0), |counts| counts.first().copied().flatten())
        })
    }

    /// How many more can be made. The functions of one GPU may all tell of its last place.
    fn free(&self, places: &[PlaceUsage], mdev_type: &TypeName) -> u32 {
        let mut gpus: BTreeMap<String, (u32, Option<u32>)> = BTreeMap::new();
        for place in places.iter().filter(|place| !place.is_cordoned) {
            let gpu = sysfs::gpu(self.root, &place.parent);
            let is_part = gpu != place.parent.as_str();
            let (left, bound) = gpus.entry(gpu.clone()).or_default();
            *left = left.saturating_add(place.available);
            if is_part && bound.is_none() {
                let it = (&place.parent, mdev_type);
                let offer = sysfs::offer(self.root, self.kernel, it, Deadline::after(PATIENCE));
                let most = offer.ok().flatten().and_then(|offer| offer.most);
                *bound = most.map(|most| most.saturating_sub(self.on_gpu(&gpu)));
            }
        }
        let left = gpus
            .into_values()
            .map(|(left, bound)| bound.map_or(left, |bound| left.min(bound)));
        left.fold(0, u32::saturating_add)
    }

    fn on_gpu(&self, gpu: &str) -> u32 {
        let parents = sysfs::parents(self.root).into_iter();
        let devices = parents
            .filter(|parent| sysfs::gpu(self.root, parent) == gpu)
            .map(|parent| sysfs::count_devices(self.root, &parent));
        devices.fold(0, u32::saturating_add)
    }

    fn definition(&self, member: &Member, uuid: MdevUuid, problems: &mut Vec<Problem>) -> MemberUsage {
        let defined = definitions::of_device(self.root, uuid).unwrap_or_default();
        if defined.is_empty() {
            problems.push(Problem {
                code: "no-definition",
                text: format!("{member}: this host has no such definition"),
            });
        }
        let mut places = Vec::new();
        for one in defined {
            match &one.definition {
                Ok(definition) => places.extend(self.place(&one.parent, &definition.mdev_type)),
                Err(error) => {
                    let refusal = Refusal::DefinitionBroken {
                        file: one.file.clone(),
                        why: error.to_string(),
                    };
                    problems.push(refusal.into());
                }
            }
        }
        let kind = MemberKind::Definition(uuid);
        let used: Vec<Used> = self
            .records
            .iter()
            .filter(|record| record.pool.as_ref().is_some_and(|from| from.member == kind))
            .map(|record| self.used(record))
            .collect();
        let is_there = sysfs::active(self.root, uuid).ok().flatten().is_some();
        let has_room = places
            .iter()
            .any(|place| place.available > 0 && !place.is_cordoned);
        MemberUsage {
            member: member.clone(),
            free: u32::from(used.is_empty() && !is_there && has_room),
            places,
            used,
        }
    }

    fn device(&self, member: &Member, uuid: MdevUuid, problems: &mut Vec<Problem>) -> MemberUsage {
        let mut usage = MemberUsage {
            member: member.clone(),
            places: Vec::new(),
            free: 0,
            used: Vec::new(),
        };
        if let Some(MadeWay { stand_in, .. }) = self.survey().made_way(uuid) {
            let record = self.records.iter().find(|record| record.uuid == stand_in);
            match record {
                Some(record) => usage.used.push(self.used(record)),
                None => problems.push(Problem {
                    code: "left-over",
                    text: format!("{member} has made way for {stand_in}, which is gone, and is not back; automdev reconcile puts it back"),
                }),
            }
            return usage;
        }
        let Ok(Some(active)) = sysfs::active(self.root, uuid) else {
            problems.push(Problem {
                code: "not-there",
                text: format!("{member} is not there; make it, with mdevctl start say"),
            });
            return usage;
        };
        let defined = definitions::of_device(self.root, uuid).unwrap_or_default();
        let is_it = defined.iter().any(|one| {
            let good = one.definition.as_ref();
            one.parent == active.parent && good.is_ok_and(|one| one.mdev_type == active.mdev_type)
        });
        if !is_it {
            problems.push(Problem {
                code: "not-there",
                text: format!(
                    "{member} is {} on {}, which no definition of it says",
                    active.mdev_type, active.parent
                ),
            });
        }
        usage.places.extend(self.place(&active.parent, &active.mdev_type));
        let holders: Vec<Holder> = self
            .survey()
            .holders(uuid)
            .into_iter()
            .filter(|holder| !holder.life.is_over())
            .collect();
        if holders.is_empty() && self.survey().users(uuid).is_empty() {
            usage.free = u32::from(is_it);
        } else {
            usage.used.push(Used {
                uuid,
                parent: active.parent,
                mdev_type: active.mdev_type,
                holders,
            });
        }
        usage
    }
}
