//! What is worth waiting for.

use super::choice::Choice;
use super::{Action, Patience, Planner, Wait};
use crate::model::claim::{Record, State};
use crate::model::refusal::Refusal;

impl Planner<'_> {
    /// What is done about a device that is being made for a start that was given up.
    pub(super) fn decide_unmade(&self, record: &Record) -> Option<Action> {
        if record.state != State::Creating || !self.inventory.is_being_made(record.uuid) {
            return None;
        }
        let parent = record.parent.clone();
        Some(match self.patience {
            Patience::Waiting => Action::Wait(Wait::Creation(parent)),
            Patience::Exhausted => Action::Refuse(Refusal::Creating { parent }, None),
        })
    }

    /// Whether one of the places that are full will not be soon.
    pub(super) fn wait_for_room(&self, choice: &Choice) -> Option<Wait> {
        let mut full = choice.candidates.iter().filter(|candidate| {
            let refusal = self.check(choice, candidate).err();
            refusal.is_some_and(|refusal| refusal.is_about_room())
        });
        let full = full.find(|candidate| self.inventory.is_leaving(&candidate.place.parent))?;
        Some(Wait::Room(full.place.clone()))
    }
}
