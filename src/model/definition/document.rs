//! The file of a definition as a whole: what is not ours in it stays as it is, and where it is.

use serde_json::{Map, Value};

use super::{Definition, DefinitionError};
use crate::model::names::MdevUuid;

/// A definition and all that stands beside it, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    members: Map<String, Value>,
    definition: Definition,
}

/// Not part of what is stored: whose definition it is, for somebody who takes it to another host. mdevctl reads
/// past it.
const UUID: &str = "uuid";

impl Document {
    /// The file of a definition that has nothing beside it, as mdevctl writes it.
    #[must_use]
    pub fn new(definition: Definition) -> Self {
        let members = match serde_json::to_value(&definition) {
            Ok(Value::Object(members)) => members,
            other => unreachable!("a definition is an object, not {other:?}"),
        };
        Document { members, definition }
    }

    /// Reads mdevctl's JSON.
    ///
    /// # Errors
    /// See [`Definition::parse`].
    pub fn parse(text: &[u8]) -> Result<Self, DefinitionError> {
        let definition = Definition::parse(text)?;
        let members = serde_json::from_slice(text)?;
        Ok(Document { members, definition })
    }

    /// What it defines.
    #[must_use]
    pub const fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The UUID that [`Document::with_uuid`] gave it.
    #[must_use]
    pub fn uuid(&self) -> Option<MdevUuid> {
        self.members.get(UUID)?.as_str()?.parse().ok()
    }

    /// The same with its device's UUID, for another host.
    #[must_use]
    pub fn with_uuid(mut self, uuid: MdevUuid) -> Self {
        self.members.insert(UUID.to_owned(), uuid.to_string().into());
        self
    }

    /// The same without the UUID.
    #[must_use]
    pub fn without_uuid(mut self) -> Self {
        self.members.shift_remove(UUID);
        self
    }

    /// Whether it defines the same, and has whatever stands beside that in `other`.
    #[must_use]
    pub fn has_all_of(&self, other: &Document) -> bool {
        let own = Document::new(other.definition.clone()).members;
        let has = |(name, value): (&String, &Value)| {
            own.contains_key(name) || self.members.get(name) == Some(value)
        };
        self.definition == other.definition && other.members.iter().all(has)
    }

    /// The same with another definition, what stands beside it kept.
    #[must_use]
    pub fn with(self, definition: Definition) -> Self {
        self.overlaid(&Document::new(definition))
    }

    /// The same with all that `other` has; what only this one has is kept.
    #[must_use]
    pub fn overlaid(mut self, other: &Document) -> Self {
        for (name, value) in &other.members {
            self.members.insert(name.clone(), value.clone());
        }
        // What it may leave out counts as well.
        for (name, value) in Document::new(other.definition.clone()).members {
            self.members.insert(name, value);
        }
        self.definition = other.definition.clone();
        self
    }

    /// The file's content, byte for byte as mdevctl writes it.
    #[must_use]
    pub fn render(&self) -> String {
        serde_json::to_string_pretty(&self.members).expect("an object of JSON can be written down")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Document {
        Document::parse(text.as_bytes()).expect(text)
    }

    #[test]
    fn a_new_one_is_written_as_mdevctl_writes_it() {
        let definition =
            Definition::parse(br#"{"attrs":[{"b":"2\n"},{"a":"1"}],"mdev_type":"x"}"#).expect("good");
        assert_eq!(
            Document::new(definition).render(),
            "{\n  \"mdev_type\": \"x\",\n  \"start\": \"manual\",\n  \"attrs\": [\n    {\n      \"b\": \"2\\n\"\n    \
             },\n    {\n      \"a\": \"1\"\n    }\n  ]\n}"
        );
        let definition = Definition::parse(br#"{"mdev_type":"x","start":"auto"}"#).expect("good");
        assert_eq!(
            Document::new(definition).render(),
            "{\n  \"mdev_type\": \"x\",\n  \"start\": \"auto\",\n  \"attrs\": []\n}"
        );
    }

    #[test]
    fn what_is_not_ours_keeps_its_place() {
        let old =
            read(r#"{"z":[1.50,{"b":1,"a":2}],"start":"auto","mdev_type":"x","attrs":[{"a":"1"}],"a":null}"#);
        let new = Definition::parse(br#"{"mdev_type":"y"}"#).expect("good");
        let changed = old.with(new.clone());
        assert_eq!(
            serde_json::to_string(&changed.members).expect("an object"),
            r#"{"z":[1.5,{"b":1,"a":2}],"start":"manual","mdev_type":"y","attrs":[],"a":null}"#
        );
        assert_eq!(changed.definition(), &new);
        assert_eq!(read(&changed.render()), changed);
    }

    #[test]
    fn the_members_of_both_are_kept() {
        let old = read(r#"{"mdev_type":"x","a":1,"b":1}"#);
        let both = old.overlaid(&read(r#"{"b":2,"c":2,"mdev_type":"y"}"#));
        assert_eq!(
            serde_json::to_string(&both.members).expect("an object"),
            r#"{"mdev_type":"y","a":1,"b":2,"c":2,"start":"manual","attrs":[]}"#
        );
    }

    #[test]
    fn what_is_there_already_is_told() {
        let old = read(r#"{"a":1,"mdev_type":"x","start":"sometimes"}"#);
        for (text, is_there) in [
            (r#"{"mdev_type":"x"}"#, true),
            (r#"{"mdev_type":"x","attrs":[],"a":1}"#, true),
            (r#"{"mdev_type":"x","a":2}"#, false),
            (r#"{"mdev_type":"x","b":1}"#, false),
            (r#"{"mdev_type":"x","start":"auto"}"#, false),
            (r#"{"mdev_type":"y"}"#, false),
            (r#"{"mdev_type":"x","attrs":[{"a":"1"}]}"#, false),
        ] {
            assert_eq!(old.has_all_of(&read(text)), is_there, "{text}");
        }
    }

    #[test]
    fn a_uuid_travels_with_it_and_is_not_stored() {
        let uuid = "c2177883-f1bb-47f0-914d-32a22e3a8804".parse().expect("a UUID");
        let document = read(r#"{"mdev_type":"x","z":1}"#);
        let travelling = read(&document.clone().with_uuid(uuid).render());
        assert_eq!(travelling.uuid(), Some(uuid));
        assert_eq!(travelling.without_uuid(), document);
        assert_eq!(document.uuid(), None);
        assert_eq!(read(r#"{"mdev_type":"x","uuid":7}"#).uuid(), None);
    }
}
