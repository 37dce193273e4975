//! Reads the file of a pool.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::Range;

use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::{Glob, Member, Numa, Placement, Pool, TypeMember};
use crate::model::definition::Attribute;
use crate::model::fault::{Fault, Place};
use crate::model::names::{AttributePath, MdevUuid, PoolName, TypeName};
use crate::model::table::Table;
use crate::model::words::{Language, plain};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    placement: Placement,
    #[serde(default)]
    numa: Numa,
    #[serde(default)]
    member: Vec<Spanned<Table<Entry>>>,
}

/// A `[[member]]`, whichever kind it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    r#type: Option<Spanned<TypeName>>,
    definition: Option<Spanned<MdevUuid>>,
    device: Option<Spanned<MdevUuid>>,
    parents: Option<Spanned<Vec<Spanned<Glob>>>>,
    attributes: Option<Spanned<Vec<Pair>>>,
    limit: Option<Spanned<NonZeroU32>>,
    replace: Option<Spanned<bool>>,
}

/// `[path, value]`.
struct Pair(Attribute);

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (path, value): (AttributePath, String) = Deserialize::deserialize(deserializer)?;
        if value.contains('\0') {
            return Err(de::Error::custom(format_args!(
                "the value of {path} has a NUL character in it"
            )));
        }
        Ok(Pair(Attribute { path, value }))
    }
}

pub(super) fn parse(name: PoolName, text: &str) -> Result<Pool, Fault> {
    let file: File = toml::from_str(text).map_err(|error| {
        let message = plain(error.message(), Language::Toml);
        let offset = error.span().map_or(0, |span| span.start);
        Fault::at(text, offset, message)
    })?;
    if file.member.is_empty() {
        return Err(Fault::at(text, text.len(), "the pool has no [[member]]"));
    }
    let mut named = BTreeSet::new();
    let mut members = Vec::new();
    for entry in file.member {
        let place = entry.span();
        let Table(entry) = entry.into_inner();
        let member = entry
            .into_member(text, &place)
            .map_err(|(place, message)| Fault::at(text, place.start, message))?;
        let uuid = match &member {
            Member::Type(_) => None,
            Member::Definition(uuid) | Member::Device { uuid, .. } => Some(*uuid),
        };
        if uuid.is_some_and(|uuid| !named.insert(uuid)) {
            return Err(Fault::at(
                text,
                place.start,
                format!("{member} is in this pool twice"),
            ));
        }
        members.push(member);
    }
    Ok(Pool {
        name,
        placement: file.placement,
        numa: file.numa,
        members,
    })
}

/// Patterns, each with its place.
pub(crate) fn placed(text: &str, globs: Vec<Spanned<Glob>>) -> Vec<Glob> {
    let globs = globs.into_iter();
    globs
        .map(|glob| {
            let place = Place::of_offset(text, glob.span().start);
            glob.into_inner().at(place)
        })
        .collect()
}

type Wrong = (Range<usize>, String);

impl Entry {
    fn into_member(self, text: &str, place: &Range<usize>) -> Result<Member, Wrong> {
        let kinds = [
            self.r#type.as_ref().map(|it| ("type", it.span())),
            self.definition.as_ref().map(|it| ("definition", it.span())),
            self.device.as_ref().map(|it| ("device", it.span())),
        ];
        let kinds: Vec<(&str, Range<usize>)> = kinds.into_iter().flatten().collect();
        let kind = match kinds.as_slice() {
            [(kind, _)] => *kind,
            [] => {
                let message = "a member has a type, a definition or a device: this one has none of them";
                return Err((place.clone(), message.to_owned()));
            }
            [(first, _), (second, span), ..] => {
                let message = format!(
                    "a member has only one of type, definition and device: this one has a {first} and a {second}"
                );
                return Err((span.clone(), message));
            }
        };
        let of_types = [
            ("parents", self.parents.as_ref().map(Spanned::span)),
            ("attributes", self.attributes.as_ref().map(Spanned::span)),
            ("limit", self.limit.as_ref().map(Spanned::span)),
        ];
        for (key, span) in of_types {
            if let (Some(span), true) = (span, kind != "type") {
                let message =
                    format!("{key} goes with a type only: a {kind} is one device, as its definition says");
                return Err((span, message));
            }
        }
        if let (Some(replace), true) = (&self.replace, kind != "device") {
            return Err((replace.span(), "replace goes with a device only".to_owned()));
        }
        if let Some(parents) = self
            .parents
            .as_ref()
            .filter(|parents| parents.get_ref().is_empty())
        {
            let message =
                "no parent at all is meant by this; leave it out to mean every parent that offers the type";
            return Err((parents.span(), message.to_owned()));
        }
        if let Some(mdev_type) = self.r#type {
            return Ok(Member::Type(TypeMember {
                mdev_type: mdev_type.into_inner(),
                parents: placed(text, self.parents.map(Spanned::into_inner).unwrap_or_default()),
                attributes: self
                    .attributes
                    .map(Spanned::into_inner)
                    .into_iter()
                    .flatten()
                    .map(|Pair(attribute)| attribute)
                    .collect(),
                limit: self.limit.map(Spanned::into_inner),
            }));
        }
        let replace = self.replace.is_some_and(Spanned::into_inner);
        match (self.definition, self.device) {
            (Some(definition), _) => Ok(Member::Definition(definition.into_inner())),
            (None, Some(device)) => Ok(Member::Device {
                uuid: device.into_inner(),
                replace,
            }),
            (None, None) => unreachable!("it has one of the three"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";

    fn pool(text: &str) -> Result<Pool, String> {
        let name = "p".parse().expect("a name");
        Pool::parse(name, text).map_err(|fault| fault.to_string())
    }

    #[test]
    fn every_key_is_read() {
        let text = format!(
            "placement = 'pack'\nnuma = 'require'\n\
             [[member]]\ntype = 'nvidia-63'\nparents = ['0000:41:*', 'x']\nlimit = 8\n\
             attributes = [['nvidia/vgpu_params', \"a=1\\n\"], ['b', '']]\n\
             [[member]]\ndefinition = '{A}'\n\
             [[member]]\ndevice = '83B8F4F2-509F-382F-3C1E-E6BFE0FA1001'\nreplace = true\n\
             [[member]]\ntype = 'mtty-1'\n"
        );
        let pool = pool(&text).expect("good");
        assert_eq!((pool.placement, pool.numa), (Placement::Pack, Numa::Require));
        let shown: Vec<String> = pool.members.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "nvidia-63 on 0000:41:*, x".to_owned(),
                format!("definition {A}"),
                "device 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001".to_owned(),
                "mtty-1".to_owned()
            ]
        );
        let Member::Type(first) = &pool.members[0] else {
            panic!("a type");
        };
        assert_eq!(first.limit.map(NonZeroU32::get), Some(8));
        let attributes: Vec<_> = first
            .attributes
            .iter()
            .map(|one| (one.path.as_str(), one.value.as_str()))
            .collect();
        assert_eq!(attributes, [("nvidia/vgpu_params", "a=1\n"), ("b", "")]);
        assert!(matches!(pool.members[2], Member::Device { replace: true, .. }));
    }

    #[test]
    fn the_defaults_are_plain() {
        let pool = pool("[[member]]\ntype = 'mtty-1'").expect("good");
        assert_eq!((pool.placement, pool.numa), (Placement::Order, Numa::Ignore));
        let Member::Type(member) = &pool.members[0] else {
            panic!("a type");
        };
        assert_eq!(
            (member.limit, member.parents.len(), member.attributes.len()),
            (None, 0, 0)
        );
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (text, message) in [
            ("", "line 1, column 1: the pool has no [[member]]"),
            (
                "placement = 'pack'\n",
                "line 2, column 1: the pool has no [[member]]",
            ),
            ("place = 1", "line 1, column 1: there is no key place"),
            (
                "placement = 'all'",
                "line 1, column 13: \"all\" is none of order, pack, spread",
            ),
            (
                "[[member]]",
                "line 1, column 1: a member has a type, a definition or a device",
            ),
            (
                "[[member]]\ntype = 'a'\nmore = 1",
                "line 3, column 1: there is no key more",
            ),
            (
                "[[member]]\ntype = 'a'\n[[member]]\nlimit = 1",
                "line 3, column 1: a member has a type",
            ),
            (
                "[[member]]\ntype = '../a'",
                "line 2, column 8: \"../a\" is not a type's name",
            ),
            (
                "[[member]]\ntype = 'a'\nlimit = 0",
                "line 3, column 9: this is the number 0, where a whole number, 1 or more, is needed",
            ),
            (
                "[[member]]\ntype = 'a'\nlimit = -1",
                "line 3, column 9: this is the number -1, where a whole number",
            ),
            (
                "[[member]]\ntype = 'a'\nparents = ['[']",
                "line 3, column 11: \"[\" is not a pattern",
            ),
            (
                "[[member]]\ntype = 'a'\nparents = []",
                "line 3, column 11: no parent at all",
            ),
            (
                "[[member]]\ntype = 'a'\nattributes = [['../x', '1']]",
                "line 3, column 15: \"../x\" is not an attribute's path",
            ),
            (
                "[[member]]\ntype = 'a'\nattributes = [['x']]",
                "line 3, column 15: this has 1 in it, where an array of two strings is needed",
            ),
            (
                "[[member]]\ntype = 'a'\nattributes = [['x', \"\\u0000\"]]",
                "line 3, column 14: the value of x has a NUL",
            ),
            (
                "[[member]]\ntype = 'a'\nreplace = true",
                "line 3, column 11: replace goes with a device only",
            ),
            (
                "[[member]]\ndevice = 'x'",
                "line 2, column 10: \"x\" is not a UUID",
            ),
            (
                &format!("[[member]]\ndevice = '{A}'\ntype = 'a'"),
                "line 2, column 10: a member has only one of type, definition and device: this one has a type and a device",
            ),
            (
                &format!("[[member]]\ndefinition = '{A}'\nlimit = 2"),
                "line 3, column 9: limit goes with a type only: a definition is one device",
            ),
            (
                &format!("[[member]]\ndefinition = '{A}'\n[[member]]\ndevice = '{A}'"),
                "line 3, column 1: device c2177883-f1bb-47f0-914d-32a22e3a8804 is in this pool twice",
            ),
            ("[[member", "line 1, column 9: "),
        ] {
            let error = pool(text).expect_err(text);
            assert!(error.starts_with(message), "{text}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn a_value_of_a_wrong_kind_is_told_in_words_of_toml() {
        for (text, message) in [
            ("numa = 0", "line 1, column 8: a string is needed here"),
            (
                "member = 1",
                "line 1, column 10: this is the number 1, where an array is needed",
            ),
            (
                "member = ['a']",
                "line 1, column 11: this is the string \"a\", where a table is needed",
            ),
            (
                "member = [['a']]",
                "line 1, column 11: this is an array, where a table is needed",
            ),
            (
                "[[member]]\ntype = 'a'\nlimit = 0",
                "line 3, column 9: this is the number 0, where a whole number, 1 or more, is needed",
            ),
        ] {
            let error = pool(text).expect_err(text);
            assert_eq!(error, message, "{text}");
            for word in [
                "`",
                "sequence",
                "tuple",
                "u32",
                "struct",
                "map",
                "field",
                "variant",
                "invalid type",
            ] {
                assert!(!error.contains(word), "{word}: {error}");
            }
        }
    }
}
