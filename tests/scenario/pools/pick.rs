//! `automdev rewrite --pick`: an idle device itself, for a domain that is about to start.

use super::*;
use std::io::Write;
use std::process::{Command, Stdio};

const IDLE: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
const OTHER: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1002";

fn host() -> Host {
    let host = Host::new();
    host.ports("a", 2);
    for uuid in [IDLE, OTHER] {
        host.definition("a", uuid, "mtty-1", &[])
            .active("a", "mtty-1", uuid);
    }
    host.pool(
        "p",
        &format!("[[member]]\ndevice = '{IDLE}'\n[[member]]\ndevice = '{OTHER}'\n"),
    );
    host
}

fn pick(host: &Host, xml: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_automdev"));
    command.arg("--root").arg(host.path()).args(["rewrite", "--pick"]);
    let child = crate::hook::host::spawn(&mut command, xml.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn one_is_claimed_used_and_left_standing() {
    let host = host();
    let before = host.state();
    let written = vm(1, &["p"]).xml();
    let (status, xml, errors) = pick(&host, &written);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    // That one UUID is all that changes, in the hostdev and in the metadata.
    assert_eq!(xml, written.replace(&device(16), IDLE));
    assert!(
        xml.contains(&format!("<automdev:mdev uuid=\"{IDLE}\" pool=\"p\"/>")),
        "{xml}"
    );
    before.assert_unchanged(&host.state());
    let claimed = [
        format!("claimants/{} vm1 {IDLE}", vm(1, &[]).claimant()),
        format!("claims/{IDLE}/{}", vm(1, &[]).claimant()),
    ];
    assert_eq!(host.ledger(), claimed);
    // Twice is once.
    assert_eq!(pick(&host, &written), (Some(0), xml.clone(), String::new()));
    // The next one gets the next, the one after nothing.
    let (_, second, _) = pick(&host, &vm(2, &["p"]).xml());
    assert!(second.contains(OTHER), "{second}");
    let (status, text, errors) = pick(&host, &vm(3, &["p"]).xml());
    assert_eq!((status, text.as_str()), (Some(1), ""));
    assert_eq!(
        errors,
        format!(
            "automdev: cannot have {}: pool p has no place for it: device {IDLE} (in use by vm1), device {OTHER} (in \
             use by vm2); stop a domain that uses the pool (automdev pools p lists them), or give it another member\n",
            device(48)
        )
    );
    // libvirt starts and stops it.
    host.event("vm1", "prepare", "begin", &xml).done();
    host.event("vm1", "release", "end", &xml).done();
    host.event("vm2", "prepare", "begin", &second).done();
    host.event("vm2", "release", "end", &second).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

#[test]
fn nothing_is_claimed_where_nobody_could_start_it() {
    let host = host();
    fs::remove_dir_all(host.at(format!("proc/{}", std::process::id()))).expect("the daemon");
    let (status, text, errors) = pick(&host, &vm(1, &["p"]).xml());
    assert_eq!((status, text.as_str()), (Some(1), ""));
    assert_eq!(
        errors,
        "automdev: no libvirt daemon runs, for which a device could be claimed; start libvirtd or virtqemud\n"
    );
    host.assert_ledger_empty();
    let nameless = vm(1, &["p"])
        .xml()
        .replace("<uuid>", "<!-- ")
        .replace("</uuid>", " -->");
    let (status, _, errors) = pick(&host, &nameless);
    assert_eq!(status, Some(1));
    assert!(
        errors.contains("claimed by the domain's UUID, and this one has none"),
        "{errors}"
    );
    host.assert_ledger_empty();
}

/// Picks, with its standard output going there; its status and what it complains of.
fn pick_into(host: &Host, xml: &str, output: Stdio, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_automdev"));
    command
        .arg("--root")
        .arg(host.path())
        .args(["rewrite", "--pick"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(output)
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(xml.as_bytes()).expect("it is read");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    (
        output.status.code(),
        String::from_utf8(output.stderr).expect("UTF-8"),
    )
}

/// What nobody has heard of is nobody's.
#[test]
fn what_cannot_be_written_is_given_back() {
    let host = host();
    let xml = vm(1, &["p", "p"]).xml();
    let full = || {
        fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("Linux has it")
    };
    let closed = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        writer
    };
    let missing = host.at("nowhere/vm.xml");
    let missing = missing.to_str().expect("UTF-8");
    for (output, arguments, why) in [
        (
            Stdio::from(full()),
            &[][..],
            "cannot write standard output: No space left on device",
        ),
        (
            Stdio::from(closed()),
            &[],
            "cannot write standard output: Broken pipe",
        ),
        (Stdio::null(), &["-o", missing], "nowhere/vm.xml"),
        (
            Stdio::null(),
            &["-o", "/dev/full"],
            "cannot write /dev/full: No space left on device",
        ),
    ] {
        let (status, errors) = pick_into(&host, &xml, output, arguments);
        assert!(errors.contains(why), "{errors}");
        assert_eq!((status, errors.lines().count()), (Some(1), 1), "{errors}");
        host.assert_ledger_empty();
    }
    // What was claimed by a pick that was heard of stays.
    let (status, _, _) = pick(&host, &vm(1, &["p"]).xml());
    assert_eq!(status, Some(0));
    let before = host.ledger();
    let (status, _) = pick_into(&host, &xml, Stdio::from(full()), &[]);
    assert_eq!(status, Some(1));
    assert_eq!(host.ledger(), before);
}

/// All devices of the domain are seen to together: none is handed out that it has already.
#[test]
fn none_is_handed_out_twice_to_one_domain() {
    let host = host();
    for domain in [vm(1, &["p"]).with(IDLE), vm(1, &["p"]).unmarked(IDLE)] {
        let written = domain.xml();
        let (status, xml, errors) = pick(&host, &written);
        assert_eq!((status, errors.as_str()), (Some(0), ""));
        assert_eq!(xml, written.replace(&device(16), OTHER));
        host.event("vm1", "prepare", "begin", &xml).done();
        host.event("vm1", "release", "end", &xml).done();
        host.assert_ledger_empty();
    }
    let (status, _, errors) = pick(&host, &vm(1, &["p"]).with(IDLE).unmarked(OTHER).xml());
    assert_eq!(status, Some(1));
    assert!(
        errors.contains(&format!(
            "device {IDLE} (in use by this domain itself), device {OTHER} (in use by this domain itself)"
        )),
        "{errors}"
    );
    // One that could not start for another reason claims nothing.
    let (status, _, errors) = pick(&host, &vm(1, &["p"]).with(&device(999)).xml());
    assert_eq!(status, Some(1));
    assert!(errors.contains("this host has no definition of it"), "{errors}");
    host.assert_ledger_empty();
}

/// One that somebody else turns out to be at work on is passed over for another.
#[test]
fn a_race_that_is_lost_is_no_reason_to_give_up() {
    let host = host();
    host.prepare(&Domain::new("plain", 9).with(IDLE)).done();
    host.release(&Domain::new("plain", 9).with(IDLE)).done();
    let lock = lock_of(&host, IDLE, FlockArg::LockSharedNonblock);
    let written = vm(1, &["p"]).xml();
    let (status, xml, errors) = pick(&host, &written);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    assert_eq!(xml, written.replace(&device(16), OTHER));
    drop(lock);
}
