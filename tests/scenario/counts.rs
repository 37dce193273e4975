//! What `docs/reliability.md` says in numbers is what the tests have counted.

/// The page has a row of these cells.
#[track_caller]
pub(crate) fn assert_told(what: &str, points: u64, tried: u64) {
    let row = format!("| {what} | {points} | {tried} |");
    println!("{row}");
    let page = include_str!("../../docs/reliability.md");
    assert!(
        page.lines().any(|line| line == row),
        "docs/reliability.md does not say {row}"
    );
}
