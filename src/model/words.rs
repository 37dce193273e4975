//! What serde and its parsers say is wrong with a file, in the words of those who write the file.
//!
//! Their messages speak of Rust's types (`map`, `sequence`, `struct Timeouts`, `f64`); their forms are those of
//! serde's `de::Error`. What is in none of these forms is ours, or plain already, and stays as it is.

use super::nearest::nearest;

/// The language of a file, which has its own words for the same things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Language {
    /// mdevctl's definitions.
    Json,
    /// Our settings and pools.
    Toml,
}

impl Language {
    /// What has names and values.
    const fn table(self) -> &'static str {
        match self {
            Language::Json => "an object",
            Language::Toml => "a table",
        }
    }

    /// One of its names.
    const fn key(self) -> &'static str {
        match self {
            Language::Json => "member",
            Language::Toml => "key",
        }
    }
}

/// A message of serde's, on one line, in the words of the file's language.
pub(crate) fn plain(message: &str, language: Language) -> String {
    let message = message.lines().collect::<Vec<_>>().join(" ");
    let rest = |prefix: &str| message.strip_prefix(prefix);
    let expected = |rest: &str| {
        let (found, expected) = rest.rsplit_once(", expected ")?;
        Some((found.to_owned(), expected.to_owned()))
    };
    if let Some((found, needed)) = rest("invalid type: ")
        .or_else(|| rest("invalid value: "))
        .and_then(expected)
    {
        return format!(
            "this is {}, where {} is needed",
            found_as(&found, language),
            needed_as(&needed, language)
        );
    }
    if let Some((count, needed)) = rest("invalid length ").and_then(expected) {
        let needed = needed_as(&needed, language);
        return format!("this has {count} in it, where {needed} is needed");
    }
    if let Some((name, known)) = rest("unknown field ").and_then(expected) {
        let (name, known) = (bare(&name), names(&known));
        let near = nearest(&name.as_str(), known.clone());
        let hint = match near.first() {
            Some(near) => format!(" (did you mean {near}?)"),
            None => String::new(),
        };
        let key = language.key();
        return format!("there is no {key} {name}{hint}; there are {}", known.join(", "));
    }
    if let Some((name, known)) = rest("unknown variant ").and_then(expected) {
        return format!("\"{}\" is none of {}", bare(&name), names(&known).join(", "));
    }
    if let Some(name) = rest("missing field ") {
        return format!("the {} {} is missing", language.key(), bare(name));
    }
    if let Some(name) = rest("duplicate field ") {
        return format!("the {} {} is here twice", language.key(), bare(name));
    }
    syntax(&message, language)
}

/// What the parsers say where a file is none of its language.
fn syntax(message: &str, language: Language) -> String {
    let plain = match (language, message) {
        (Language::Json, "expected `:`") => "a colon is missing before this",
        (Language::Json, "expected `,` or `]`") => "a comma, or the ] of the array, is missing before this",
        (Language::Json, "expected `,` or `}`") => "a comma, or the } of the object, is missing before this",
        (Language::Json, "expected value" | "expected ident") => {
            "this is no value: a string in double quotes, a number, true, false, null, an array or an object"
        }
        (Language::Json, "key must be a string" | "expected `\"`") => {
            "the name of a member has to be in double quotes"
        }
        (Language::Json, "trailing comma") => "there is a comma too many",
        (Language::Json, "trailing characters") => "there is more after the object's end",
        (Language::Json, "invalid number" | "number out of range") => "this is no number",
        (Language::Json, "recursion limit exceeded") => "it is nested too deeply",
        (Language::Json, text) if text.starts_with("control character") => {
            "a line's end, a tab or another control character is in a string (write \\n, \\t)"
        }
        (Language::Json, text) if text.contains("escape") || text.contains("unicode") => {
            "what follows the backslash means nothing"
        }
        (Language::Json, _) => return message.to_owned(),
        (Language::Toml, "duplicate key") => "this key is here twice",
        // A word without quotes is taken for the beginning of a number (`info` for `inf`) or of true and false.
        (Language::Toml, text)
            if [
                "invalid float",
                "invalid integer",
                "invalid boolean",
                "string values must be quoted",
            ]
            .iter()
            .any(|start| text.starts_with(start)) =>
        {
            "this is no value: a string has to be in quotes"
        }
        (Language::Toml, "wanted string or table") => "a string is needed here",
        (Language::Toml, _) => {
            // The parser says what it found, then a list of what it would have liked.
            return match message.split_once(", expected ") {
                None | Some((_, "nothing")) => message
                    .strip_suffix(", expected nothing")
                    .unwrap_or(message)
                    .to_owned(),
                Some((what, expected)) if expected.contains('`') => {
                    format!("{what}; here belongs {}", expected.replace('`', ""))
                }
                Some((what, _)) => what.to_owned(),
            };
        }
    };
    plain.to_owned()
}

/// A name without the quotes that serde puts around it.
fn bare(quoted: &str) -> String {
    quoted.trim_matches('`').to_owned()
}

/// The names in serde's lists: "`a`", "`a` or `b`", "one of `a`, `b`".
fn names(list: &str) -> Vec<&str> {
    list.split('`').skip(1).step_by(2).collect()
}

/// What is there, from serde's `de::Unexpected`.
fn found_as(found: &str, language: Language) -> String {
    let value = || found.split_once(' ').map_or(found, |(_, value)| value);
    match found {
        "map" => language.table().to_owned(),
        "sequence" => "an array".to_owned(),
        "null" | "unit value" | "Option value" => "null".to_owned(),
        _ if found.starts_with("integer ") => format!("the number {}", bare(value())),
        _ if found.starts_with("floating point ") => {
            format!("the number {}", bare(found.trim_start_matches("floating point ")))
        }
        _ if found.starts_with("boolean ") => bare(value()),
        _ if found.starts_with("string ") => format!("the string {}", value()),
        _ => found.to_owned(),
    }
}

/// What should be there, from the `expecting` of serde's visitors.
fn needed_as(needed: &str, language: Language) -> String {
    match needed {
        "a sequence" => "an array".to_owned(),
        "a map" => language.table().to_owned(),
        "f64" | "f32" => "a number".to_owned(),
        "u32" | "u64" | "usize" => "a whole number, 0 or more,".to_owned(),
        "a nonzero u32" => "a whole number, 1 or more,".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a tuple of size 2" => "an array of two strings".to_owned(),
        "string or table" => "a string".to_owned(),
        _ if needed.starts_with("struct ") => language.table().to_owned(),
        _ => needed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_rust_is_left() {
        for (said, json, toml) in [
            (
                "invalid type: map, expected a sequence",
                "this is an object, where an array is needed",
                "this is a table, where an array is needed",
            ),
            (
                "invalid type: string \"a, expected b\", expected struct Timeouts",
                "this is the string \"a, expected b\", where an object is needed",
                "this is the string \"a, expected b\", where a table is needed",
            ),
            (
                "invalid type: floating point `1.5`, expected a boolean",
                "this is the number 1.5, where true or false is needed",
                "this is the number 1.5, where true or false is needed",
            ),
            (
                "invalid value: integer `0`, expected a nonzero u32",
                "this is the number 0, where a whole number, 1 or more, is needed",
                "this is the number 0, where a whole number, 1 or more, is needed",
            ),
            (
                "missing field `mdev_type`",
                "the member mdev_type is missing",
                "the key mdev_type is missing",
            ),
            (
                "unknown field `selct`, expected one of `select`, `cordon`",
                "there is no member selct (did you mean select?); there are select, cordon",
                "there is no key selct (did you mean select?); there are select, cordon",
            ),
            (
                "unknown variant `all`, expected `marked` or `managed`",
                "\"all\" is none of marked, managed",
                "\"all\" is none of marked, managed",
            ),
            (
                "\"../a\" is not a type's name",
                "\"../a\" is not a type's name",
                "\"../a\" is not a type's name",
            ),
        ] {
            assert_eq!(plain(said, Language::Json), json);
            assert_eq!(plain(said, Language::Toml), toml);
        }
    }
}
