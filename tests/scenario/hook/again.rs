//! Calls that come twice, not at all, or with less than they should.

use super::*;

fn two(host: &Host) {
    host.mtty()
        .mdpy()
        .definition("mtty", A, "mtty-2", &[("power/control", "on")])
        .definition("mdpy", B, "mdpy-hd", &[])
        .definition("mtty", C, "mtty-1", &[]);
}

fn vm() -> Domain {
    Domain::new("vm1", 1)
}

#[test]
fn a_second_prepare_changes_nothing() {
    let host = Host::new();
    two(&host);
    let vm = vm().with(A).with(B);
    let before = host.state();
    host.prepare(&vm).done();
    let (made, ledger) = (host.state(), host.ledger());
    for _ in 0..2 {
        host.prepare(&vm).done().logged(&[]);
        made.assert_unchanged(&host.state());
        assert_eq!(host.ledger(), ledger);
    }
    host.release(&vm).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

#[test]
fn a_second_prepare_with_other_devices_gives_back_the_first_ones() {
    let host = Host::new();
    two(&host);
    let before = host.state();
    host.prepare(&vm().with(A).with(B)).done();
    host.prepare(&vm().with(B).with(C)).done();
    assert_eq!(
        host.devices(),
        [format!("{B} mdpy-hd mdpy"), format!("{C} mtty-1 mtty")]
    );
    let claimant = vm().claimant();
    assert_eq!(
        host.ledger(),
        [
            format!("claimants/{claimant} vm1 {B} {C}"),
            format!("claims/{B}/{claimant}"),
            format!("claims/{C}/{claimant}"),
            format!("devices/{B} ready"),
            format!("devices/{C} ready"),
        ]
    );
    // The marks are gone altogether.
    host.prepare(&vm().unmarked(B)).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

#[test]
fn a_definition_that_changed_makes_the_device_anew() {
    let host = Host::new();
    two(&host);
    let vm = vm().with(A);
    host.prepare(&vm).done();
    for (was, type_name, attributes) in [
        ("mtty-2", "mtty-2", &[("power/control", "auto")][..]),
        ("mtty-2", "mtty-1", &[][..]),
        ("mtty-1", "mtty-2", &[][..]),
    ] {
        host.definition("mtty", A, type_name, attributes);
        host.prepare(&vm).done().logged(&[
            &format!("4 vm1: {A} is there half made, or not as defined any more; it is made anew"),
            &format!("6 vm1: removed {A} ({was} on mtty)"),
            &format!("6 vm1: created {A} ({type_name} on mtty)"),
        ]);
        assert_eq!(host.devices(), [format!("{A} {type_name} mtty")]);
        host.prepare(&vm).done().logged(&[]);
    }
    host.release(&vm).done();
    assert!(host.devices().is_empty());
}

/// As after a change of the definition from one type of a GPU to another, where a crash left the first.
#[test]
fn a_leftover_of_another_type_makes_room_on_its_gpu() {
    let host = Host::new();
    host.timeouts("claim = 0")
        .nvidia("0000:41:00.0")
        .definition("0000:41:00.0", A, "nvidia-222", &[]);
    host.prepare(&vm().with(A)).done();
    host.age(60).definition("0000:41:00.0", A, "nvidia-231", &[]);
    let other = Domain::new("other", 2).with(A);
    host.prepare(&other).done();
    assert_eq!(host.devices(), [format!("{A} nvidia-231 0000:41:00.0")]);
    host.release(&other).done();
    host.release(&vm()).done();
    assert!(host.devices().is_empty());
    host.assert_ledger_empty();
}

#[test]
fn a_second_release_finds_nothing_to_do() {
    let host = Host::new();
    two(&host);
    let vm = vm().with(A);
    host.prepare(&vm).done();
    host.release(&vm).done();
    let before = host.snapshot();
    host.release(&vm).done().logged(&[]);
    before.assert_unchanged(&host.snapshot());
}

#[test]
fn a_release_without_a_record_touches_nothing() {
    let host = Host::new();
    two(&host);
    host.active("mtty", "mtty-2", A);
    let before = host.snapshot();
    host.release(&vm().with(A)).done().logged(&[]);
    before.assert_unchanged(&host.snapshot());
    // Another domain has been here.
    host.prepare(&Domain::new("other", 2).with(B)).done();
    let before = host.snapshot();
    host.release(&vm().with(A).with(B)).done().logged(&[]);
    before.assert_unchanged(&host.snapshot());
}

/// At `release` libvirt's XML is the live one: with hot-plugged devices, without unplugged ones.
#[test]
fn a_release_goes_by_what_was_made_not_by_the_xml() {
    let host = Host::new();
    two(&host);
    let before = host.state();
    host.prepare(&vm().with(A)).done();
    fs::remove_file(host.at(format!("etc/mdevctl.d/mtty/{A}"))).expect("a definition");
    host.active("mdpy", "mdpy-hd", B);
    host.release(&vm().with(B)).done();
    assert_eq!(host.devices(), [format!("{B} mdpy-hd mdpy")]);
    host.assert_ledger_empty();
    drop(before);
}

#[test]
fn a_release_by_name_alone_finds_the_domain() {
    for input in [
        "",
        "garbage",
        "<domain",
        "<domain/>",
        "<domain><name>vm1</name></domain>",
        "<domain><uuid>not one</uuid></domain>",
        "<network><uuid>d0000000-0000-4000-8000-000000000001</uuid></network>",
    ] {
        let host = Host::new();
        two(&host);
        let before = host.state();
        host.prepare(&vm().with(A)).done();
        let other = Domain::new("vm10", 2).with(B);
        host.prepare(&other).done();
        host.event("vm1", "release", "end", input)
            .done()
            .logged(&[&format!("6 vm1: removed {A} (mtty-2 on mtty)")]);
        assert_eq!(host.devices(), [format!("{B} mdpy-hd mdpy")], "{input}");
        // Nobody has that name.
        host.event("vm", "release", "end", input).done().logged(&[]);
        host.event("vm10", "release", "end", input).done();
        before.assert_unchanged(&host.state());
        host.assert_ledger_empty();
    }
}

#[test]
fn what_libvirt_says_about_the_end_is_not_looked_at() {
    let host = Host::new();
    two(&host);
    let vm = vm().with(A);
    for extra in ["-", "shutdown", "from snapshot", "a\nb", "--help", "", "ü\u{1b}"] {
        host.hook(&["vm1", "prepare", "begin", extra], vm.xml().as_bytes())
            .done();
        host.hook(&["vm1", "release", "end", extra], vm.xml().as_bytes())
            .done();
        assert!(host.devices().is_empty(), "{extra:?}");
    }
    // None at all, and one that nobody knows yet.
    host.hook(&["vm1", "prepare", "begin"], vm.xml().as_bytes())
        .done();
    host.hook(&["vm1", "release", "end", "-", "more"], vm.xml().as_bytes())
        .done();
    assert!(host.devices().is_empty());
}

#[test]
fn a_device_of_ours_that_somebody_made_again_is_not_ours_any_more() {
    let host = Host::new();
    two(&host);
    let vm = vm().with(A);
    host.prepare(&vm).done();
    host.remove(A);
    host.active("mtty", "mtty-2", A);
    let theirs = host.state();
    host.release(&vm).done().logged(&[&format!(
        "4 vm1: {A} was removed and made again by somebody else; it is left alone"
    )]);
    theirs.assert_unchanged(&host.state());
    host.assert_ledger_empty();
    // Nor is it at the next start.
    host.prepare(&vm).done();
    host.release(&vm).done();
    theirs.assert_unchanged(&host.state());
}

#[test]
fn one_that_somebody_made_again_is_adopted_by_the_next_prepare() {
    let host = Host::new();
    two(&host);
    let vm = vm().with(A);
    host.prepare(&vm).done();
    host.remove(A);
    host.active("mtty", "mtty-2", A);
    let theirs = host.state();
    host.prepare(&vm).done();
    assert_eq!(
        host.ledger(),
        [
            format!("claimants/{} vm1 {A}", vm.claimant()),
            format!("claims/{A}/{}", vm.claimant()),
        ]
    );
    host.release(&vm).done();
    theirs.assert_unchanged(&host.state());
}

#[test]
fn one_that_somebody_removed_is_made_again_or_forgotten() {
    let host = Host::new();
    two(&host);
    let vm = vm().with(A);
    let before = host.state();
    host.prepare(&vm).done();
    host.remove(A);
    host.prepare(&vm)
        .done()
        .logged(&[&format!("6 vm1: created {A} (mtty-2 on mtty)")]);
    host.remove(A);
    host.release(&vm).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

#[test]
fn a_hundred_starts_and_stops_leave_nothing() {
    let host = Host::new();
    two(&host);
    let vm = vm().with(A);
    host.prepare(&vm).done();
    host.release(&vm).done();
    let before = host.snapshot();
    for _ in 0..100 {
        host.prepare(&vm).done();
        host.release(&vm).done();
    }
    before.assert_unchanged(&host.snapshot());
}
