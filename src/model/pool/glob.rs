//! Patterns over names, as a shell knows them (glob(7)): `*`, `?`, `[abc]`, `[a-z]`, `[!a]`, and `\` before a
//! character that means itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use crate::model::fault::Place;
use crate::model::names::{ParentName, Shown};

/// A pattern over names. Where it stands makes no difference between two of them.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    parts: Vec<Part>,
    place: Option<Place>,
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.parts) == (&other.text, &other.parts)
    }
}

impl Eq for Glob {}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Any characters, none too.
    Any,
    /// One character, whatever it is.
    One,
    /// This character.
    Plain(char),
    /// One of these, or none of these.
    Of {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Part {
    fn takes(&self, character: char) -> bool {
        match self {
            Part::Any | Part::One => true,
            Part::Plain(plain) => *plain == character,
            Part::Of { is_negated, ranges } => {
                let is_in = ranges
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&character));
                is_in != *is_negated
            }
        }
    }
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a pattern: {why}", Shown(text))]
pub struct GlobError {
    text: String,
    why: &'static str,
}

impl Glob {
    /// The pattern that means this very name.
    #[must_use]
    pub fn of_name(name: &ParentName) -> Self {
        Glob {
            text: name.to_string(),
            parts: name.as_str().chars().map(Part::Plain).collect(),
            place: None,
        }
    }

    /// The pattern where it stands in its file.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Glob {
            place: Some(place),
            ..self
        }
    }

    /// What is wrong with a pattern of this file that means none of the host's parents.
    #[must_use]
    pub fn means_nothing(&self, file: &str) -> String {
        let place = self.place.map_or_else(String::new, |place| format!("{place}: "));
        format!("{file}: {place}{self} means no parent of this host")
    }

    /// Whether a name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut part) = (0, 0);
        // Behind the last `*`, and how much of the name it has taken.
        let mut star: Option<(usize, usize)> = None;
        while at < name.len() {
            match self.parts.get(part) {
                Some(Part::Any) => {
                    part += 1;
                    star = Some((part, at));
                }
                Some(one) if one.takes(name[at]) => {
                    at += 1;
                    part += 1;
                }
                _ => match star.as_mut() {
                    // It takes one character more.
                    Some((behind, taken)) => {
                        *taken += 1;
                        (part, at) = (*behind, *taken);
                    }
                    None => return false,
                },
            }
        }
        self.parts[part..].iter().all(|part| *part == Part::Any)
    }
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        let error = |why| GlobError {
            text: text.to_owned(),
            why,
        };
        if text.is_empty() {
            return Err(error("it is empty"));
        }
        if text.contains('/') {
            return Err(error("a slash is in no parent's name"));
        }
        let mut parts = Vec::new();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            parts.push(match character {
                // Several are as good as one.
                '*' if parts.last() == Some(&Part::Any) => continue,
                '*' => Part::Any,
                '?' => Part::One,
                '\\' => Part::Plain(
                    rest.next()
                        .ok_or_else(|| error("nothing is behind its last \\"))?,
                ),
                '[' => read_set(&mut rest).map_err(error)?,
                plain => Part::Plain(plain),
            });
        }
        Ok(Glob {
            text: text.to_owned(),
            parts,
            place: None,
        })
    }
}

/// Reads what is behind a `[`.
fn read_set(rest: &mut std::str::Chars<'_>) -> Result<Part, &'static str> {
    const OPEN: &str = "a [ is not closed by a ]";
    let mut inside = Vec::new();
    let mut is_negated = false;
    let mut is_first = true;
    loop {
        match rest.next().ok_or(OPEN)? {
            '!' | '^' if is_first && !is_negated => {
                is_negated = true;
                continue;
            }
            // Right at the beginning it means itself.
            ']' if !is_first => break,
            '\\' => inside.push(rest.next().ok_or(OPEN)?),
            character => inside.push(character),
        }
        is_first = false;
    }
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < inside.len() {
        let first = inside[at];
        if let (Some('-'), Some(last)) = (inside.get(at + 1), inside.get(at + 2)) {
            if *last < first {
                return Err("a range in it runs backwards");
            }
            ranges.push((first, *last));
            at += 3;
        } else {
            ranges.push((first, first));
            at += 1;
        }
    }
    Ok(Part::Of { is_negated, ranges })
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched() {
        for (glob, good, bad) in [
            (
                "0000:41:00.0",
                &["0000:41:00.0"][..],
                &["0000:41:00.1", "", "0000:41:00.00"][..],
            ),
            (
                "0000:41:*",
                &["0000:41:00.0", "0000:41:"],
                &["0000:42:00.0", "0000:41"],
            ),
            ("*", &["", "mtty", "0000:41:00.0"], &[]),
            ("**", &["", "a"], &[]),
            ("*:00.?", &["0000:41:00.4"], &["0000:41:00.10", "00.4"]),
            (
                "0000:4[12]:*",
                &["0000:41:x", "0000:42:x"],
                &["0000:43:x", "0000:4:x"],
            ),
            ("0000:4[1-3]:*", &["0000:42:x"], &["0000:44:x"]),
            ("0000:4[!1]:*", &["0000:42:x"], &["0000:41:x"]),
            ("[]]", &["]"], &["["]),
            ("[a-]", &["a", "-"], &["b"]),
            ("a\\*", &["a*"], &["ab", "a"]),
            ("*a*b*c", &["abc", "xaxbxc", "aabbcc", "abcbc"], &["acb", "abcx"]),
            ("ä?", &["äö"], &["ä", "aö"]),
        ] {
            let glob: Glob = glob.parse().expect(glob);
            for name in good {
                assert!(glob.matches(name), "{glob} {name:?}");
            }
            for name in bad {
                assert!(!glob.matches(name), "{glob} {name:?}");
            }
        }
    }

    #[test]
    fn a_text_that_is_no_pattern_is_refused() {
        for (text, why) in [
            ("", "empty"),
            ("a/b", "slash"),
            ("[a", "not closed"),
            ("[]", "not closed"),
            ("[z-a]", "backwards"),
            ("a\\", "behind"),
        ] {
            let error = text.parse::<Glob>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    /// The pattern that costs a naive matcher an exponential time.
    #[test]
    fn many_stars_cost_little() {
        let glob: Glob = format!("{}b", "a*".repeat(40)).parse().expect("a pattern");
        assert!(!glob.matches(&"a".repeat(4000)));
    }
}
