//! What is wrong with the input is told with its place, and nothing comes out.

use super::{Folder, Outcome, raw, run};

/// Runs on the text in a file `vm.xml`; what is said, after checking that it is said on standard error only, with
/// status 1, the same to every way of asking, and that nothing is written.
fn told(text: impl AsRef<[u8]>) -> String {
    let text = text.as_ref();
    let folder = Folder::new();
    folder.write("vm.xml", text);
    folder.write("out.xml", "old");
    let outcome = run(&folder.0, &["vm.xml"], b"");
    assert_eq!((outcome.stdout.as_str(), outcome.status), ("", 1), "{outcome:?}");
    for more in [
        &["vm.xml", "--check"][..],
        &["vm.xml", "--diff"],
        &["vm.xml", "--fresh"],
        &["vm.xml", "-o", "out.xml"],
        &["vm.xml", "-o", "vm.xml"],
    ] {
        assert_eq!(run(&folder.0, more, b""), outcome, "{more:?}");
    }
    let from_stdin = run(&folder.0, &["-"], text);
    let expected = outcome
        .stderr
        .replace("automdev: vm.xml:", "automdev: standard input:");
    assert_eq!(from_stdin, Outcome::new("", &expected, 1));
    assert_eq!(folder.read("out.xml"), "old");
    assert_eq!(std::fs::read(folder.0.join("vm.xml")).expect("read"), text);
    assert_eq!(folder.names(), ["out.xml", "vm.xml"]);
    outcome.stderr
}

#[test]
fn each_kind_is_told_with_its_place() {
    let edited = |from: &str, to: &str| {
        assert!(raw().contains(from), "{from}");
        raw().replace(from, to)
    };
    for (text, expected) in [
        (
            edited("='yes'", "='maybe'"),
            "automdev: vm.xml:4:72: autocreate is \"yes\" or \"no\", not \"maybe\"
  4 |     <hostdev mode='subsystem' type='mdev' model='vfio-pci' autocreate='maybe'>
    |                                                                        ^
",
        ),
        (
            edited("</hostdev>", "</host>"),
            "automdev: vm.xml:6:5: the XML is not well-formed: this closes \"host\", but \"hostdev\" is still open
  6 |     </host>
    |     ^
",
        ),
        (
            edited("<name>", "<name>&nbsp;"),
            "automdev: vm.xml:2:9: the XML is not well-formed: unknown entity reference 'nbsp'
  2 |   <name>&nbsp;vm</name>
    |         ^
",
        ),
        (
            format!("<!DOCTYPE domain>\n{}", raw()),
            "automdev: vm.xml:1:1: a document type may not be in a domain's XML
  1 | <!DOCTYPE domain>
    | ^
",
        ),
        (
            edited("domain", "network"),
            "automdev: vm.xml:1:1: the root element is \"network\", not \"domain\"
  1 | <network type='kvm'>
    | ^
",
        ),
        (
            format!("<domstatus state='running'>\n{}</domstatus>", raw()),
            "automdev: vm.xml:1:1: the root element is \"domstatus\", not \"domain\"
  1 | <domstatus state='running'>
    | ^
",
        ),
        (
            edited("'mdev' model='vfio-pci'", "'pci'"),
            "automdev: vm.xml:4:42: autocreate is for mediated devices (type=\"mdev\") only
  4 |     <hostdev mode='subsystem' type='pci' autocreate='yes'>
    |                                          ^
",
        ),
        (
            edited("c2177883-f1bb", "x2177883-f1bb"),
            "automdev: vm.xml:5:30: \"x2177883-f1bb-47f0-914d-32a22e3a8804\" is not a UUID: it must be 32 hexadecimal digits
  5 |       <source><address uuid='x2177883-f1bb-47f0-914d-32a22e3a8804'/></source>
    |                              ^
",
        ),
        (
            edited(
                "  </devices>",
                "\t<hostdev type='mdev' model='vfio-pci'><source><address uuid='C2177883F1BB47F0914D32A22E3A8804'/></source></hostdev>\n  </devices>",
            ),
            "automdev: vm.xml:7:63: the device c2177883-f1bb-47f0-914d-32a22e3a8804 is in this domain twice, first in line 5
  7 | …hostdev type='mdev' model='vfio-pci'><source><address uuid='C2177883F1BB47F0914D32A22E3A8804'/></sou…
    |                                                              ^
",
        ),
        (
            format!("<?xml version='1.0' encoding='ISO-8859-1'?>\n{}", raw()),
            "automdev: vm.xml:1:31: the encoding is \"ISO-8859-1\", not UTF-8
  1 | <?xml version='1.0' encoding='ISO-8859-1'?>
    |                               ^
",
        ),
        (
            String::new(),
            "automdev: vm.xml:1:1: there is no XML, only an empty text
  1 | \n    | ^
",
        ),
        (
            "<domain>\n  <devices>\n".to_owned(),
            "automdev: vm.xml:2:3: the XML is not well-formed: this element is never closed
  2 |   <devices>
    |   ^
",
        ),
    ] {
        assert_eq!(told(&text), expected, "{text}");
    }
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_place() {
    assert_eq!(
        told(b"<domain>\n  <name>\xe4</name>\n</domain>\n"),
        "automdev: vm.xml:2:9: the encoding is not UTF-8: no character has the byte 0xe4 here
  2 |   <name>\u{fffd}</name>
    |         ^
"
    );
    let utf16: Vec<u8> = "\u{feff}<domain/>\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(
        told(utf16),
        "automdev: vm.xml:1:1: the encoding is UTF-16, not UTF-8
  1 | \u{fffd}<domain/>
    | ^
"
    );
}

#[test]
fn all_that_is_wrong_is_told() {
    let hostdev = |attributes: &str, source: &str| {
        format!("  <hostdev type='mdev' {attributes}><source{source}></hostdev>\n")
    };
    let text = format!(
        "<domain>\n <metadata>\n  <a:devices xmlns:a='urn:automdev:domain:1' colour='red'><a:gpu/></a:devices>\n </metadata>\n <devices>\n{}{}{} </devices>\n</domain>\n",
        hostdev("model='vfio' autocreate='1'", " pool='-'/"),
        hostdev("model='vfio-pci'", "/"),
        hostdev("model='vfio-pci' autocreate='no'", " pool='p'/"),
    );
    assert_eq!(
        told(text),
        "automdev: vm.xml:3:3: the attribute \"colour\" of urn:automdev:domain:1 is not known here: this domain needs a newer automdev
  3 |   <a:devices xmlns:a='urn:automdev:domain:1' colour='red'><a:gpu/></a:devices>
    |   ^
automdev: vm.xml:3:59: the element \"gpu\" of urn:automdev:domain:1 is not known here: this domain needs a newer automdev
  3 |   <a:devices xmlns:a='urn:automdev:domain:1' colour='red'><a:gpu/></a:devices>
    |                                                           ^
automdev: vm.xml:6:31: the model is vfio-pci, vfio-ccw or vfio-ap, not \"vfio\"
  6 |   <hostdev type='mdev' model='vfio' autocreate='1'><source pool='-'/></hostdev>
    |                               ^
automdev: vm.xml:6:49: autocreate is \"yes\" or \"no\", not \"1\"
  6 |   <hostdev type='mdev' model='vfio' autocreate='1'><source pool='-'/></hostdev>
    |                                                 ^
automdev: vm.xml:6:66: \"-\" is not a pool's name: it must start with a letter or a digit
  6 |   <hostdev type='mdev' model='vfio' autocreate='1'><source pool='-'/></hostdev>
    |                                                                  ^
automdev: vm.xml:7:41: this mediated device names neither a uuid nor a pool
  7 |   <hostdev type='mdev' model='vfio-pci'><source/></hostdev>
    |                                         ^
automdev: vm.xml:8:41: a pool's device is always made for the domain: autocreate cannot be \"no\" here
  8 |   <hostdev type='mdev' model='vfio-pci' autocreate='no'><source pool='p'/></hostdev>
    |                                         ^
"
    );
}

#[test]
fn very_many_errors_are_told_up_to_a_limit() {
    let text = format!(
        "<domain><devices>\n{}</devices></domain>",
        "<hostdev autocreate='x'/>\n".repeat(101)
    );
    let told = told(text);
    assert_eq!(told.matches("mediated devices").count(), 100);
    assert!(
        told.ends_with("automdev: vm.xml: only the first 100 errors are shown\n"),
        "{told}"
    );
}

#[test]
fn what_is_in_the_text_does_nothing_to_the_terminal() {
    for text in [
        "<domain \u{1b}]0;title\u{7}='x'/>",
        "<domain a='\u{9b}31m'><name>\u{1b}</name></domain>",
        "<\u{202e}domain/>",
        "<domain><devices><hostdev autocreate='\u{202e}'/></devices></domain>",
    ] {
        let told = told(text);
        let harmful = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!told.contains(harmful), "{told:?}");
    }
}
