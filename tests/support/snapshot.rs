//! What a tree holds, to say what changed in it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Everything below a root but the fake's own folder: path → what is there.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Snapshot(BTreeMap<String, String>);

impl Snapshot {
    pub(crate) fn take(root: &Path) -> Self {
        let mut entries = BTreeMap::new();
        collect(root, "", &mut entries);
        Snapshot(entries)
    }

    /// The same without the paths that start with one of these.
    pub(crate) fn without(mut self, prefixes: &[&str]) -> Self {
        self.0
            .retain(|path, _| !prefixes.iter().any(|prefix| path.starts_with(prefix)));
        self
    }

    /// What is otherwise in `later`: lines that start with `-` (gone), `+` (new) or `~` (changed).
    pub(crate) fn changes(&self, later: &Snapshot) -> Vec<String> {
        let mut changes = Vec::new();
        for (path, what) in &self.0 {
            match later.0.get(path) {
                None => changes.push(format!("- {path}: {what}")),
                Some(now) if now != what => changes.push(format!("~ {path}: {what} → {now}")),
                Some(_) => {}
            }
        }
        let new = later.0.iter().filter(|(path, _)| !self.0.contains_key(*path));
        changes.extend(new.map(|(path, what)| format!("+ {path}: {what}")));
        changes
    }

    /// Fails the test, saying what changed, unless `later` is the same.
    #[track_caller]
    pub(crate) fn assert_unchanged(&self, later: &Snapshot) {
        let changes = self.changes(later);
        assert!(changes.is_empty(), "the host changed:\n{}", changes.join("\n"));
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(path, what)| writeln!(f, "{path}: {what}"))
    }
}

fn collect(root: &Path, below: &str, entries: &mut BTreeMap<String, String>) {
    let folder = fs::read_dir(root.join(below)).expect("a folder of the tree");
    for entry in folder.map(|entry| entry.expect("an entry of the tree")) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() {
            name
        } else {
            format!("{below}/{name}")
        };
        if path == "fake" {
            continue;
        }
        let kind = entry.file_type().expect("the kind of an entry");
        let what = if kind.is_symlink() {
            let target = fs::read_link(entry.path()).expect("a link of the tree");
            format!("→ {}", target.display())
        } else {
            let mode = entry.metadata().expect("an entry's mode").permissions().mode() & 0o7777;
            if kind.is_dir() {
                collect(root, &path, entries);
                format!("folder {mode:04o}")
            } else if kind.is_file() {
                let bytes = fs::read(entry.path()).unwrap_or_default();
                format!("{mode:04o} {:?}", String::from_utf8_lossy(&bytes))
            } else {
                format!("{kind:?}")
            }
        };
        entries.insert(path, what);
    }
}
