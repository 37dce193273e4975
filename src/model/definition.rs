//! A persistent definition: what a device is on this host. The form is mdevctl's, one JSON file a device
//! (`/etc/mdevctl.d/PARENT/UUID`), which libvirt's node-device driver uses too.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::names::{AttributePath, NameError, TypeName};
use super::words::{Language, plain};

mod document;

pub use document::Document;

/// A definition of one device under one parent. Serializes as mdevctl writes it: all three members, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The type that the parent is to make.
    pub mdev_type: TypeName,
    /// Whether mdevctl makes the device when its parent appears.
    #[serde(default)]
    pub start: Start,
    /// Written into the device's folder after its creation, in this order; a path may come again.
    #[serde(default, rename = "attrs", deserialize_with = "absent_or_list")]
    pub attributes: Vec<Attribute>,
}

/// When mdevctl makes a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Start {
    /// When somebody asks for it.
    #[default]
    Manual,
    /// When its parent appears.
    Auto,
}

impl Start {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Start::Manual => "manual",
            Start::Auto => "auto",
        }
    }
}

impl Serialize for Start {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Start {
    /// As mdevctl reads it: whatever is not `auto` is manual.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(if String::deserialize(deserializer)? == "auto" {
            Start::Auto
        } else {
            Start::Manual
        })
    }
}

/// One value for one file below the device's folder. In JSON an object with that one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The file.
    pub path: AttributePath,
    /// What is written, byte for byte: nothing is added, not even a line's end.
    pub value: String,
}

impl Serialize for Attribute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(&self.path, &self.value)])
    }
}

/// Reads `NAME=VALUE`, as on a command line: the first equals sign parts them.
impl FromStr for Attribute {
    type Err = AttributeError;

    fn from_str(text: &str) -> Result<Self, AttributeError> {
        let (path, value) = text.split_once('=').ok_or(AttributeError::NoValue)?;
        if value.contains('\0') {
            return Err(AttributeError::Nul);
        }
        Ok(Attribute {
            path: path.parse()?,
            value: value.to_owned(),
        })
    }
}

/// Why a text is no attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// There is no equals sign.
    #[error("it must be NAME=VALUE")]
    NoValue,
    /// No file of sysfs takes that.
    #[error("a NUL character may not be in the value")]
    Nul,
    /// The name is no path.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl<'de> Deserialize<'de> for Attribute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OneMember)
    }
}

struct OneMember;

impl<'de> Visitor<'de> for OneMember {
    type Value = Attribute;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one member, {\"NAME\": \"VALUE\"},")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attribute, A::Error> {
        let (path, value): (AttributePath, String) = map
            .next_entry()?
            .ok_or_else(|| de::Error::invalid_length(0, &self))?;
        if value.contains('\0') {
            return Err(de::Error::custom(format_args!(
                "the value of {path} has a NUL character in it"
            )));
        }
        if map.next_key::<de::IgnoredAny>()?.is_some() {
            return Err(de::Error::invalid_length(2, &self));
        }
        Ok(Attribute { path, value })
    }
}

fn absent_or_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Attribute>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Why a definition cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DefinitionError(pub String);

impl From<serde_json::Error> for DefinitionError {
    /// Says the place first: the message may be long, and more may follow it.
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let place = format!(" at line {line} column {column}");
        let message = match error.classify() {
            serde_json::error::Category::Eof => "the JSON ends too early".to_owned(),
            _ => plain(text.strip_suffix(&place).unwrap_or(&text), Language::Json),
        };
        DefinitionError(format!("line {line}, column {column}: {message}"))
    }
}

impl Definition {
    /// Reads mdevctl's JSON. Members that it does not know belong to others and are ignored.
    ///
    /// # Errors
    /// It is no JSON, has no type, or a member is of the wrong kind or no name; told with line and column.
    pub fn parse(text: &[u8]) -> Result<Self, DefinitionError> {
        match text.trim_ascii_start().first() {
            None => return Err(DefinitionError("there is nothing in it".to_owned())),
            // serde would take a list for an object with its members in order.
            Some(b'[') => return Err(DefinitionError("it is a list, not an object".to_owned())),
            Some(_) => {}
        }
        Ok(serde_json::from_slice(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mdevctls_form_is_read() {
        let text = br#"{"mdev_type":"mtty-2","start":"auto","colour":"red",
            "attrs":[{"assign_adapter":"5"},{"assign_adapter":"6"},{"nvidia/vgpu_params":"a=1\n"}]}"#;
        let definition = Definition::parse(text).expect("good");
        assert_eq!(definition.mdev_type.as_str(), "mtty-2");
        assert_eq!(definition.start, Start::Auto);
        let attributes: Vec<_> = definition
            .attributes
            .iter()
            .map(|a| (a.path.as_str(), a.value.as_str()))
            .collect();
        assert_eq!(
            attributes,
            [
                ("assign_adapter", "5"),
                ("assign_adapter", "6"),
                ("nvidia/vgpu_params", "a=1\n")
            ]
        );
    }

    #[test]
    fn an_attribute_is_parted_at_its_first_equals_sign() {
        for (text, path, value) in [
            ("a=1", "a", "1"),
            (
                "nvidia/vgpu_params=frame_rate_limiter=0",
                "nvidia/vgpu_params",
                "frame_rate_limiter=0",
            ),
            ("a=", "a", ""),
        ] {
            let attribute: Attribute = text.parse().expect(text);
            assert_eq!((attribute.path.as_str(), attribute.value.as_str()), (path, value));
        }
        for text in ["", "a", "=1", "../a=1", "/a=1", "a/=1", "a=\0"] {
            assert!(text.parse::<Attribute>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_the_type_is_needed() {
        for text in [
            r#"{"mdev_type":"x"}"#,
            r#"{"mdev_type":"x","start":"manual","attrs":null}"#,
        ] {
            let definition = Definition::parse(text.as_bytes()).expect(text);
            assert_eq!(
                (definition.start, definition.attributes),
                (Start::Manual, Vec::new())
            );
        }
    }

    #[test]
    fn what_is_broken_is_refused_with_its_place() {
        for (text, message) in [
            ("", "there is nothing in it"),
            (" \n", "there is nothing in it"),
            ("[]", "it is a list, not an object"),
            (r#"["mtty-1"]"#, "it is a list, not an object"),
            ("{", "line 1, column 1: the JSON ends too early"),
            (
                r#"{"start":"auto"}"#,
                "line 1, column 16: the member mdev_type is missing",
            ),
            (
                r#"{"mdev_type":7}"#,
                "this is the number 7, where a string is needed",
            ),
            (r#"{"mdev_type":"../x"}"#, "slash"),
            (r#"{"mdev_type":".."}"#, "another folder"),
            (
                r#"{"mdev_type":"x","start":1}"#,
                "this is the number 1, where a string is needed",
            ),
            (
                r#"{"mdev_type":"x","attrs":{}}"#,
                "this is an object, where an array is needed",
            ),
            (r#"{"mdev_type":"x","attrs":[{}]}"#, "one member"),
            (r#"{"mdev_type":"x","attrs":[{"a":"1","b":"2"}]}"#, "one member"),
            (
                r#"{"mdev_type":"x","attrs":[{"a":1}]}"#,
                "this is the number 1, where a string is needed",
            ),
            (r#"{"mdev_type" "x"}"#, "a colon is missing before this"),
            (
                r#"{"mdev_type":"x" "start":"auto"}"#,
                "a comma, or the } of the object, is missing before this",
            ),
            (r#"{"mdev_type":"x",}"#, "there is a comma too many"),
            (
                r#"{mdev_type:"x"}"#,
                "the name of a member has to be in double quotes",
            ),
            (r#"{"mdev_type":x}"#, "this is no value"),
            (
                r#"{"mdev_type":"x","mdev_type":"y"}"#,
                "the member mdev_type is here twice",
            ),
            (
                r#"{"mdev_type":"x","attrs":[{"../remove":"1"}]}"#,
                "another folder",
            ),
            (
                r#"{"mdev_type":"x","attrs":[{"/etc/passwd":"1"}]}"#,
                "below the device's folder",
            ),
            (r#"{"mdev_type":"x","attrs":[{"a":"\u0000"}]}"#, "NUL"),
            (r#"{"mdev_type":"x"} x"#, "there is more after the object's end"),
        ] {
            let error = Definition::parse(text.as_bytes()).expect_err(text).to_string();
            assert!(error.contains(message), "{text}: {error}");
            let has_place = text.starts_with('{');
            assert_eq!(error.starts_with("line 1, column "), has_place, "{text}: {error}");
        }
    }
}
