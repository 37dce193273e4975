//! Over many generated domains: what rewriting does, and that it does nothing else.

use std::collections::BTreeSet;

use automdev::model::rewrite::{PoolUuids, rewrite};

use super::generate::{Entry, Generated, generate};
use super::oracle::{Expected, expect, look, rest};

const SEEDS: u64 = 4_000;

fn each(act: impl Fn(u64) + Sync) {
    std::thread::scope(|scope| {
        for part in 0..4 {
            let act = &act;
            scope.spawn(move || (part..SEEDS).step_by(4).for_each(act));
        }
    });
}

#[test]
fn the_result_is_the_same_tree_but_for_the_lowering() {
    each(|seed| {
        let domain = generate(seed);
        let expected = expect(&domain);
        let text = &domain.text;
        let rewritten = rewrite(text, PoolUuids::Keep)
            .unwrap_or_else(|faults| panic!("seed {seed}: {faults:?}\n{text}"))
            .text;
        let (devices, entries) = look(&rewritten);
        assert_eq!(devices, expected.devices, "seed {seed}\n{text}\n{rewritten}");
        assert_eq!(
            entries.len(),
            expected.entries.len(),
            "seed {seed}\n{text}\n{rewritten}"
        );
        let entries: BTreeSet<_> = entries.into_iter().collect();
        assert_eq!(entries, expected.entries, "seed {seed}\n{text}\n{rewritten}");
        assert_eq!(rest(&rewritten), rest(text), "seed {seed}\n{text}\n{rewritten}");
    });
}

#[test]
fn rewriting_twice_is_rewriting_once() {
    each(|seed| {
        let text = generate(seed).text;
        for pools in [PoolUuids::Keep, PoolUuids::Fresh] {
            let once = rewrite(&text, pools).expect("good").text.into_owned();
            for again in [pools, PoolUuids::Keep] {
                let twice = rewrite(&once, again).expect("good");
                assert!(!twice.is_changed(), "seed {seed}\n{text}\n{once}\n{}", twice.text);
            }
        }
    });
}

/// What had to go has gone, and all the rest is still there, byte for byte and in its order. That what is new is
/// what had to come, and nothing else, the trees say already.
#[test]
fn every_byte_that_need_not_change_stays() {
    each(|seed| {
        let domain = generate(seed);
        let expected = expect(&domain);
        let rewritten = rewrite(&domain.text, PoolUuids::Keep).expect("good");
        let context = || format!("seed {seed}\n{}\n{}", domain.text, rewritten.text);
        if expected.is_same {
            assert!(
                !rewritten.is_changed() && rewritten.text == domain.text,
                "{}",
                context()
            );
        }
        let kept = kept(&domain, &expected);
        let mut came = rewritten.text.chars();
        for (number, character) in kept.chars().enumerate() {
            assert!(
                came.any(|other| other == character),
                "character {number} of what should stay:\n{kept}\n{}",
                context()
            );
        }
        // The line ends and the indentation are the file's own.
        let ends = |text: &str| {
            let (crlf, cr, lf) = (
                text.matches("\r\n").count(),
                text.matches('\r').count(),
                text.matches('\n').count(),
            );
            (crlf > 0, cr > crlf, lf > crlf)
        };
        let (before, after) = (ends(&domain.text), ends(&rewritten.text));
        if before != (false, false, false) {
            let is_new = after.0 && !before.0 || after.1 && !before.1 || after.2 && !before.2;
            assert!(!is_new, "{before:?} {after:?} {}", context());
        }
        if !domain.text.contains('\t') {
            assert!(!rewritten.text.contains('\t'), "{}", context());
        }
    });
}

/// The text without all that has to go.
fn kept(domain: &Generated, expected: &Expected) -> String {
    let mut kept = domain.bared.clone();
    let after = |old: &Entry| expected.entries.iter().find(|new| new.uuid == old.uuid);
    // From the end, so that what is in front stays where it is.
    for (number, list) in domain.lists.iter().enumerate().rev() {
        let first = &domain.entries[domain.lists[0].entries.clone()];
        let takes_more = expected
            .entries
            .iter()
            .any(|new| first.iter().all(|old| old.uuid != new.uuid));
        let mut end = list.range.end;
        let mut gone = 0;
        for index in list.entries.clone().rev() {
            let (entry, range) = (&domain.entries[index], &domain.entry_ranges[index]);
            let cut = match after(entry) {
                Some(new) if number == 0 => {
                    let Some(pool) = entry.pool.as_ref().filter(|_| new.pool != entry.pool) else {
                        continue;
                    };
                    let start =
                        range.start + kept[range.clone()].find("pool='").expect("there") + "pool='".len();
                    start..start + pool.len()
                }
                _ => {
                    gone += 1;
                    kept[..range.start].trim_end().len()..range.end
                }
            };
            end -= cut.len();
            kept.replace_range(cut, "");
        }
        // A list of which nothing is left goes too.
        let inner = kept[list.range.start..end].split_once('>').expect("a tag").1;
        let is_empty = inner.trim_start().starts_with("</");
        if gone > 0 && is_empty && !(number == 0 && takes_more) {
            let blank = kept[..list.range.start].trim_end().len();
            kept.replace_range(blank..end, "");
        }
    }
    kept
}
