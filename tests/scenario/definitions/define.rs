//! What `define` writes, and what it refuses to.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

#[test]
fn a_definition_is_written_as_mdevctl_writes_it() {
    let host = Tree::new();
    host.mtty();
    let printed = automdev(
        &host,
        &format!(
            "define --parent mtty --type mtty-2 --uuid {A} --attribute b=1=2 --attribute a/b= --start auto"
        ),
    )
    .printed();
    assert_eq!(printed, format!("{A}\n{}", hostdev("vfio-pci", A)));
    assert_eq!(
        stored(&host, "mtty", A),
        "{\n  \"mdev_type\": \"mtty-2\",\n  \"start\": \"auto\",\n  \"attrs\": [\n    {\n      \"b\": \"1=2\"\n    \
         },\n    {\n      \"a/b\": \"\"\n    }\n  ]\n}"
    );
    assert_eq!(mode(&host, "etc/mdevctl.d/mtty"), 0o755);
    assert_eq!(mode(&host, &format!("etc/mdevctl.d/mtty/{A}")), 0o644);
    assert_eq!(
        host.names("etc/mdevctl.d/mtty"),
        [A],
        "nothing else is left there"
    );
}

#[test]
fn a_uuid_is_made_up_where_none_is_given() {
    let host = Tree::new();
    host.mtty();
    let mut uuids = Vec::new();
    for _ in 0..3 {
        let printed = automdev(&host, "define --parent mtty --type mtty-1").printed();
        uuids.push(printed.lines().next().expect("a UUID").to_owned());
    }
    uuids.sort();
    uuids.dedup();
    assert_eq!(uuids.len(), 3);
    assert_eq!(host.names("etc/mdevctl.d/mtty"), uuids);
}

#[test]
fn the_store_is_made_where_there_is_none() {
    let host = Tree::new();
    host.mtty();
    fs::remove_dir(host.at("etc/mdevctl.d")).expect("an empty folder");
    automdev(&host, "define --parent mtty --type mtty-1").printed();
    assert_eq!(mode(&host, "etc/mdevctl.d"), 0o755);
}

#[test]
fn twice_is_once_and_another_one_is_refused() {
    let host = Tree::new();
    host.mtty();
    let path = format!("etc/mdevctl.d/mtty/{A}");
    host.file(
        &path,
        r#"{"zz":{"b":1,"a":[]},"start":"manual","mdev_type":"mtty-1","attrs":[{"a":"1"}],"aa":null}"#,
    );
    let before = host.snapshot();
    let inode = || fs::metadata(host.at(&path)).expect("a file").ino();
    let old = inode();
    let line = format!("define --uuid {A} --parent mtty --type");
    let printed = automdev(&host, &format!("{line} mtty-1 --attribute a=1")).printed();
    assert_eq!(printed, format!("{A}\n{}", hostdev("vfio-pci", A)));
    before.assert_unchanged(&host.snapshot());
    assert_eq!(inode(), old, "it was written anew");

    for (rest, differences) in [
        ("mtty-2 --attribute a=1", "  type: mtty-1, not mtty-2\n"),
        (
            "mtty-1 --attribute a=1 --start auto",
            "  start: manual, not auto\n",
        ),
        ("mtty-1", "  attributes: a = \"1\"; not none\n"),
        (
            "mtty-1 --attribute a=2 --attribute b=",
            "  attributes: a = \"1\"; not a = \"2\", b = \"\"\n",
        ),
    ] {
        assert_eq!(
            automdev(&host, &format!("{line} {rest}")).failed(),
            format!(
                "automdev: /{path} is there already, and different:\n{differences}nothing was changed; --force \
                 replaces it\n"
            )
        );
        before.assert_unchanged(&host.snapshot());
    }

    automdev(&host, &format!("{line} mtty-2 --force")).printed();
    assert_eq!(
        stored(&host, "mtty", A),
        "{\n  \"zz\": {\n    \"b\": 1,\n    \"a\": []\n  },\n  \"start\": \"manual\",\n  \"mdev_type\": \
         \"mtty-2\",\n  \"attrs\": [],\n  \"aa\": null\n}",
        "what is not ours keeps its place"
    );
}

#[test]
fn a_broken_one_is_replaced_by_force_alone() {
    let host = Tree::new();
    host.mtty().file(&format!("etc/mdevctl.d/mtty/{A}"), "{");
    let line = format!("define --uuid {A} --parent mtty --type mtty-1");
    assert_eq!(
        automdev(&host, &line).failed(),
        format!(
            "automdev: /etc/mdevctl.d/mtty/{A} is there already, and broken: line 1, column 1: the JSON ends \
             too early; mend it, or replace it with --force\n"
        )
    );
    automdev(&host, &format!("{line} --force")).printed();
    assert!(stored(&host, "mtty", A).contains("mtty-1"));
}

#[test]
fn a_parent_goes_by_each_of_its_names() {
    for (parent, kernel) in [
        ("0000:41:00.0", "0000:41:00.0"),
        ("41:00.0", "0000:41:00.0"),
        ("pci_0000_41_00_0", "0000:41:00.0"),
        ("matrix", "matrix"),
        ("ap_matrix", "matrix"),
        ("0.0.0052", "0.0.0052"),
        ("css_0_0_0052", "0.0.0052"),
        ("mtty_mtty", "mtty"),
    ] {
        let host = Tree::new();
        host.mtty().nvidia("0000:41:00.0").matrix().subchannel("0.0.0052");
        automdev(&host, &format!("define --uuid {A} --parent {parent} --type x")).warned();
        assert!(
            host.at(format!("etc/mdevctl.d/{kernel}/{A}")).exists(),
            "{parent}"
        );
    }
}

#[test]
fn the_model_is_the_types() {
    let host = Tree::new();
    host.matrix().subchannel("0.0.0052");
    for (parent, mdev_type, model) in [
        ("matrix", "vfio_ap-passthrough", "vfio-ap"),
        ("0.0.0052", "vfio_ccw-io", "vfio-ccw"),
        // Those that are not there, as far as their names tell.
        ("0.0.0053", "vfio_ccw-io", "vfio-ccw"),
        ("0000:41:00.0", "nvidia-63", "vfio-pci"),
    ] {
        let line = format!("define --uuid {A} --parent {parent} --type {mdev_type}");
        assert_eq!(
            automdev(&host, &line).stdout,
            format!("{A}\n{}", hostdev(model, A))
        );
    }
}

#[test]
fn what_may_come_later_is_a_warning() {
    let host = Tree::new();
    host.mtty().nvidia("0000:41:00.0");
    for (parent, mdev_type, warning) in [
        (
            "0000:14:00.0",
            "nvidia-63",
            "this host has no device 0000:14:00.0 now (did you mean 0000:41:00.0?)",
        ),
        (
            "mtyt",
            "mtty-2",
            "this host has no device mtyt now (did you mean mtty?)",
        ),
        ("matrix", "x", "this host has no device matrix now"),
        (
            "mtty",
            "mtty-3",
            "mtty offers no type mtty-3 now (did you mean mtty-1, mtty-2?); automdev types --parent mtty shows what it does",
        ),
    ] {
        let back = format!("undefine {A} --parent {parent}");
        assert_eq!(
            automdev(
                &host,
                &format!("define --uuid {A} --parent {parent} --type {mdev_type}")
            )
            .warned(),
            format!(
                "automdev: warning: {warning}\n\
                 automdev: note: it is defined all the same; automdev {back} takes that back\n"
            )
        );
        assert_eq!(
            automdev(&host, &back).printed(),
            format!("removed /etc/mdevctl.d/{parent}/{A}\n")
        );
    }
    automdev(&host, &format!("define --uuid {A} --parent mtty --type mtty-1")).printed();
    assert_eq!(
        automdev(
            &host,
            &format!("define --uuid {A} --parent 41:00.0 --type nvidia-222")
        )
        .warned(),
        format!(
            "automdev: note: {A} is defined on mtty, too; the first of them, by name, that can host it is taken\n"
        )
    );
}

#[test]
fn nothing_is_written_outside_the_store() {
    let host = Tree::new();
    host.mtty().folder("etc/elsewhere");
    symlink("../elsewhere", host.at("etc/mdevctl.d/mdpy")).expect("a link");
    host.file("etc/mdevctl.d/file", "");
    let before = host.snapshot();
    for (parent, why) in [
        (
            "mdpy",
            "/etc/mdevctl.d/mdpy is a link or no folder; a definition is written nowhere else",
        ),
        (
            "file",
            "/etc/mdevctl.d/file is a link or no folder; a definition is written nowhere else",
        ),
        (
            "scripts.d",
            "/etc/mdevctl.d/scripts.d is mdevctl's folder of scripts, no parent's",
        ),
    ] {
        let line = format!("define --uuid {A} --parent {parent} --type x --force");
        assert_eq!(
            automdev(&host, &line).failed(),
            format!("automdev: cannot define {A}: {why}\n")
        );
        before.assert_unchanged(&host.snapshot());
    }
    for parent in ["..", ".", "", "../elsewhere", "a/b", "a\nb"] {
        let ended = automdev_with(&host, &["define", "--parent", parent, "--type", "x"], "");
        assert!(ended.failed().contains("is not a parent's name"), "{parent}");
        before.assert_unchanged(&host.snapshot());
    }
    for line in [
        "define --parent mtty --type ..",
        "define --parent mtty --type a/b",
        "define --parent mtty --type x --attribute ../a=1",
        "define --parent mtty --type x --attribute /a=1",
        "define --parent mtty --type x --attribute a",
        "define --parent mtty --type x --uuid ../x",
        "define --parent mtty",
        "define",
        "define --type x",
        "define - --type x",
        "define - --attribute a=1",
    ] {
        assert_eq!(automdev(&host, line).status, Some(2), "{line}");
        before.assert_unchanged(&host.snapshot());
    }
}

#[test]
fn a_link_in_the_place_of_a_definition_is_never_followed() {
    let host = Tree::new();
    host.mtty()
        .folder("etc/mdevctl.d/mtty")
        .file("etc/precious", "mine");
    let file = format!("etc/mdevctl.d/mtty/{A}");
    host.link_text(&file, "../../precious");
    let line = format!("define --uuid {A} --parent mtty --type mtty-1");
    automdev(&host, &line).failed();
    automdev(&host, &format!("{line} --force")).printed();
    assert_eq!(host.read("etc/precious").as_deref(), Some("mine"));
    assert!(stored(&host, "mtty", A).contains("mtty-1"));

    fs::remove_file(host.at(&file)).expect("a definition");
    host.link_text(&file, "nowhere");
    assert_eq!(
        automdev(&host, &line).failed(),
        format!(
            "automdev: /{file} is there already, and broken: it is a link that leads nowhere; mend it, or replace \
             it with --force\n"
        )
    );
    assert!(!host.at("etc/mdevctl.d/mtty/nowhere").exists());
}
