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
        .filter_map(|candidate| Some((within(most, &name, &candidate.to_string())?, candidate)))
        .collect();
    let least = near.iter().map(|(distance, _)| *distance).min();
    near.retain(|(distance, _)| Some(*distance) == least);
    near.into_iter()
        .take(MOST)
        .map(|(_, candidate)| candidate)
        .collect()
}

/// How many characters have to be put in, taken out, replaced, or swapped with their neighbour, where that is at most
/// so many. A domain's every attribute is asked about: most are told apart by their lengths.
fn within(most: usize, from: &[char], to: &str) -> Option<usize> {
    if from.len().abs_diff(to.chars().count()) > most {
        return None;
    }
    let to: Vec<char> = to.chars().collect();
    let width = from.len() + 1;
    let (mut before, mut next) = (vec![0; width], vec![0; width]);
    let mut row: Vec<usize> = (0..width).collect();
    for (line, right) in to.iter().enumerate() {
        next[0] = line + 1;
        for (column, left) in from.iter().enumerate() {
            let replaced = row[column] + usize::from(left != right);
            let mut least = replaced.min(row[column + 1] + 1).min(next[column] + 1);
            if line > 0 && column > 0 && to[line - 1] == *left && from[column - 1] == *right {
                least = least.min(before[column - 1] + 1);
            }
            next[column + 1] = least;
        }
        // The line before last is not needed any more.
        std::mem::swap(&mut before, &mut row);
        std::mem::swap(&mut row, &mut next);
    }
    Some(row[from.len()]).filter(|distance| *distance <= most)
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
            ("matirx", vec!["matrix"]),
            ("mtyt", vec!["mtty"]),
            ("mytt", vec![]),
            ("ymtt", vec![]),
            ("matrx", vec!["matrix"]),
            ("mdpy", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(nearest(&name, there()), found, "{name}");
        }
    }
}
