//! Where the domains come from: files, standard input, several at once, broken ones among them.

use super::*;

use std::process::Stdio;

use nix::pty::openpty;

const FITS: &str = ": vm1 would start\n  create  c2177883-f1bb-47f0-914d-32a22e3a8804  mtty-2 on mtty\n          \
                    power/control = \"on\"\n";

const BARE: &str = "vm2 would start\n  it has no mediated devices\n";

#[test]
fn a_file_or_standard_input() {
    let host = defined();
    let xml = vm().with(A).xml();
    host.file("vm1.xml", &xml);
    ask(&host, &["vm1.xml"], "").answered(0, &format!("vm1.xml{FITS}"), "");
    for arguments in [&[][..], &["-"]] {
        ask(&host, arguments, &xml).answered(0, &format!("standard input{FITS}"), "");
    }
}

#[test]
fn several_are_told_one_after_the_other() {
    let host = defined();
    let xml = vm().with(A).xml();
    host.file("vm1.xml", &xml)
        .file("vm2.xml", &Domain::new("vm2", 2).xml());
    ask(&host, &["vm1.xml", "-", "vm2.xml"], &xml).answered(
        0,
        &format!("vm1.xml{FITS}\nstandard input{FITS}\nvm2.xml: {BARE}"),
        "",
    );
    let both = ask(&host, &["vm2.xml", "vm1.xml", "--format=json"], "");
    assert_eq!(both.status, Some(0));
    let files: Vec<String> = both
        .stdout
        .lines()
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).expect("an object a line");
            format!("{} {}", value["file"], value["startable"])
        })
        .collect();
    assert_eq!(files, [r#""vm2.xml" "yes""#, r#""vm1.xml" "yes""#]);
}

/// Each is planned by itself: they need not run at the same time.
#[test]
fn one_file_twice_is_planned_twice() {
    let host = defined();
    host.file("vm1.xml", &vm().with(A).xml());
    ask(&host, &["vm1.xml", "./vm1.xml"], "").answered(0, &format!("vm1.xml{FITS}\n./vm1.xml{FITS}"), "");
}

#[test]
fn what_cannot_be_read_does_not_keep_the_others_from_being_planned() {
    let host = defined();
    host.file("broken.xml", "<domain>\n  <name>vm</name>\n")
        .file(
            "odd.xml",
            &vm()
                .with(A)
                .xml()
                .replace("type='mdev'", "type='mdev' autocreate='maybe'"),
        )
        .file("vm2.xml", &Domain::new("vm2", 2).xml())
        .file("vm3.xml", &Domain::new("vm3", 3).with(C).xml());
    ask(
        &host,
        &["gone.xml", "broken.xml", "vm2.xml", "odd.xml", "vm3.xml"],
        "",
    )
    .answered(
        1,
        &format!(
            "vm2.xml: {BARE}\nvm3.xml: vm3 would not start\n  refuse  {C}\n          this host has no definition of \
             it; make one with automdev define\n          --uuid UUID --parent PARENT --type TYPE\n"
        ),
        "automdev: cannot read gone.xml: No such file or directory (os error 2)\n\
         automdev: broken.xml:1:1: the XML is not well-formed: this element is never closed\n  1 | <domain>\n    | ^\n\
         automdev: odd.xml:22:55: autocreate is \"yes\" or \"no\", not \"maybe\"\n  \
         22 |     <hostdev mode='subsystem' type='mdev' autocreate='maybe' managed='no' model='vfio-pci' \
         display='…\n     |                                                       ^\n",
    );
    // A no, and nothing that failed.
    assert_eq!(ask(&host, &["vm3.xml", "vm2.xml"], "").status, Some(3));
    assert_eq!(ask(&host, &["vm2.xml", "vm3.xml"], "").status, Some(3));
}

#[test]
fn a_person_who_names_nothing_is_told_so() {
    let host = defined();
    let pty = openpty(None, None).expect("a terminal");
    let output = command(&host).stdin(pty.slave).stderr(Stdio::piped()).output();
    let output = output.expect("the program starts");
    assert_eq!(
        String::from_utf8(output.stderr).expect("UTF-8"),
        "automdev: no FILE is given, and standard input is a terminal; - reads it all the same\n"
    );
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(ask(&host, &["--format", "yaml"], "").status, Some(2));
}

#[test]
fn broken_settings_are_told() {
    let host = defined();
    host.file("etc/automdev/automdev.toml", "select = \"all\"\n");
    let asked = ask(&host, &["-"], &vm().with(A).xml());
    assert_eq!((asked.status, asked.stdout.as_str()), (Some(1), ""), "{asked:?}");
    assert!(
        asked.stderr.starts_with("automdev: ") && asked.stderr.contains("/etc/automdev/automdev.toml"),
        "{asked:?}"
    );
}

#[test]
fn a_reader_who_goes_away_is_no_failure() {
    let host = defined();
    host.file("vm1.xml", &vm().with(A).xml());
    let (reader, writer) = nix::unistd::pipe().expect("a pipe");
    drop(reader);
    let status = command(&host)
        .args(["vm1.xml", "vm1.xml"])
        .stdin(Stdio::null())
        .stdout(writer)
        .status();
    assert_eq!(status.expect("the program starts").code(), Some(0));
}
