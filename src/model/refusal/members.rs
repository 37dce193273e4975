//! Why no member of a pool has a place, member by member, each in few words.

use std::fmt;

use super::{ForDomains, List, Refusal};
use crate::model::names::{ParentName, PoolName};
use crate::model::pool;

/// Why a member of a pool has no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRefusal {
    /// The member.
    pub member: String,
    /// Whether it means every parent that offers the type, so that those that do not are not worth a word.
    pub is_open: bool,
    /// Why not, for each parent.
    pub refusals: Vec<(Option<ParentName>, Refusal)>,
}

impl Refusal {
    /// Whether it is for want of room, or of a device, that somebody else may give back.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Refusal::NoInstance { .. }
            | Refusal::TooMany { .. }
            | Refusal::OtherType { .. }
            | Refusal::Kernel { .. }
            | Refusal::Limit { .. }
            | Refusal::NotThere
            | Refusal::Busy { .. } => true,
            Refusal::NoneOf { each } => each.iter().any(|(_, refusal)| refusal.may_pass()),
            _ => false,
        }
    }

    /// The reason in few words, where it is one of many.
    fn brief(&self) -> String {
        match self {
            Refusal::NoInstance { .. } => "full".to_owned(),
            Refusal::TooMany { .. } => "full with the domain's other devices".to_owned(),
            Refusal::OtherType { running, domains } => format!("running {running}{}", ForDomains(domains)),
            Refusal::OwnOtherType { other_type, .. } => format!("given to this domain's {other_type}"),
            Refusal::Kernel { why, .. } => format!("refused by the kernel: {why}"),
            Refusal::Far { node, .. } => format!("on NUMA node {node}"),
            Refusal::Cordoned { .. } => "cordoned".to_owned(),
            Refusal::TypeUnknown { .. } => "without this type".to_owned(),
            Refusal::NotMdev { .. } => "without a driver for mediated devices".to_owned(),
            Refusal::ModelMismatch { device_api, .. } => format!("{device_api}, not what the domain says"),
            Refusal::ParentAbsent { .. } => "not there".to_owned(),
            Refusal::Removing { .. } => "still removing this device".to_owned(),
            Refusal::NoDefinition { .. } => "not defined".to_owned(),
            Refusal::DefinitionBroken { file, .. } => format!("{file} is broken"),
            other => other.to_string(),
        }
    }
}

/// All members, one after the other.
pub(super) struct Members<'a>(pub(super) &'a [MemberRefusal]);

impl fmt::Display for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, one) in self.0.iter().enumerate() {
            write!(f, "{}{one}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// What to do where no member of a pool has a place: nobody need stop where nobody is in the way.
pub(super) struct WayOut<'a>(pub(super) &'a PoolName, pub(super) &'a [MemberRefusal]);

impl fmt::Display for WayOut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WayOut(pool, each) = self;
        let mut refusals = each.iter().flat_map(|one| &one.refusals);
        if refusals.any(|(_, refusal)| refusal.may_pass()) {
            write!(
                f,
                "stop a domain that uses the pool (automdev pools {pool} lists them), or give it another member"
            )
        } else {
            write!(f, "give it a member that can be had here ({})", pool::file(pool))
        }
    }
}

/// The member, and in parentheses each reason with the parents that it holds for.
impl fmt::Display for MemberRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reasons: Vec<(String, Vec<&ParentName>)> = Vec::new();
        for (parent, refusal) in &self.refusals {
            if self.is_open && matches!(refusal, Refusal::TypeUnknown { .. }) {
                continue;
            }
            let brief = refusal.brief();
            let at = reasons.iter().position(|(known, _)| *known == brief);
            let at = at.unwrap_or_else(|| {
                reasons.push((brief, Vec::new()));
                reasons.len() - 1
            });
            reasons[at].1.extend(parent);
        }
        write!(f, "{} (", self.member)?;
        if reasons.is_empty() {
            f.write_str("no parent offers it")?;
        }
        for (index, (reason, parents)) in reasons.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "; " })?;
            if parents.is_empty() {
                f.write_str(reason)?;
            } else {
                write!(f, "{} {reason}", List(parents))?;
            }
        }
        f.write_str(")")
    }
}
