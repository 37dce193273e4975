//! What becomes of the devices for which a place is to be found.

use super::choice::{Candidate, Choice, Way};
use super::room::Fit;
use super::{Action, Patience, Planner, Wait};
use crate::model::inventory::{Active, Defined};
use crate::model::names::{MdevUuid, ParentName, TypeName};
use crate::model::nearest::nearest;
use crate::model::pool::{Glob, Member};
use crate::model::refusal::{MemberRefusal, Refusal};

impl Planner<'_> {
    /// Finds a place for each, or says why there is none.
    pub(super) fn choose(&mut self) -> Vec<(MdevUuid, Action)> {
        let choices = std::mem::take(&mut self.choices);
        self.has_choice = choices
            .iter()
            .any(|choice| choice.pool.is_some() || choice.candidates.len() > 1);
        if self.has_choice {
            // Before the drivers' counts: what comes to be in between then counts twice, not never.
            self.look.reserved();
        }
        if let Some(chosen) = self.place_all(&choices) {
            let chosen = choices
                .iter()
                .zip(chosen)
                .map(|(choice, index)| (choice, &choice.candidates[index]));
            let chosen: Vec<_> = chosen.collect();
            self.note_hopes(&chosen);
            return chosen
                .into_iter()
                .map(|(choice, candidate)| (choice.wanted.uuid, choice.action(candidate)))
                .collect();
        }
        // Not all of them fit: whoever finds no place next to those before it is told why.
        let actions = choices.iter().map(|choice| {
            let found = self.by_distance(choice).into_iter().find_map(|group| {
                self.order(choice, group).into_iter().find_map(|index| {
                    let candidate = &choice.candidates[index];
                    Some((candidate, self.fit(choice, candidate)?))
                })
            });
            let action = match found {
                Some((candidate, fit)) => {
                    self.is_hopeful |= fit == Fit::Hoped;
                    self.put(choice, candidate);
                    choice.action(candidate)
                }
                None => self.refuse(choice, &[]),
            };
            (choice.wanted.uuid, action)
        });
        actions.collect()
    }

    /// Whether any of them counts on room that only the driver can tell.
    fn note_hopes(&mut self, chosen: &[(&Choice, &Candidate)]) {
        if self.leaving.is_empty() {
            return;
        }
        let placed = std::mem::take(&mut self.placed);
        for (choice, candidate) in chosen {
            self.is_hopeful |= self.fit(choice, candidate) == Some(Fit::Hoped);
            self.put(choice, candidate);
        }
        self.placed = placed;
    }

    /// Why there is no place, or what is worth waiting for.
    pub(super) fn refuse(&self, choice: &Choice, defined: &[Defined]) -> Action {
        let mut refusals: Vec<(usize, Option<ParentName>, Refusal)> = choice.hopeless.clone();
        let mut only = None;
        for candidate in &choice.candidates {
            if let Err(refusal) = self.check(choice, candidate) {
                only = Some(candidate.place.clone());
                refusals.push((candidate.member, Some(candidate.place.parent.clone()), refusal));
            }
        }
        refusals.sort_by_key(|(member, ..)| *member);
        if self.patience == Patience::Waiting {
            let wait = self
                .wait_for_others(&refusals)
                .or_else(|| self.wait_for_own(choice))
                .or_else(|| wait_for_late(choice, &refusals))
                .or_else(|| self.wait_for_room(choice));
            if let Some(wait) = wait {
                return Action::Wait(wait);
            }
        }
        if let Some(pool) = &choice.pool {
            let each = pool
                .members
                .iter()
                .enumerate()
                .map(|(number, member)| MemberRefusal {
                    member: member.to_string(),
                    is_open: matches!(member, Member::Type(member) if member.parents.is_empty()),
                    refusals: refusals
                        .iter()
                        .filter(|(member, ..)| *member == number)
                        .map(|(_, parent, refusal)| (parent.clone(), refusal.clone()))
                        .collect(),
                });
            let refusal = Refusal::NoPlace {
                pool: pool.name.clone(),
                each: each.collect(),
            };
            return Action::Refuse(refusal, None);
        }
        match refusals.len() {
            0 => {
                let parents = defined.iter().map(|one| one.parent.clone()).collect();
                let refusal = choice.wanted.refuse_elsewhere(parents);
                let refusal = refusal.unwrap_or_else(|| Refusal::NoDefinition {
                    nearest: nearest(&choice.wanted.uuid, self.inventory.all_defined()),
                });
                Action::Refuse(refusal, None)
            }
            1 => {
                let (.., refusal) = refusals.remove(0);
                Action::Refuse(refusal, only)
            }
            _ => {
                let each = refusals
                    .into_iter()
                    .filter_map(|(_, parent, refusal)| Some((parent?, refusal)))
                    .collect();
                Action::Refuse(Refusal::NoneOf { each }, None)
            }
        }
    }

    /// Where others are at it just now, room may come back: who is refused for want of it is to be right.
    fn wait_for_others(&self, refusals: &[(usize, Option<ParentName>, Refusal)]) -> Option<Wait> {
        if !self.has_choice || !refusals.iter().any(|(.., refusal)| refusal.may_pass()) {
            return None;
        }
        let mut others = self.inventory.under_way();
        others.retain(|uuid| !self.chosen.contains(uuid));
        (!others.is_empty()).then_some(Wait::Others(others))
    }

    /// The same where they are at a device of the pool's own.
    fn wait_for_own(&self, choice: &Choice) -> Option<Wait> {
        let members = choice.pool.iter().flat_map(|pool| &pool.members);
        let own = members.filter_map(|member| match member {
            Member::Device { uuid, .. } => Some(*uuid),
            Member::Type(_) | Member::Definition(_) => None,
        });
        let busy: Vec<MdevUuid> = own
            .filter(|uuid| !self.chosen.contains(uuid))
            .filter(|uuid| self.inventory.is_busy(*uuid) || self.inventory.is_resting(*uuid))
            .collect();
        (!busy.is_empty()).then_some(Wait::Busy(busy))
    }
}

/// The places that a driver may yet offer: some register their parents long after these are there.
fn wait_for_late(choice: &Choice, refusals: &[(usize, Option<ParentName>, Refusal)]) -> Option<Wait> {
    let late = |refusal: &Refusal| {
        matches!(
            refusal,
            Refusal::ParentAbsent { .. } | Refusal::NotMdev { .. } | Refusal::TypeUnknown { .. }
        )
    };
    let is_late = |candidate: &&Candidate| {
        refusals.iter().any(|(member, parent, refusal)| {
            *member == candidate.member && parent.as_ref() == Some(&candidate.place.parent) && late(refusal)
        })
    };
    let Some(pool) = &choice.pool else {
        let places: Vec<(ParentName, TypeName)> = choice
            .candidates
            .iter()
            .filter(is_late)
            .map(|candidate| (candidate.place.parent.clone(), candidate.place.mdev_type.clone()))
            .collect();
        return (!places.is_empty()).then_some(Wait::Late(places));
    };
    // A type that no parent offers at all: its driver has not come yet.
    let members = pool.members.iter().enumerate().filter_map(|(number, member)| {
        let mut own = choice
            .candidates
            .iter()
            .filter(|candidate| candidate.member == number);
        match member {
            Member::Type(member) if own.all(|candidate| is_late(&candidate)) => {
                Some((member.mdev_type.clone(), member.parents.clone()))
            }
            Member::Definition(_) => {
                let first = own.find(is_late)?;
                let parent = Glob::of_name(&first.place.parent);
                Some((first.place.mdev_type.clone(), vec![parent]))
            }
            _ => None,
        }
    });
    let members: Vec<_> = members.collect();
    (!members.is_empty()).then_some(Wait::LateMembers(members))
}

impl Choice {
    /// What is done to have the device there.
    pub(super) fn action(&self, candidate: &Candidate) -> Action {
        match (&candidate.way, self.old.clone()) {
            (Way::HandOut(device, active), _) => Action::HandOut(*device, Active::clone(active)),
            (_, Some(old)) => Action::Remake(old, candidate.place.clone()),
            (_, None) => Action::Create(candidate.place.clone()),
        }
    }
}
