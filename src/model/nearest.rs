//! What somebody may have meant by a name that is not there.

use std::fmt::Display;

/// More would be no help.
const MOST: usize = 3;

/// Those candidates that differ least from `name`, and by no more than a slip or two of the keyboard.
pub fn nearest<T: Display>(name: &T, candidates: Vec<T>) -> Vec<T> {
    let name: Vec<char> = name.to_string().chars().collect();
    let most = (name.len() / 4).clamp(1, 3);
    let mut near: Vec<(usize, T)> = candidates
        .into_iter()
        .map(|candidate| (distance(&name, &candidate.to_string()), candidate))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    let least = near.iter().map(|(distance, _)| *distance).min();
    near.retain(|(distance, _)| Some(*distance) == least);
    near.into_iter()
        .take(MOST)
        .map(|(_, candidate)| candidate)
        .collect()
}

/// How many characters have to be put in, taken out or replaced, two swapped neighbours counting as two.
fn distance(from: &[char], to: &str) -> usize {
    let mut row: Vec<usize> = (0..=from.len()).collect();
    for (line, right) in to.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, left) in from.iter().enumerate() {
            let replaced = diagonal + usize::from(*left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[from.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_a_stranger_is_not() {
        let there = || vec!["0000:41:00.0", "0000:42:00.0", "matrix", "mtty"];
        for (name, found) in [
            ("0000:41:00.1", vec!["0000:41:00.0"]),
            ("0000:43:00.0", vec!["0000:41:00.0", "0000:42:00.0"]),
            ("mttty", vec!["mtty"]),
            ("matirx", vec![]),
            ("matrx", vec!["matrix"]),
            ("mdpy", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(nearest(&name, there()), found, "{name}");
        }
    }
}
