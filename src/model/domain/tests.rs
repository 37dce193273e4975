use super::super::fault::MOST_FAULTS;
use super::*;

const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

fn domain(metadata: &str, devices: &str) -> String {
    format!("<domain type='kvm'>\n<name>vm</name>\n{metadata}\n<devices>\n{devices}\n</devices>\n</domain>\n")
}

fn list(entries: &str) -> String {
    format!("<metadata><a:devices xmlns:a='{NAMESPACE}'>{entries}</a:devices></metadata>")
}

fn hostdev(attributes: &str, source: &str) -> String {
    format!("<hostdev mode='subsystem' type='mdev' model='vfio-pci' {attributes}><source{source}</hostdev>")
}

fn address(uuid: &str) -> String {
    format!("><address uuid='{uuid}'/></source>")
}

fn marks(text: &str) -> Vec<Mark> {
    Domain::parse(text)
        .expect(text)
        .hostdevs
        .iter()
        .map(|hostdev| hostdev.mark)
        .collect()
}

#[test]
fn the_attribute_wins_over_the_list() {
    let listed = list(&format!("<a:mdev uuid='{A}'/>"));
    for (metadata, attribute, mark) in [
        ("", "", Mark::Absent),
        ("", "autocreate='yes'", Mark::Yes),
        ("", "autocreate='no'", Mark::No),
        (listed.as_str(), "", Mark::Yes),
        (listed.as_str(), "autocreate='yes'", Mark::Yes),
        (listed.as_str(), "autocreate='no'", Mark::No),
    ] {
        let text = domain(metadata, &hostdev(attribute, &address(&A.to_uppercase())));
        assert_eq!(marks(&text), [mark], "{text}");
    }
}

#[test]
fn a_pool_is_read_from_the_source_and_from_the_list() {
    let raw = domain("", &hostdev("autocreate='yes'", " pool='p'/>"));
    let pool: PoolName = "p".parse().expect("a name");
    assert_eq!(
        Domain::parse(&raw).expect("good").hostdevs[0].source,
        Source::Pool(pool.clone())
    );
    let lowered = domain(
        &list(&format!("<a:mdev uuid='{A}' pool='p'/>")),
        &hostdev("", &address(A)),
    );
    let uuid = A.parse().expect("a uuid");
    assert_eq!(
        Domain::parse(&lowered).expect("good").hostdevs[0].source,
        Source::PoolAs(pool, uuid)
    );
}

#[test]
fn an_entry_without_its_hostdev_is_stray() {
    let text = domain(
        &list(&format!("<a:mdev uuid='{A}'/><a:mdev uuid='{B}'/>")),
        &hostdev("", &address(B)),
    );
    let read = Domain::parse(&text).expect("good");
    assert_eq!(read.stray, [A.parse().expect("a uuid")]);
    assert_eq!(read.hostdevs.len(), 1);
}

#[test]
fn other_devices_and_other_peoples_metadata_are_left_alone() {
    let text = domain(
        "<metadata><x:devices xmlns:x='urn:other'><x:mdev future='1'/></x:devices></metadata>",
        "<disk/><hostdev mode='subsystem' type='pci'><source/></hostdev>",
    );
    assert_eq!(Domain::parse(&text).map(|domain| domain.hostdevs), Ok(Vec::new()));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let one = |attributes: &str, source: &str| domain("", &hostdev(attributes, source));
    for (text, line, message) in [
        (String::new(), 1, "no XML"),
        ("<domain>".to_owned(), 1, "not well-formed"),
        ("<network/>".to_owned(), 1, "not \"domain\""),
        (
            "<!DOCTYPE domain [<!ENTITY a 'b'>]>\n<domain/>".to_owned(),
            1,
            "document type",
        ),
        (
            "<?xml version='1.0' encoding='latin1'?>\n<domain/>".to_owned(),
            1,
            "not UTF-8",
        ),
        (one("autocreate='maybe'", &address(A)), 5, "not \"maybe\""),
        (one("autocreate='no'", " pool='p'/>"), 5, "cannot be \"no\""),
        (one("", " pool='../p'/>"), 5, "not a pool's name"),
        (one("", "/>"), 5, "neither a uuid nor a pool"),
        (one("", &address("12")), 5, "not a UUID"),
        (
            domain(
                "",
                &format!("{}\n{}", hostdev("", &address(A)), hostdev("", &address(A))),
            ),
            6,
            "twice",
        ),
        (
            domain("", "<hostdev type='pci' autocreate='yes'/>"),
            5,
            "mediated devices",
        ),
        (
            domain("", "<hostdev type='mdev' model='vfio-pci'/>"),
            5,
            "no <source>",
        ),
        (
            one("autocreate='yes'", &address(A)).replace("vfio-pci", "vfio-x"),
            5,
            "not \"vfio-x\"",
        ),
        (domain(&list("<a:mdev/>"), ""), 3, "no uuid"),
        (
            domain(&list(&format!("<a:mdev uuid='{A}' colour='red'/>")), ""),
            3,
            "newer automdev",
        ),
        (domain(&list("<a:gpu/>"), ""), 3, "newer automdev"),
        (
            domain(&format!("<metadata><gpus xmlns='{NAMESPACE}'/></metadata>"), ""),
            3,
            "newer automdev",
        ),
    ] {
        let faults = Domain::parse(&text).expect_err(&text);
        assert_eq!(faults[0].place.line, line, "{text}: {faults:?}");
        assert!(faults[0].message.contains(message), "{text}: {faults:?}");
    }
}

#[test]
fn a_model_of_a_newer_libvirt_disturbs_only_who_asks_for_the_device() {
    let unmarked = domain("", &hostdev("", &address(A))).replace("vfio-pci", "vfio-x");
    assert_eq!(
        Domain::parse(&unmarked).map(|domain| domain.hostdevs),
        Ok(Vec::new())
    );
    let listed = list(&format!("<a:mdev uuid='{A}'/>"));
    let marked = domain(&listed, &hostdev("", &address(A))).replace("vfio-pci", "vfio-x");
    let faults = Domain::parse(&marked).expect_err("it is to be made");
    assert!(faults[0].message.contains("not \"vfio-x\""), "{faults:?}");
}

#[test]
fn all_faults_are_told() {
    let bad = hostdev("autocreate='maybe'", &address(A)).replace("vfio-pci", "vfio-x");
    let faults = Domain::parse(&domain("", &format!("{bad}\n{bad}"))).expect_err("both are wrong");
    let told: Vec<_> = faults
        .iter()
        .map(|fault| {
            (
                fault.place.line,
                fault.message.split(' ').next().unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (5, "the"),
            (5, "autocreate"),
            (6, "the"),
            (6, "autocreate"),
            (6, "the")
        ]
    );
    assert!(
        faults[4].message.ends_with("twice, first in line 5"),
        "{faults:?}"
    );
}

#[test]
fn many_faults_are_told_up_to_a_limit_and_soon() {
    let bad = format!("{}\n", hostdev("autocreate='maybe'", &address("x")));
    let list = list(&"<a:gpu/>".repeat(20_000));
    let faults = Domain::parse(&domain(&list, &bad.repeat(20_000))).expect_err("all are wrong");
    assert_eq!(faults.len(), MOST_FAULTS);
}

#[test]
fn elements_and_attributes_of_other_namespaces_are_not_libvirts() {
    let text = format!(
        "<domain xmlns:x='urn:x'><x:uuid>?</x:uuid><x:metadata><a:gpu xmlns:a='{NAMESPACE}'/></x:metadata>\
         <x:devices><hostdev type='mdev'/></x:devices>\
         <devices><x:hostdev type='mdev'/>{}</devices></domain>",
        hostdev("x:autocreate='maybe'", &address(A))
    );
    assert_eq!(marks(&text), [Mark::Absent]);
    let text = "<domain xmlns='urn:x'/>";
    let faults = Domain::parse(text).expect_err(text);
    assert!(
        faults[0].message.contains("of the namespace \"urn:x\""),
        "{faults:?}"
    );
}

#[test]
fn a_name_is_all_the_text_and_an_empty_uuid_is_none() {
    let text = "<domain><name>a<!-- b --><![CDATA[c]]>&amp;</name><uuid/></domain>";
    let domain = Domain::parse(text).expect(text);
    assert_eq!((domain.name.as_str(), domain.uuid), ("ac&", None));
}

#[test]
fn what_is_not_well_formed_is_told_where_it_is() {
    for (text, line, column, message) in [
        (
            "<domain>\n <devices>\n</domain>",
            3,
            1,
            "closes \"domain\", but \"devices\" is still open",
        ),
        (
            "<domain>\n <devices>\n  <a/><!-- </devices> -->",
            2,
            2,
            "never closed",
        ),
        ("<domain>\n <devices", 1, 1, "never closed"),
        ("\n<!-- only -->\n", 3, 1, "no element"),
        ("\u{feff}  ", 1, 1, "no XML"),
        ("<domain>\n&x;</domain>", 2, 1, "'x'"),
        ("<domain a='\u{1b}'/>", 1, 12, "\\u{1b}"),
        ("<domain \u{1b}='a'/>", 1, 9, "well-formed"),
        ("<x:domain/>", 1, 2, "prefix 'x'"),
        ("<domain/>\n<domain/>", 2, 1, "well-formed"),
        ("<!-- -->\n<!DOCTYPE domain>\n<domain/>", 2, 1, "document type"),
        ("<domain>\n<!ENTITY a 'b'></domain>", 2, 1, "document type"),
    ] {
        let faults = Domain::parse(text).expect_err(text);
        let fault = &faults[0];
        assert_eq!(
            (fault.place.line, fault.place.column),
            (line, column),
            "{text}: {faults:?}"
        );
        assert!(fault.message.contains(message), "{text}: {faults:?}");
        assert!(!fault.message.contains(char::is_control), "{text}: {faults:?}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_with_their_place() {
    let utf16 = |order: fn(u16) -> [u8; 2]| "\u{feff}<domain/>".encode_utf16().flat_map(order).collect();
    let cases: [(Vec<u8>, u32, u32, &str); 6] = [
        (utf16(u16::to_le_bytes), 1, 1, "UTF-16"),
        (utf16(u16::to_be_bytes), 1, 1, "UTF-16"),
        (
            b"<domain>\n<name>\xe4</name></domain>".to_vec(),
            2,
            7,
            "byte 0xe4",
        ),
        (
            b"<?xml version='1.0' encoding='iso-8859-1'?>\n<domain>\xe4</domain>".to_vec(),
            1,
            31,
            "\"iso-8859-1\", not UTF-8",
        ),
        (b"<domain>\xe2\x82".to_vec(), 1, 9, "byte 0xe2"),
        (vec![b'\n'; MOST_BYTES + 1], 8_388_609, 1, "larger than 8 MiB"),
    ];
    for (bytes, line, column, message) in cases {
        let (_, fault) = decode(bytes).expect_err(message);
        assert_eq!((fault.place.line, fault.place.column), (line, column), "{fault}");
        assert!(fault.message.contains(message), "{fault}");
    }
    assert_eq!(decode("ä".into()), Ok("ä".to_owned()));
}

#[test]
fn the_declared_encoding_is_that_of_the_text() {
    for (declaration, character, good) in [
        ("<?xml version='1.0'?>", 'ä', true),
        ("<?xml version='1.0' encoding='UTF-8'?>", 'ä', true),
        (
            "<?xml version=\"1.0\" encoding = \"utf-8\" standalone='yes'?>",
            'ä',
            true,
        ),
        ("\u{feff}<?xml version='1.0' encoding='utf-8'?>", 'ä', true),
        ("<?xml version='1.0' encoding='US-ASCII'?>", 'a', true),
        ("<?xml version='1.0' encoding='US-ASCII'?>", 'ä', false),
        ("<?xml version='1.0' encoding='x'?>", 'a', false),
        ("<!-- encoding='x' -->", 'a', true),
    ] {
        let text = format!("{declaration}<domain><name>{character}</name></domain>");
        assert_eq!(Domain::parse(&text).is_ok(), good, "{text}");
    }
    let text = "<?xml version='1.0' encoding='x'?><domain/>";
    assert_eq!(Domain::parse(text).expect_err(text)[0].place.column, 31);
}

#[test]
fn an_element_of_no_namespace_in_the_list_is_told() {
    let text = domain(&list(&format!("<mdev uuid='{A}'/>")), "");
    let faults = Domain::parse(&text).expect_err(&text);
    assert!(faults[0].message.contains("no namespace"), "{faults:?}");
}

#[test]
fn what_would_take_more_than_linear_time_is_refused() {
    use std::fmt::Write;
    let many = |what: &str, count: usize| {
        (0..count).fold(String::new(), |mut all, number| {
            write!(all, " {what}{number}='u:{number}'").expect("a string takes all");
            all
        })
    };
    let nested = |count: usize| {
        let open = (0..count).fold(String::new(), |mut all, number| {
            write!(all, "<a xmlns:n{number}='u:{number}'>").expect("a string takes all");
            all
        });
        format!("<domain>{open}{}</domain>", "</a>".repeat(count))
    };
    for (text, message) in [
        (format!("<domain{}/>", many("a", 256)), None),
        (format!("<domain{}/>", many("a", 257)), Some("256 attributes")),
        (format!("<domain{}/>", many("xmlns:n", 64)), None),
        (format!("<domain{}/>", many("xmlns:n", 65)), Some("64 namespaces")),
        (nested(64), None),
        (nested(65), Some("64 namespaces")),
        (nested(30_000), Some("64 namespaces")),
        (
            format!("<domain>{}</domain>", "<a xmlns='u'/>".repeat(30_000)),
            None,
        ),
    ] {
        let read = Domain::parse(&text).map_err(|faults| faults[0].message.clone());
        match message {
            None => assert!(read.is_ok(), "{read:?}"),
            Some(message) => assert!(
                read.as_ref().is_err_and(|read| read.contains(message)),
                "{read:?}"
            ),
        }
    }
}

#[test]
fn deep_nesting_is_read_without_a_crash() {
    let deep = domain(
        "",
        &format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000)),
    );
    assert!(Domain::parse(&deep).is_ok());
    assert!(Domain::parse(&"<a>".repeat(100_000)).is_err());
}
