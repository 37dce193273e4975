//! What is run on another host: one line, which ssh hands to the login shell there.

/// A word that means itself to a shell, whatever is in it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "-_./:@%+".contains(one);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The line of these words.
#[must_use]
pub fn line<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word.as_ref())).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_means_itself() {
        for (word, written) in [
            ("automdev", "automdev"),
            ("0000:41:00.0", "0000:41:00.0"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(x)`y`\\", "'$(x)`y`\\'"),
            ("a'; reboot; '", r"'a'\''; reboot; '\'''"),
            ("~", "'~'"),
            ("a=b", "'a=b'"),
            ("*", "'*'"),
        ] {
            assert_eq!(quoted(word), written);
        }
        assert_eq!(line(&["a", "b c", "-"]), "a 'b c' -");
    }
}
