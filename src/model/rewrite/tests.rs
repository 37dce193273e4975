mod pool;

use super::*;

const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

/// In the texts of these tests, `{A}` and `{B}` are UUIDs and `{NS}` is our namespace's declaration under the
/// prefix `automdev`.
fn fill(text: &str) -> String {
    text.replace("{A}", A)
        .replace("{B}", B)
        .replace("{NS}", "xmlns:automdev=\"urn:automdev:domain:1\"")
}

/// Checks what becomes of a text, and that nothing more becomes of it.
fn check(before: &str, after: &str) {
    let (before, after) = (fill(before), fill(after));
    let rewritten = rewrite(&before, PoolUuids::Keep).expect(&before);
    assert_eq!(rewritten.text, after, "\nfrom {before}");
    assert_eq!(rewritten.is_changed(), before != after, "{before}");
    let again = rewrite(&after, PoolUuids::Keep).expect(&after);
    assert!(!again.is_changed(), "\nfrom {after}\ncomes {}", again.text);
}

/// The same, of the text in several line ends.
fn check_lines(before: &str, after: &str) {
    for line_end in ["\n", "\r\n", "\r"] {
        check(&before.replace('\n', line_end), &after.replace('\n', line_end));
    }
}

#[test]
fn the_attribute_becomes_a_list() {
    check_lines(
        "<domain type='kvm'>
  <name>vm</name> <!-- mine -->
  <memory>1</memory>
  <devices>
    <hostdev mode='subsystem'
             autocreate = \"yes\"
             type='mdev' model='vfio-pci'>
      <source><address uuid='{A}'/></source>
    </hostdev>
    <hostdev mode='subsystem' type='mdev' model='vfio-pci' autocreate='yes' >
      <source>
        <address uuid='{B}' />
      </source>
    </hostdev>
  </devices>
</domain>
",
        "<domain type='kvm'>
  <name>vm</name> <!-- mine -->
  <metadata>
    <automdev:devices {NS}>
      <automdev:mdev uuid=\"{A}\"/>
      <automdev:mdev uuid=\"{B}\"/>
    </automdev:devices>
  </metadata>
  <memory>1</memory>
  <devices>
    <hostdev mode='subsystem'
             type='mdev' model='vfio-pci'>
      <source><address uuid='{A}'/></source>
    </hostdev>
    <hostdev mode='subsystem' type='mdev' model='vfio-pci' >
      <source>
        <address uuid='{B}' />
      </source>
    </hostdev>
  </devices>
</domain>
",
    );
}

/// A domain with one marked device, and what it becomes, with these texts in place of the rest.
fn check_head(before: &str, after: &str) {
    let hostdev = "<hostdev type='mdev' model='vfio-pci'><source><address uuid='{A}'/></source></hostdev>";
    let marked = hostdev.replace("<hostdev", "<hostdev autocreate='yes'");
    let text = |head: &str, hostdev: &str| {
        format!(
            "<?xml version='1.0'?>\n<!-- x -->\n\
             <domain>{head}<devices>{hostdev}</devices>\n</domain>\n"
        )
    };
    check_lines(&text(before, &marked), &text(after, hostdev));
}

#[test]
fn the_list_is_put_where_and_how_the_file_would_have_it() {
    for (before, after) in [
        // Nothing there: behind the names, or in front of everything.
        (
            "\n\t<devices/>\n\t",
            "\n\t<metadata>\n\t\t<automdev:devices {NS}>\n\t\t\t<automdev:mdev uuid=\"{A}\"/>\n\t\t</automdev:devices>\n\t</metadata>\n\t<devices/>\n\t",
        ),
        (
            "\n <!-- a -->\n <title>t</title>\t\n\n <memory/>\n ",
            "\n <!-- a -->\n <title>t</title>\t\n <metadata>\n  <automdev:devices {NS}>\n   <automdev:mdev uuid=\"{A}\"/>\n  </automdev:devices>\n </metadata>\n\n <memory/>\n ",
        ),
        (
            "\n  <name>a</name><uuid>{B}</uuid><memory/>\n  ",
            "\n  <name>a</name><uuid>{B}</uuid>\n  <metadata>\n    <automdev:devices {NS}>\n      <automdev:mdev uuid=\"{A}\"/>\n    </automdev:devices>\n  </metadata><memory/>\n  ",
        ),
        // All on one line.
        (
            "<name>a</name>",
            "<name>a</name><metadata><automdev:devices {NS}><automdev:mdev uuid=\"{A}\"/></automdev:devices></metadata>",
        ),
        (
            "",
            "<metadata><automdev:devices {NS}><automdev:mdev uuid=\"{A}\"/></automdev:devices></metadata>",
        ),
        // No indentation at all.
        (
            "\n<name>a</name>\n",
            "\n<name>a</name>\n<metadata>\n<automdev:devices {NS}>\n<automdev:mdev uuid=\"{A}\"/>\n</automdev:devices>\n</metadata>\n",
        ),
        // There is metadata, of nobody.
        (
            "\n  <metadata/>\n  ",
            "\n  <metadata>\n    <automdev:devices {NS}>\n      <automdev:mdev uuid=\"{A}\"/>\n    </automdev:devices>\n  </metadata>\n  ",
        ),
        (
            "\n  <metadata />\n  ",
            "\n  <metadata >\n    <automdev:devices {NS}>\n      <automdev:mdev uuid=\"{A}\"/>\n    </automdev:devices>\n  </metadata>\n  ",
        ),
        (
            "\n  <metadata></metadata>\n  ",
            "\n  <metadata>\n    <automdev:devices {NS}>\n      <automdev:mdev uuid=\"{A}\"/>\n    </automdev:devices>\n  </metadata>\n  ",
        ),
        (
            "\n  <metadata>\n  </metadata>\n  ",
            "\n  <metadata>\n    <automdev:devices {NS}>\n      <automdev:mdev uuid=\"{A}\"/>\n    </automdev:devices>\n  </metadata>\n  ",
        ),
        (
            "<metadata/>",
            "<metadata><automdev:devices {NS}><automdev:mdev uuid=\"{A}\"/></automdev:devices></metadata>",
        ),
        (
            "<metadata> </metadata>",
            "<metadata> <automdev:devices {NS}><automdev:mdev uuid=\"{A}\"/></automdev:devices></metadata>",
        ),
        // Of others.
        (
            "\n  <metadata>\n      <x:a xmlns:x='u'><x:b/></x:a> <!-- x -->\n\n  </metadata>\n  ",
            "\n  <metadata>\n      <x:a xmlns:x='u'><x:b/></x:a> <!-- x -->\n      <automdev:devices {NS}>\n        <automdev:mdev uuid=\"{A}\"/>\n      </automdev:devices>\n\n  </metadata>\n  ",
        ),
        (
            "\n  <metadata><a xmlns='u'/></metadata>\n  ",
            "\n  <metadata><a xmlns='u'/><automdev:devices {NS}><automdev:mdev uuid=\"{A}\"/></automdev:devices></metadata>\n  ",
        ),
        // The prefix is somebody else's, or ours already.
        (
            "<metadata xmlns:automdev='u'><automdev:a/></metadata>",
            "<metadata xmlns:automdev='u'><automdev:a/><automdev:devices {NS}><automdev:mdev uuid=\"{A}\"/></automdev:devices></metadata>",
        ),
        (
            "<metadata xmlns:p='urn:automdev:domain:1'/>",
            "<metadata xmlns:p='urn:automdev:domain:1'><p:devices><p:mdev uuid=\"{A}\"/></p:devices></metadata>",
        ),
        (
            "<metadata xmlns:p='urn:automdev:domain:1'><p:devices/></metadata>",
            "<metadata xmlns:p='urn:automdev:domain:1'><p:devices><p:mdev uuid=\"{A}\"/></p:devices></metadata>",
        ),
        // There is a list.
        (
            "<metadata><automdev:devices {NS}/></metadata>",
            "<metadata><automdev:devices {NS}><automdev:mdev uuid=\"{A}\"/></automdev:devices></metadata>",
        ),
        (
            "\n <metadata>\n  <p:devices xmlns:p='urn:automdev:domain:1'>\n    <p:mdev uuid='{B}'/><!-- b -->\n  </p:devices>\n </metadata>\n ",
            "\n <metadata>\n  <p:devices xmlns:p='urn:automdev:domain:1'>\n    <p:mdev uuid='{B}'/><!-- b -->\n    <p:mdev uuid=\"{A}\"/>\n  </p:devices>\n </metadata>\n ",
        ),
        (
            "<metadata><devices xmlns='urn:automdev:domain:1'><mdev uuid='{B}'/></devices></metadata>",
            "<metadata><devices xmlns='urn:automdev:domain:1'><mdev uuid='{B}'/><mdev uuid=\"{A}\"/></devices></metadata>",
        ),
        // It is listed already.
        (
            "<metadata><automdev:devices {NS}><automdev:mdev uuid=\"{A}\"/></automdev:devices></metadata>",
            "<metadata><automdev:devices {NS}><automdev:mdev uuid=\"{A}\"/></automdev:devices></metadata>",
        ),
        (
            "<metadata><automdev:devices {NS}><automdev:mdev uuid='C2177883F1BB47F0914D32A22E3A8804'/></automdev:devices></metadata>",
            "<metadata><automdev:devices {NS}><automdev:mdev uuid='C2177883F1BB47F0914D32A22E3A8804'/></automdev:devices></metadata>",
        ),
        // Of several lists libvirt keeps the first.
        (
            "<metadata>\n<automdev:devices {NS}/>\n<a:devices xmlns:a='urn:automdev:domain:1'><a:mdev uuid='{A}'/><a:mdev uuid='{B}' pool='p'/></a:devices>\n</metadata>",
            "<metadata>\n<automdev:devices {NS}>\n  <automdev:mdev uuid=\"{A}\"/>\n  <automdev:mdev uuid=\"{B}\" pool=\"p\"/>\n</automdev:devices>\n</metadata>",
        ),
    ] {
        check_head(before, after);
    }
}

#[test]
fn the_namespace_declared_at_the_root_is_used() {
    check(
        "<domain xmlns:m='urn:automdev:domain:1'><name>a</name><devices>\
         <hostdev type='mdev' model='vfio-ap' autocreate='yes'><source><address uuid='{A}'/></source></hostdev>\
         </devices></domain>",
        "<domain xmlns:m='urn:automdev:domain:1'><name>a</name>\
         <metadata><m:devices><m:mdev uuid=\"{A}\"/></m:devices></metadata><devices>\
         <hostdev type='mdev' model='vfio-ap'><source><address uuid='{A}'/></source></hostdev>\
         </devices></domain>",
    );
}

#[test]
fn uuids_are_listed_as_libvirt_will_print_them_and_stay_as_they_are() {
    for uuid in [
        "C2177883-F1BB-47F0-914D-32A22E3A8804",
        "c2177883f1bb47f0914d32a22e3a8804",
    ] {
        let device = format!("<source><address uuid='{uuid}'/></source></hostdev></devices></domain>");
        check(
            &format!("<domain><devices><hostdev type='mdev' model='vfio-ccw' autocreate='yes'>{device}"),
            &format!(
                "<domain><metadata><automdev:devices {{NS}}><automdev:mdev uuid=\"{{A}}\"/></automdev:devices></metadata>\
                 <devices><hostdev type='mdev' model='vfio-ccw'>{device}"
            ),
        );
    }
}

/// A domain with one device that says `no`, and what it becomes, with these texts in place of its metadata.
fn check_no(before: &str, after: &str) {
    let text = |metadata: &str, attribute: &str| {
        format!(
            "<domain>\n  <metadata>{metadata}</metadata>\n  <devices>\n    <hostdev type='mdev'{attribute} model='vfio-pci'>\
             <source><address uuid='{{A}}'/></source></hostdev>\n  </devices>\n</domain>"
        )
    };
    check_lines(&text(before, "\n autocreate='no'"), &text(after, ""));
}

#[test]
fn an_explicit_no_takes_a_device_off_the_list() {
    for (before, after) in [
        ("", ""),
        (
            "\n<x:a xmlns:x='u'/>\n <automdev:devices {NS}>\n  <automdev:mdev uuid='{A}'/>\n </automdev:devices>\n",
            "\n<x:a xmlns:x='u'/>\n",
        ),
        (
            "\n <automdev:devices {NS}>\n\n  <automdev:mdev uuid='{A}'/>  \n  <automdev:mdev uuid='{B}'/>\n </automdev:devices>\n",
            "\n <automdev:devices {NS}>\n  \n  <automdev:mdev uuid='{B}'/>\n </automdev:devices>\n",
        ),
        (
            "<automdev:devices {NS}><automdev:mdev uuid='{B}'/><automdev:mdev uuid='{A}'/></automdev:devices>",
            "<automdev:devices {NS}><automdev:mdev uuid='{B}'/></automdev:devices>",
        ),
        (
            "<automdev:devices {NS}>\n  <automdev:mdev uuid='{A}'/> <!-- of a -->\n</automdev:devices>",
            "<automdev:devices {NS}>\n   <!-- of a -->\n</automdev:devices>",
        ),
        (
            "<automdev:devices {NS}><automdev:mdev uuid='{A}' pool='p'/><automdev:mdev uuid='{A}'/></automdev:devices>",
            "",
        ),
        (
            "<automdev:devices {NS}>\n  <automdev:mdev uuid='{A}'/></automdev:devices>",
            "",
        ),
    ] {
        check_no(before, after);
    }
}

#[test]
fn a_listed_device_without_the_attribute_stays_and_so_does_a_stray_one() {
    let text = fill(
        "<domain><metadata><automdev:devices {NS}><automdev:mdev uuid='{A}'/><automdev:mdev uuid='{B}'/>\
         </automdev:devices></metadata><devices><hostdev type='mdev' model='vfio-pci'>\
         <source><address uuid='{A}'/></source></hostdev></devices></domain>",
    );
    let rewritten = rewrite(&text, PoolUuids::Keep).expect(&text);
    assert!(!rewritten.is_changed(), "{}", rewritten.text);
    assert_eq!(rewritten.stray, [B.parse().expect("a uuid")]);
}

#[test]
fn what_is_no_hostdev_of_the_domain_is_left_alone() {
    let text = "<domain><domain><devices><hostdev type='mdev' autocreate='yes'/></devices></domain>\
                <hostdev autocreate='yes'/><devices><disk autocreate='maybe'><source pool='p'/></disk>\
                <controller><hostdev type='mdev' autocreate='yes'/></controller></devices></domain>";
    check(text, text);
}

#[test]
fn what_would_grow_beyond_the_limit_is_refused() {
    let text = fill(
        "<domain><devices><hostdev type='mdev' model='vfio-pci' autocreate='yes'>\
         <source><address uuid='{A}'/></source></hostdev></devices>",
    );
    let text = format!("{text}{}</domain>", " ".repeat(MOST_BYTES - text.len() - 9));
    assert_eq!(text.len(), MOST_BYTES);
    let faults = rewrite(&text, PoolUuids::Keep).expect_err("too large");
    assert!(faults[0].message.contains("larger than 8 MiB"), "{faults:?}");
}
