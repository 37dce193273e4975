//! A pool for programs. Its keys are documented and stable.

use serde::Serialize;

use crate::cmd::format::SCHEMA;
use crate::cmd::list::{ClaimLine, ProblemLine};
use crate::host::pools::usage::{MemberUsage, PlaceUsage, Usage, Used};
use crate::model::names::{MdevUuid, ParentName, PoolName, TypeName};
use crate::model::overview::LedgerAccess;
use crate::model::pool::Member;

#[derive(Serialize)]
pub(super) struct PoolLine<'a> {
    schema: u32,
    pool: &'a PoolName,
    file: &'a str,
    placement: Option<&'static str>,
    numa: Option<&'static str>,
    members: Vec<MemberLine<'a>>,
    others: Option<Vec<UsedLine<'a>>>,
    problems: Vec<ProblemLine<'a>>,
}

#[derive(Serialize)]
struct MemberLine<'a> {
    kind: &'static str,
    r#type: Option<&'a TypeName>,
    uuid: Option<MdevUuid>,
    parents: Option<Vec<String>>,
    limit: Option<u32>,
    replace: Option<bool>,
    places: Vec<PlaceLine<'a>>,
    free: u32,
    used: Option<Vec<UsedLine<'a>>>,
}

#[derive(Serialize)]
struct PlaceLine<'a> {
    parent: &'a ParentName,
    r#type: &'a TypeName,
    available: u32,
    cordoned: bool,
    node: Option<u32>,
}

#[derive(Serialize)]
struct UsedLine<'a> {
    uuid: MdevUuid,
    parent: &'a ParentName,
    r#type: &'a TypeName,
    claims: Vec<ClaimLine<'a>>,
}

impl<'a> PoolLine<'a> {
    pub(super) fn new(usage: &'a Usage, access: LedgerAccess) -> Self {
        let is_open = access == LedgerAccess::Open;
        PoolLine {
            schema: SCHEMA,
            pool: &usage.name,
            file: &usage.file,
            placement: usage.choice.map(|(placement, _)| placement.as_str()),
            numa: usage.choice.map(|(_, numa)| numa.as_str()),
            members: usage
                .members
                .iter()
                .map(|member| member_line(member, is_open))
                .collect(),
            others: is_open.then(|| usage.others.iter().map(used_line).collect()),
            problems: usage.problems.iter().map(ProblemLine::new).collect(),
        }
    }
}

fn member_line(usage: &MemberUsage, is_open: bool) -> MemberLine<'_> {
    let mut line = MemberLine {
        kind: "type",
        r#type: None,
        uuid: None,
        parents: None,
        limit: None,
        replace: None,
        places: usage.places.iter().map(place_line).collect(),
        free: usage.free,
        used: is_open.then(|| usage.used.iter().map(used_line).collect()),
    };
    match &usage.member {
        Member::Type(member) => {
            line.r#type = Some(&member.mdev_type);
            line.parents = Some(member.parents.iter().map(ToString::to_string).collect());
            line.limit = member.limit.map(std::num::NonZeroU32::get);
        }
        Member::Definition(uuid) => {
            line.kind = "definition";
            line.uuid = Some(*uuid);
        }
        Member::Device { uuid, replace } => {
            line.kind = "device";
            line.uuid = Some(*uuid);
            line.replace = Some(*replace);
        }
    }
    line
}

fn place_line(place: &PlaceUsage) -> PlaceLine<'_> {
    PlaceLine {
        parent: &place.parent,
        r#type: &place.mdev_type,
        available: place.available,
        cordoned: place.is_cordoned,
        node: place.node,
    }
}

fn used_line(used: &Used) -> UsedLine<'_> {
    UsedLine {
        uuid: used.uuid,
        parent: &used.parent,
        r#type: &used.mdev_type,
        claims: used.holders.iter().map(ClaimLine::new).collect(),
    }
}
