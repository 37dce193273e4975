//! What people get.

use super::*;
use crate::definitions::automdev;

#[track_caller]
fn says(host: &Host, domain: &Domain, status: i32, lines: &[&str]) {
    let text = format!("standard input: {}\n", lines.join("\n"));
    ask(host, &[], &domain.xml()).answered(status, &text, "");
}

#[test]
fn what_is_created() {
    let host = defined();
    host.definition(
        "mtty",
        C,
        "mtty-1",
        &[
            ("power/control", "auto"),
            ("nvidia/vgpu_params", "a=1, b=\"2\"\n"),
        ],
    );
    says(
        &host,
        &vm().with(A).with(C).with(B),
        0,
        &[
            "vm1 may start: several types share room here, and only the driver knows how",
            &format!("  create  {A}  mtty-2 on mtty"),
            "          power/control = \"on\"",
            &format!("  create  {C}  mtty-1 on mtty"),
            "          power/control = \"auto\"",
            "          nvidia/vgpu_params = \"a=1, b=\\\"2\\\"\\n\"",
            &format!("  create  {B}  mdpy-hd on mdpy"),
        ],
    );
}

#[test]
fn what_is_adopted() {
    let host = defined();
    host.active("mdpy", "mdpy-hd", B).active("mtty", "mtty-1", C);
    says(
        &host,
        &vm().with(B).with(C),
        0,
        &[
            "vm1 would start",
            &format!("  adopt   {B}  mdpy-hd on mdpy"),
            "          it is active already, as defined, and is left standing",
            &format!("  adopt   {C}  mtty-1 on mtty"),
            "          it is active already and is left standing; this host has no",
            "          definition of it, so that it could not be made again",
        ],
    );
}

#[test]
fn what_automdev_made_for_the_domain_before() {
    let host = defined();
    let vm = vm().with(A);
    host.prepare(&vm).done();
    let kept = [
        "vm1 would start",
        &format!("  adopt   {A}  mtty-2 on mtty"),
        "          automdev made it before",
    ];
    says(&host, &vm, 0, &kept);
    // Also where the domain runs: it is not another's.
    host.domain("vm1", &vm.uuid, 4711);
    says(&host, &vm, 0, &kept);
}

/// Where its domain has ended, and nobody knows when.
#[test]
fn what_a_driver_may_still_be_cleaning_up() {
    let host = Host::new();
    let gpu = "0000:41:00.0";
    host.nvidia(gpu).definition(gpu, A, "nvidia-222", &[]);
    let vm = vm().with(A);
    host.prepare(&vm).done();
    let kept = [
        "vm1 would start",
        &format!("  adopt   {A}  nvidia-222 on {gpu}"),
        "          automdev made it before",
    ];
    says(&host, &vm, 0, &kept);
    host.stop_libvirt();
    let remade = [
        "vm1 would start",
        &format!("  create  {A}  nvidia-222 on {gpu}"),
        "          its driver may still be cleaning up after its last guest; it is",
        "          removed first",
    ];
    says(&host, &vm, 0, &remade);
}

#[test]
fn what_is_made_anew() {
    let remade = [
        "vm1 would start",
        &format!("  create  {A}  mtty-2 on mtty"),
        "          power/control = \"on\"",
        "          what an interrupted start left of it is removed first",
    ];
    let host = defined();
    let vm = vm().with(A);
    // Which effect makes the device, and leaves it without its attributes.
    host.prepare(&vm).done();
    let effects = host.kernel().log();
    let made = effects.iter().position(|effect| effect.contains("/create "));
    host.release(&vm).done();
    let at = made.expect("it was made") as u64 + 1;
    host.prepare_with(at, FaultKind::KillAfter, &vm).killed();
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    says(&host, &vm, 0, &remade);
    // One that is whole, and not as it is defined any more.
    let host = defined();
    host.definition("mtty", A, "mtty-2", &[]);
    host.prepare(&vm).done();
    host.definition("mtty", A, "mtty-2", &[("power/control", "on")]);
    says(&host, &vm, 0, &remade);
}

#[test]
fn what_is_not_marked() {
    let host = defined();
    host.active("mdpy", "mdpy-hd", B);
    says(
        &host,
        &vm().unmarked(B),
        0,
        &[
            "vm1 would start",
            &format!("  skip    {B}"),
            "          the domain does not mark it; it is there already",
        ],
    );
    // libvirt refuses the start for one that is not there, which nobody else can be told beforehand.
    let not_there = [
        &format!("  skip    {A}") as &str,
        "          it is not there, and the domain does not mark it, so that automdev",
        "          will not make it; mark it (autocreate='yes', or its UUID in the",
        "          metadata), or make it beforehand (mdevctl start --uuid",
        &format!("          {A})"),
    ];
    let with = |lines: &[&'static str]| [lines, &not_there].concat();
    says(&host, &vm().unmarked(A), 3, &with(&["vm1 would not start"]));
    // What automdev made for the domain goes when that does not want it from automdev any more.
    host.prepare(&vm().with(A)).done();
    says(
        &host,
        &vm().unmarked(A),
        3,
        &[&["vm1 would not start"], &not_there[..]].concat(),
    );
}

/// libvirt drops an attribute that it does not know, and nobody would make the device.
#[test]
fn a_misspelt_mark_is_told() {
    let host = defined();
    let xml = vm().unmarked(A).xml();
    for (misspelt, message) in [
        (
            "autocreat='yes'",
            "\"autocreat\" means nothing, and libvirt drops it; did you mean autocreate?",
        ),
        (
            "autoCreate='yes'",
            "\"autoCreate\" means nothing, and libvirt drops it; did you mean autocreate?",
        ),
        (
            "auto-create='no'",
            "\"auto-create\" means nothing, and libvirt drops it; did you mean autocreate?",
        ),
        ("ramfb='off' rawio='no'", ""),
    ] {
        let xml = xml.replacen("type='mdev'", &format!("type='mdev' {misspelt}"), 1);
        assert!(xml.contains(misspelt), "{xml}");
        host.file("vm.xml", &xml);
        let asked = ask(&host, &["vm.xml"], "");
        let rewritten = automdev(&host, &format!("rewrite {}", host.at("vm.xml").display()));
        for stderr in [asked.stderr, rewritten.stderr] {
            if message.is_empty() {
                assert_eq!(stderr, "", "{misspelt}");
                continue;
            }
            let line = stderr.lines().next().expect("a warning");
            assert!(line.ends_with(&format!(": warning: {message}")), "{line}");
            let (shown, mark) = (stderr.lines().nth(1), stderr.lines().nth(2));
            let at = mark.and_then(|mark| mark.find('^')).expect("a mark");
            let shown = shown.and_then(|shown| shown.get(at..)).expect("the line");
            assert!(shown.starts_with(misspelt), "{stderr}");
        }
        assert_eq!((asked.status, rewritten.status), (Some(3), Some(0)), "{misspelt}");
    }
    let xml = xml.replacen("<source", "<source autocreate='yes'", 1);
    let asked = ask(&host, &["-"], &xml);
    let message = "warning: autocreate marks the device only as an attribute of the <hostdev> itself";
    assert!(asked.stderr.contains(message), "{}", asked.stderr);
}

/// The attribute wins over the list, and the settings may widen what counts.
#[test]
fn what_counts_as_marked() {
    let host = defined();
    let actions = |domain: &str| {
        let asked = ask(&host, &["--format", "json"], domain);
        let value: serde_json::Value = serde_json::from_str(&asked.stdout).expect("JSON");
        let devices = value["devices"].as_array().expect("a list");
        devices
            .iter()
            .map(|device| device["action"].as_str().expect("a word").to_owned())
            .collect::<Vec<_>>()
    };
    let listed = vm().with(A).xml();
    let no = listed.replace("type='mdev'", "type='mdev' autocreate='no'");
    let plain = vm().unmarked(A).managed().unmarked(C).xml();
    let yes = plain.replacen("type='mdev'", "type='mdev' autocreate='yes'", 1);
    assert_eq!(actions(&listed), ["create"]);
    assert_eq!(actions(&no), ["skip"]);
    assert_eq!(actions(&plain), ["skip", "skip"]);
    assert_eq!(actions(&yes), ["create", "skip"]);
    for (select, expected) in [
        ("marked", ["skip", "skip"]),
        ("managed", ["create", "skip"]),
        ("defined", ["create", "skip"]),
    ] {
        host.file("etc/automdev/automdev.toml", &format!("select = \"{select}\"\n"));
        assert_eq!(actions(&plain), expected, "{select}");
    }
}

#[test]
fn what_the_list_has_and_the_domain_has_not() {
    let host = defined();
    says(
        &host,
        &vm().with(B).listing(C),
        0,
        &[
            "vm1 would start",
            &format!("  create  {B}  mdpy-hd on mdpy"),
            &format!("  ignore  {C}  in the metadata, but no device of the domain"),
        ],
    );
}

#[test]
fn a_domain_with_no_name_or_an_odd_one() {
    let host = defined();
    let devices = "<devices/></domain>";
    ask(&host, &[], &format!("<domain>{devices}")).answered(
        0,
        "standard input: the domain would start\n  it has no mediated devices\n",
        "",
    );
    ask(
        &host,
        &[],
        &format!("<domain><name>a&#x202e;&#x9b;b</name>{devices}"),
    )
    .answered(
        0,
        "standard input: \"a\\u{202e}\\u{9b}b\" would start\n  it has no mediated devices\n",
        "",
    );
}

/// A crash left the domain another device, which its start gives back before it takes this one.
#[test]
fn the_room_of_what_the_domain_had_before_counts() {
    let host = Host::new();
    host.mdpy_of(1)
        .definition("mdpy", A, "mdpy-hd", &[])
        .definition("mdpy", B, "mdpy-hd", &[]);
    host.prepare(&vm().with(A)).done();
    let created = ["vm1 would start", &format!("  create  {B}  mdpy-hd on mdpy")];
    says(&host, &vm().with(B), 0, &created);
    host.prepare(&vm().with(B)).done();
    assert_eq!(host.devices(), [format!("{B} mdpy-hd mdpy")]);
}
