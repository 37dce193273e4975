//! The sample hosts are as the kernel would show them.

use std::fs;
use std::path::Path;

use super::*;
use crate::support::samples;

const SAMPLES: [&str; 4] = ["gvtg", "mtty", "nvidia", "s390"];

#[test]
fn there_are_no_others() {
    let names = fs::read_dir(samples()).expect("the samples").flatten();
    let mut names: Vec<_> = names.map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, SAMPLES);
}

#[test]
fn what_is_left_fits_to_what_is_active() {
    for name in SAMPLES {
        let tree = Tree::of_sample(name);
        let before = tree.snapshot();
        tree.kernel().recount();
        before.assert_unchanged(&tree.snapshot());
    }
}

#[test]
fn every_link_leads_somewhere() {
    for name in SAMPLES {
        let root = samples().join(name);
        assert_links_lead_somewhere(&root, &root);
    }
}

fn assert_links_lead_somewhere(root: &Path, folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder of a sample").flatten() {
        let path = entry.path();
        if !path.is_symlink() {
            if path.is_dir() {
                assert_links_lead_somewhere(root, &path);
            }
            continue;
        }
        let target = fs::read_link(&path).expect("a link");
        let found = match target.strip_prefix("/") {
            // What a process has open is told by its path on the host.
            Ok(below) => root.join(below),
            Err(_) => fs::canonicalize(&path).unwrap_or_default(),
        };
        let found = fs::canonicalize(found).unwrap_or_default();
        let root = fs::canonicalize(root).expect("a sample");
        assert!(
            found.starts_with(root),
            "{} → {}",
            path.display(),
            target.display()
        );
    }
}

#[test]
fn every_parent_with_room_takes_a_device_and_gives_it_back() {
    for (name, with_room) in [("gvtg", 1), ("mtty", 3), ("nvidia", 4), ("s390", 3)] {
        let tree = Tree::of_sample(name);
        let mut took = 0;
        for parent in tree.names("sys/class/mdev_bus") {
            let before = counts(&tree, &parent);
            let types = tree.names(format!("sys/class/mdev_bus/{parent}/mdev_supported_types"));
            let made = types.iter().any(|name| create(&tree, &parent, name, A).is_ok());
            if made {
                took += 1;
                assert_ne!(counts(&tree, &parent), before, "{name}, {parent}");
                assert_eq!(remove(&tree, A), Ok(()), "{name}, {parent}");
            }
            assert_eq!(counts(&tree, &parent), before, "{name}, {parent}");
        }
        assert_eq!(took, with_room, "{name}");
    }
}

#[test]
fn whoever_has_a_device_open_keeps_it() {
    for (name, domains) in [("gvtg", 1), ("mtty", 0), ("nvidia", 2), ("s390", 1)] {
        let tree = Tree::of_sample(name);
        let mut open = 0;
        for uuid in tree.names("sys/bus/mdev/devices") {
            if remove(&tree, &uuid) == Err(WriteError::TimedOut) {
                open += 1;
            }
        }
        assert_eq!(open, domains, "{name}");
    }
}
