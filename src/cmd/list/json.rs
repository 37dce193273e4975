//! A row for programs. Its keys are documented and stable.

use serde::Serialize;

use crate::cmd::format::SCHEMA;
use crate::model::claim::{Claimant, Holder, Life};
use crate::model::names::{DomainUuid, MdevUuid, ParentName, TypeName};
use crate::model::overview::{LedgerAccess, Problem, Row};

#[derive(Serialize)]
pub(in crate::cmd) struct RowLine<'a> {
    schema: u32,
    uuid: MdevUuid,
    parent: &'a ParentName,
    r#type: Option<&'a TypeName>,
    defined: Option<DefinedLine<'a>>,
    active: Option<ActiveLine<'a>>,
    claims: Option<Vec<ClaimLine<'a>>>,
    problems: Vec<ProblemLine<'a>>,
}

#[derive(Serialize)]
struct DefinedLine<'a> {
    file: &'a str,
    start: Option<&'static str>,
    r#type: Option<&'a TypeName>,
    attributes: Option<Vec<(&'a str, &'a str)>>,
}

#[derive(Serialize)]
struct ActiveLine<'a> {
    device_api: Option<&'a str>,
    made_by: Option<&'static str>,
}

#[derive(Serialize)]
pub(in crate::cmd) struct ClaimLine<'a> {
    name: &'a str,
    domain: Option<DomainUuid>,
    pid: Option<u32>,
    state: &'static str,
}

#[derive(Serialize)]
pub(in crate::cmd) struct ProblemLine<'a> {
    code: &'static str,
    text: &'a str,
}

impl<'a> RowLine<'a> {
    pub(in crate::cmd) fn new(row: &'a Row, access: LedgerAccess) -> Self {
        let defined = row.defined.as_ref().map(|defined| {
            let good = defined.definition.as_ref().ok();
            DefinedLine {
                file: &defined.file,
                start: good.map(|good| good.start.as_str()),
                r#type: good.map(|good| &good.mdev_type),
                attributes: good.map(|good| {
                    let pairs = good.attributes.iter();
                    pairs.map(|one| (one.path.as_str(), one.value.as_str())).collect()
                }),
            }
        });
        let active = row.present.as_ref().map(|present| ActiveLine {
            device_api: present.device_api.as_deref(),
            made_by: present.maker.map(crate::model::overview::Maker::as_str),
        });
        let claims = || row.holders.iter().map(ClaimLine::new).collect();
        RowLine {
            schema: SCHEMA,
            uuid: row.uuid,
            parent: &row.parent,
            r#type: row.mdev_type.as_ref(),
            defined,
            active,
            claims: (access == LedgerAccess::Open).then(claims),
            problems: row.problems.iter().map(ProblemLine::new).collect(),
        }
    }
}

impl<'a> ProblemLine<'a> {
    pub(in crate::cmd) fn new(problem: &'a Problem) -> Self {
        ProblemLine {
            code: problem.code,
            text: &problem.text,
        }
    }
}

impl<'a> ClaimLine<'a> {
    pub(in crate::cmd) fn new(holder: &'a Holder) -> Self {
        let (domain, pid) = match holder.claimant {
            Claimant::Domain(uuid) => (Some(uuid), None),
            Claimant::Process(process) => (None, Some(process.pid)),
        };
        ClaimLine {
            name: &holder.name,
            domain,
            pid,
            state: match holder.life {
                Life::Running => "running",
                Life::Starting | Life::Pending => "pending",
                Life::Ended | Life::Gone => "gone",
            },
        }
    }
}
