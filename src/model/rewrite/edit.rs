//! Edits of a text: collected in any order, carried out at once.

use std::borrow::Cow;
use std::ops::Range;

/// Edits of one text, none of which overlaps another.
#[derive(Debug, Default)]
pub(super) struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    pub(super) fn delete(&mut self, range: Range<usize>) {
        self.replace(range, String::new());
    }

    /// What is inserted at one byte by several calls comes in their order.
    pub(super) fn insert(&mut self, offset: usize, text: String) {
        self.replace(offset..offset, text);
    }

    pub(super) fn replace(&mut self, range: Range<usize>, text: String) {
        self.0.push((range, text));
    }

    /// The edited text; the text itself where there is no edit.
    pub(super) fn apply(mut self, text: &str) -> Cow<'_, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(text);
        }
        self.0.sort_by_key(|(range, _)| (range.start, range.end));
        let added: usize = self.0.iter().map(|(_, added)| added.len()).sum();
        let mut edited = String::with_capacity(text.len() + added);
        let mut done = 0;
        for (range, added) in &self.0 {
            edited.push_str(&text[done..range.start]);
            edited.push_str(added);
            done = range.end;
        }
        edited.push_str(&text[done..]);
        Cow::Owned(edited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_carried_out_in_the_texts_order() {
        let mut edits = Edits::default();
        edits.replace(4..5, "E".to_owned());
        edits.delete(1..3);
        edits.insert(3, "x".to_owned());
        edits.insert(3, "y".to_owned());
        edits.insert(1, "z".to_owned());
        edits.insert(6, "!".to_owned());
        assert_eq!(edits.apply("abcdef"), "azxydEf!");
    }

    #[test]
    fn no_edit_is_the_text_itself() {
        assert!(matches!(Edits::default().apply("a"), Cow::Borrowed("a")));
    }
}
