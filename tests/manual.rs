//! The manual's pages in section 5 name the keys that the program knows, and no others.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use automdev::model::pool::Pool;
use automdev::model::settings::Settings;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("it is there")
}

/// The keys that a table of the settings may have, from what the program says about one that it does not know.
fn settings_keys(table: &str) -> BTreeSet<String> {
    let text = format!("{table}\nno_such_key = 1");
    expected(&Settings::parse(&text).expect_err("no key").to_string())
}

/// The same of a pool.
fn pool_keys(table: &str) -> BTreeSet<String> {
    let text = format!("{table}\nno_such_key = 1");
    let fault = Pool::parse("p".parse().expect("a name"), &text).expect_err("no key");
    expected(&fault.to_string())
}

/// The keys that there are.
fn expected(message: &str) -> BTreeSet<String> {
    let (_, keys) = message
        .split_once("there is no key no_such_key; there are ")
        .unwrap_or_else(|| panic!("{message} names no keys"));
    keys.split(", ").map(str::to_owned).collect()
}

/// The tags of a page's outermost lists, by the heading above them: `.TP`, then `.B TAG`.
fn tags(page: &str) -> Vec<(String, String)> {
    let (mut heading, mut depth, mut tags) = (String::new(), 0, Vec::new());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        match line.split(' ').next() {
            Some(".SH" | ".SS") => line[4..].clone_into(&mut heading),
            Some(".RS") => depth += 1,
            Some(".RE") => depth -= 1,
            Some(".TP") if depth == 0 => {
                let tag = lines.next().and_then(|line| line.strip_prefix(".B "));
                let tag = tag.unwrap_or_else(|| panic!("a tag below {heading}"));
                tags.push((heading.clone(), tag.replace("\\(dq", "\"")));
            }
            _ => {}
        }
    }
    tags
}

fn below(tags: &[(String, String)], heading: &str) -> Vec<String> {
    tags.iter()
        .filter(|(above, _)| above == heading)
        .map(|(_, tag)| tag.clone())
        .collect()
}

fn key(tag: &str) -> String {
    tag.split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn the_settings_page_has_every_key_with_its_default() {
    let tags = tags(&read("docs/man/automdev.toml.5"));
    let (keys, timeouts) = (below(&tags, "KEYS"), below(&tags, "[timeouts]"));
    assert_eq!(keys.len() + timeouts.len(), tags.len(), "a tag elsewhere");

    let mut known = settings_keys("");
    assert!(known.remove("timeouts"), "{known:?}");
    assert_eq!(keys.iter().map(|tag| key(tag)).collect::<BTreeSet<_>>(), known);
    let known = settings_keys("[timeouts]");
    assert_eq!(
        timeouts.iter().map(|tag| key(tag)).collect::<BTreeSet<_>>(),
        known
    );

    // One that the page has wrong would differ.
    let text = format!("{}\n[timeouts]\n{}\n", keys.join("\n"), timeouts.join("\n"));
    assert_eq!(Settings::parse(&text), Ok(Settings::default()), "{text}");
}

#[test]
fn the_pools_page_has_every_key() {
    let tags = tags(&read("docs/man/automdev-pools.5"));
    let (keys, members) = (below(&tags, "KEYS"), below(&tags, "[[member]]"));
    assert_eq!(keys.len() + members.len(), tags.len(), "a tag elsewhere");
    assert_eq!(keys.into_iter().collect::<BTreeSet<_>>(), pool_keys(""));
    assert_eq!(
        members.into_iter().collect::<BTreeSet<_>>(),
        pool_keys("[[member]]")
    );
}

/// What a page shows as an example works.
#[test]
fn the_examples_are_good() {
    let example = |page: &str| {
        let page = read(page);
        let (_, rest) = page.split_once(".SH EXAMPLE").expect("an example");
        let (_, rest) = rest.split_once(".EX\n").expect("its text");
        let (text, _) = rest.split_once(".EE").expect("its end");
        text.replace("\\e", "\\")
    };
    let text = example("docs/man/automdev.toml.5");
    let settings = Settings::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_ne!(settings, Settings::default());
    let text = example("docs/man/automdev-pools.5");
    Pool::parse("p".parse().expect("a name"), &text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
}

/// The sample settings have every key, at its default, and the reference shows them.
#[test]
fn the_sample_settings_are_the_defaults() {
    let text = read("samples/automdev.toml");
    assert_eq!(Settings::parse(&text), Ok(Settings::default()));
    let (top, timeouts) = text.split_once("[timeouts]").expect("a table");
    for (part, table) in [(top, ""), (timeouts, "[timeouts]")] {
        let keys: BTreeSet<String> = part
            .lines()
            .filter(|line| line.starts_with(char::is_alphabetic))
            .map(key)
            .collect();
        let mut known = settings_keys(table);
        known.remove("timeouts");
        assert_eq!(keys, known);
    }
    let (_, keys) = text.split_once("\n\n").expect("a comment, then the keys");
    assert!(
        read("docs/reference.md").contains(keys),
        "the reference shows other settings than samples/automdev.toml"
    );
}
