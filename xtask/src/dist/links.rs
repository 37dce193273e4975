//! The links of the documents as they are installed: what they lead to is installed, too.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{read, tree};

/// What is installed by another name than in the source.
const RENAMED: [(&str, &str); 1] = [("CHANGELOG.md", "changelog.gz")];

/// How the paths begin of what is only in the source, or where a distribution wants it: a link to it becomes its words.
const ELSEWHERE: [&str; 4] = ["CONTRIBUTING.md", "LICENSE-", "src/", "xtask/"];

/// A link of a text: `[WORDS](TARGET)`.
struct Link<'a> {
    whole: &'a str,
    words: &'a str,
    target: &'a str,
}

/// Adapts the links of all documents in the folder to what is installed.
pub(super) fn adapt(folder: &Path) -> Result<()> {
    for path in documents(folder)? {
        let text = read(&path)?;
        tree::write(&path, &adapted(&text), 0o644)?;
    }
    Ok(())
}

/// Every link of the installed documents leads to something that is installed, and every sample that they name is
/// there.
pub(super) fn check(folder: &Path) -> Result<()> {
    for path in documents(folder)? {
        let text = read(&path)?;
        let name = path.strip_prefix(folder).unwrap_or(&path).display();
        let here = path.parent().unwrap_or(folder);
        for link in links(&text) {
            let (file, _) = link.target.split_once('#').unwrap_or((link.target, ""));
            if is_local(link.target) && !here.join(file).exists() {
                bail!("{name}: {} leads to nothing that is installed", link.target);
            }
        }
        let commands = text.lines().filter(|line| line.starts_with("$ "));
        let words = commands.flat_map(str::split_whitespace);
        for sample in words.filter(|word| word.starts_with("samples/")) {
            if !folder.join(sample).exists() {
                bail!("{name}: {sample} is not installed");
            }
        }
    }
    Ok(())
}

/// The documents that have links.
fn documents(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in [folder.to_owned(), folder.join("docs"), folder.join("hooks")] {
        let files = tree::files(&folder)?.into_iter();
        found.extend(files.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    Ok(found)
}

fn is_local(target: &str) -> bool {
    !target.contains("://")
}

/// The links of a text, in their order.
fn links(text: &str) -> Vec<Link<'_>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("](").map(|at| from + at) {
        let target = at + 2;
        let Some(end) = text[target..].find(')').map(|end| target + end) else {
            break;
        };
        if let Some(start) = text[from..at].rfind('[').map(|start| from + start) {
            found.push(Link {
                whole: &text[start..=end],
                words: &text[start + 1..at],
                target: &text[target..end],
            });
        }
        from = end + 1;
    }
    found
}

fn adapted(text: &str) -> String {
    let mut adapted = text.to_owned();
    for Link { whole, words, target } in links(text) {
        let (file, _) = target.split_once('#').unwrap_or((target, ""));
        // All documents are at most one folder deep.
        let (up, file) = file
            .strip_prefix("../")
            .map_or(("", file), |below| ("../", below));
        if ELSEWHERE.iter().any(|start| file.starts_with(start)) {
            adapted = adapted.replace(whole, words);
        }
        if let Some((_, name)) = RENAMED.iter().find(|(source, _)| *source == file) {
            adapted = adapted.replace(whole, &format!("[{}]({up}{name})", words.replace(file, name)));
        }
    }
    adapted
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::vm::Temporary;

    #[test]
    fn what_is_not_installed_is_no_link() {
        for (text, installed) in [
            ("[CONTRIBUTING.md](CONTRIBUTING.md): how", "CONTRIBUTING.md: how"),
            ("([more](../CONTRIBUTING.md#documents))", "(more)"),
            (
                "see\n[`src/host/ledger.rs`](../src/host/ledger.rs).",
                "see\n`src/host/ledger.rs`.",
            ),
            ("[CHANGELOG.md](CHANGELOG.md)", "[changelog.gz](changelog.gz)"),
            ("[news](../CHANGELOG.md)", "[news](../changelog.gz)"),
            (
                "array[0] [all](docs/errors.md) of [it](https://example.org/LICENSE-MIT)",
                "array[0] [all](docs/errors.md) of [it](https://example.org/LICENSE-MIT)",
            ),
        ] {
            assert_eq!(adapted(text), installed, "{text}");
        }
    }

    #[test]
    fn a_link_to_what_is_not_there_is_found() {
        let folder = Temporary::new("links").expect("a folder");
        let write = |name: &str, text: &str| {
            tree::write(&folder.path().join(name), text, 0o644).expect("a file");
        };
        fs::create_dir(folder.path().join("hooks")).expect("a folder");
        write(
            "docs/more.md",
            "[up](../README.md) [out](https://example.org/none)",
        );
        write("README.md", "[more](docs/more.md#there) [here](#here)\n");
        check(folder.path()).expect("all are there");

        write("docs/more.md", "[up](../CONTRIBUTING.md)");
        let error = check(folder.path()).expect_err("it is not there").to_string();
        assert_eq!(
            error,
            "docs/more.md: ../CONTRIBUTING.md leads to nothing that is installed"
        );
        write("docs/more.md", "$ automdev --root samples/hosts/none list\n");
        let error = check(folder.path()).expect_err("it is not there").to_string();
        assert_eq!(error, "docs/more.md: samples/hosts/none is not installed");
    }

    /// Without the packages' other files, which need the program.
    #[test]
    fn the_documents_lead_to_what_is_installed() {
        let folder = Temporary::new("documents").expect("a folder");
        tree::lay_documents(folder.path()).expect("they are laid out");
        check(folder.path()).expect("all are there");
        assert!(folder.path().join("docs/tutorial.md").is_file());
        let parent = folder
            .path()
            .join(tree::HOSTS)
            .join("mtty/sys/class/mdev_bus/mtty");
        assert!(parent.is_symlink() && parent.is_dir());
    }
}
