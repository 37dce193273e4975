//! Definitions that come from files and other hosts.

use super::*;

const S390: &str = "669d9b23-fe1b-4ecb-be08-a2fabca99b71";

#[test]
fn a_definition_goes_from_one_host_to_another() {
    let from = Tree::of_sample("s390");
    for (format, parent) in [
        ("mdevctl", " --parent matrix"),
        ("nodedev", ""),
        ("nodedev", " --parent ap_matrix"),
    ] {
        let to = Tree::new();
        to.matrix();
        let text = automdev(&from, &format!("show {S390} --format {format}")).printed();
        let line = format!("define -{parent}");
        let arguments: Vec<&str> = line.split(' ').collect();
        let printed = automdev_with(&to, &arguments, &text).printed();
        assert_eq!(printed, format!("{S390}\n{}", hostdev("vfio-ap", S390)));
        let mut expected = stored(&from, "matrix", S390);
        if format == "nodedev" {
            // libvirt's XML does not say it.
            expected = expected.replace("auto\"", "manual\"");
        }
        let json = |text: &str| {
            serde_json::from_str::<serde_json::Value>(text)
                .expect("JSON")
                .to_string()
        };
        assert_eq!(json(&stored(&to, "matrix", S390)), json(&expected), "{format}");
    }
}

#[test]
fn what_stands_beside_a_definition_goes_with_it() {
    let (from, to) = (Tree::new(), Tree::new());
    for host in [&from, &to] {
        host.mtty();
    }
    from.file(
        &format!("etc/mdevctl.d/mtty/{A}"),
        r#"{"start":"auto","note":"rack 7","mdev_type":"mtty-2"}"#,
    );
    let text = automdev(&from, &format!("show {A} --format mdevctl")).printed();
    assert_eq!(
        text,
        format!(
            "{{\n  \"start\": \"auto\",\n  \"note\": \"rack 7\",\n  \"mdev_type\": \"mtty-2\",\n  \"uuid\": \"{A}\"\n}}\n"
        )
    );
    automdev_with(&to, &["define", "--parent", "mtty", "-"], &text).printed();
    assert_eq!(
        stored(&to, "mtty", A),
        "{\n  \"start\": \"auto\",\n  \"note\": \"rack 7\",\n  \"mdev_type\": \"mtty-2\"\n}"
    );
    // And by another UUID.
    let line = [
        "define", "--parent", "mtty", "--uuid", B, "--start", "manual", "-",
    ];
    automdev_with(&to, &line, &text).printed();
    assert_eq!(
        stored(&to, "mtty", B),
        "{\n  \"start\": \"manual\",\n  \"note\": \"rack 7\",\n  \"mdev_type\": \"mtty-2\",\n  \"attrs\": []\n}"
    );
}

#[test]
fn libvirts_xml_names_its_parent() {
    for (elements, parent) in [
        ("<parent>pci_0000_41_00_0</parent>", "0000:41:00.0"),
        ("<parent>mtty_mtty</parent>", "mtty"),
        ("<parent>computer</parent>", ""),
        ("", ""),
    ] {
        let host = Tree::new();
        host.mtty().nvidia("0000:41:00.0");
        let xml = |inner: &str| {
            format!(
                "<device>{elements}<capability type='mdev'><type id='mtty-1'/><uuid>{A}</uuid>{inner}</capability></device>"
            )
        };
        let ended = automdev_with(&host, &["define", "-"], &xml(""));
        if parent.is_empty() {
            assert_eq!(
                ended.failed(),
                "automdev: the file does not say on which parent the device is to be; add --parent PARENT\n"
            );
        } else {
            ended.warned();
            assert!(
                host.at(format!("etc/mdevctl.d/{parent}/{A}")).exists(),
                "{elements}"
            );
        }
        let with_address = xml("<parent_addr>mdpy</parent_addr>");
        automdev_with(&host, &["define", "-"], &with_address).warned();
        assert!(host.at(format!("etc/mdevctl.d/mdpy/{A}")).exists(), "{elements}");
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    let host = Tree::new();
    host.mtty();
    let before = host.snapshot();
    for (text, why) in [
        ("", "there is nothing in it"),
        ("[]", "neither libvirt's XML of a node device nor mdevctl's JSON"),
        ("\n{", "line 2, column 1: the JSON ends too early"),
        ("{}", "the member mdev_type is missing"),
        ("<device/>", "no <capability>"),
        ("<device>", "it is not the XML of a node device"),
        ("{\"mdev_type\":\"..\"}", "another folder"),
    ] {
        let complaint = automdev_with(&host, &["define", "--parent", "mtty", "-"], text).failed();
        assert!(
            complaint.starts_with("automdev: standard input: ") && complaint.contains(why),
            "{text}: {complaint}"
        );
        before.assert_unchanged(&host.snapshot());
    }
    assert_eq!(
        automdev(&host, "define --parent mtty /nowhere").failed(),
        "automdev: cannot read /nowhere: No such file or directory (os error 2)\n"
    );
}

#[test]
fn one_of_several_has_to_be_named() {
    let host = Tree::new();
    host.mtty().mdpy();
    host.definition("mtty", A, "mtty-1", &[])
        .definition("mdpy", A, "mdpy-hd", &[]);
    assert_eq!(
        automdev(&host, &format!("show {A} --format nodedev")).failed(),
        format!("automdev: {A} is defined on mdpy, mtty; say which one is meant with --parent\n")
    );
    let text = automdev(&host, &format!("show {A} --format nodedev --parent mtty_mtty")).printed();
    assert!(
        text.contains("<type id='mtty-1'/>") && text.contains("<parent>mtty_mtty</parent>"),
        "{text}"
    );
}

#[test]
fn one_that_is_only_active_is_shown_as_it_would_be_defined() {
    let host = Tree::new();
    host.mtty().active("mtty", "mtty-2", A);
    let ended = automdev(&host, &format!("show {A} --format mdevctl"));
    assert_eq!(
        ended.stderr,
        format!("automdev: note: {A} has no definition; this one would make it anew, without attributes\n")
    );
    let definition: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(definition["mdev_type"], "mtty-2");
}
