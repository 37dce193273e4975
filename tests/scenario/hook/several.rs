//! Several devices of one domain: all or none, undone in reverse.

use super::*;
use nix::errno::Errno;
use std::thread::sleep;
use std::time::Duration;

const D: &str = "e8a4d1f0-3c55-4a0e-a2b1-5f2d7c9b0e14";

fn three(host: &Host) -> Domain {
    host.mtty()
        .mdpy()
        .mbochs()
        .definition("mtty", A, "mtty-2", &[])
        .definition("mdpy", B, "mdpy-hd", &[])
        .definition("mbochs", C, "mbochs-small", &[]);
    Domain::new("vm1", 1).with(A).with(B).with(C)
}

#[test]
fn all_are_there_while_the_domain_runs() {
    let host = Host::new();
    let vm = three(&host);
    let before = host.state();
    host.prepare(&vm).done().logged(&[
        &format!("6 vm1: created {C} (mbochs-small on mbochs)"),
        &format!("6 vm1: created {B} (mdpy-hd on mdpy)"),
        &format!("6 vm1: created {A} (mtty-2 on mtty)"),
    ]);
    assert_eq!(
        host.devices(),
        [
            format!("{A} mtty-2 mtty"),
            format!("{B} mdpy-hd mdpy"),
            format!("{C} mbochs-small mbochs"),
        ]
    );
    host.release(&vm).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

#[test]
fn what_was_made_before_a_failure_is_undone_in_reverse() {
    // In the order of the parents' names.
    let types = ["mbochs-small/create", "mdpy-hd/create", "mtty-2/create"];
    let shown = ["mbochs-small on mbochs", "mdpy-hd on mdpy", "mtty-2 on mtty"];
    let parents = ["mbochs", "mdpy", "mtty"];
    let uuids = [C, B, A];
    for failing in 0..3 {
        let host = Host::new();
        let vm = three(&host);
        host.kernel().configure(|config| {
            config.errors.insert(types[failing].to_owned(), Errno::EIO as i32);
        });
        let before = host.state();
        host.prepare(&vm).refused(&format!(
            "vm1: cannot create {} ({}): the driver of {} answers I/O error (EIO); look at the kernel's log (dmesg)",
            uuids[failing],
            shown[failing],
            parents[failing]
        ));
        before.assert_unchanged(&host.state());
        host.assert_ledger_empty();
        let mut expected: Vec<String> = (0..=failing)
            .map(|index| {
                let result = if index == failing { "EIO" } else { "done" };
                let (parent, uuid) = (parents[index], uuids[index]);
                format!(
                    "{parent}/mdev_supported_types/{} {uuid:?}: {result}",
                    types[index]
                )
            })
            .collect();
        let undone = (0..failing).rev();
        expected
            .extend(undone.map(|index| format!("{}/{}/remove \"1\": done", parents[index], uuids[index])));
        assert_eq!(host.writes(), expected);
    }
}

#[test]
fn one_that_cannot_be_had_keeps_all_from_being_made() {
    let host = Host::new();
    let vm = three(&host);
    fs::remove_file(host.at(format!("etc/mdevctl.d/mbochs/{C}"))).expect("a definition");
    let before = host.state();
    assert!(!host.prepare(&vm).succeeded());
    before.assert_unchanged(&host.state());
    assert_eq!(host.kernel().effects(), 0);
}

#[test]
fn what_is_used_as_it_was_stays_when_another_fails() {
    let host = Host::new();
    let vm = three(&host);
    host.active("mbochs", "mbochs-small", C);
    host.kernel().configure(|config| {
        config
            .errors
            .insert("mtty-2/create".to_owned(), Errno::ENOSPC as i32);
    });
    let before = host.state();
    assert!(!host.prepare(&vm).succeeded());
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// What cannot be undone is told, with the cause first, and stays recorded; libvirt's `release` tries again.
#[test]
fn what_cannot_be_undone_is_told_and_tried_again() {
    let host = Host::new();
    let vm = three(&host);
    host.kernel().configure(|config| {
        config
            .errors
            .insert("mtty-2/create".to_owned(), Errno::ENOSPC as i32);
        config.errors.insert(format!("{C}/remove"), Errno::EIO as i32);
    });
    let before = host.state();
    host.prepare(&vm).refused(&format!(
        "vm1: cannot create {A} (mtty-2 on mtty): mtty has no room left for mtty-2 (No space left on device); stop a domain \
         that has a device there, or move this definition to another parent; besides, cannot remove {C} on mbochs: I/O \
         error"
    ));
    assert_eq!(host.devices(), [format!("{C} mbochs-small mbochs")]);
    assert!(host.ledger().contains(&format!("devices/{C} removing")));
    host.kernel().configure(|config| config.errors.clear());
    host.release(&vm).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// A crash while the parent's last room is taken must not keep the domain from starting again.
#[test]
fn leftovers_that_fill_the_parent_give_their_room_back_before_they_are_made_anew() {
    let host = Host::new();
    host.mdpy_of(2)
        .definition("mdpy", A, "mdpy-hd", &[])
        .definition("mdpy", B, "mdpy-hd", &[]);
    let vm = Domain::new("vm1", 1).with(A).with(B);
    let both = [format!("{A} mdpy-hd mdpy"), format!("{B} mdpy-hd mdpy")];
    host.prepare(&vm).done();
    // The second one's record learns the inode after both records, claims and creations.
    let effects = host.kernel().log();
    let at = effects
        .iter()
        .position(|line| line.contains(&format!("{B:?}")))
        .expect("made");
    host.release(&vm).done();
    host.prepare_with(at as u64 + 1, FaultKind::KillAfter, &vm)
        .killed();
    assert_eq!(host.devices(), both);
    host.prepare(&vm).done();
    assert_eq!(host.devices(), both);
    host.release(&vm).done();
    host.assert_ledger_empty();
    assert!(host.devices().is_empty());
}

/// Nobody keeps a parent from others while it waits for another parent.
#[test]
fn of_several_parents_only_one_is_kept_from_others_at_a_time() {
    let host = Host::new();
    let vm = three(&host);
    let other = Domain::new("vm2", 2).with(D);
    host.timeouts("hook = 20").definition("mdpy", D, "mdpy-vga", &[]);
    let before = host.state();
    host.prepare(&vm).done();
    host.release(&vm).done();
    for operation in ["prepare", "release"] {
        let lock = host.lock("parent-mtty");
        let end = if operation == "prepare" { "begin" } else { "end" };
        let mut child = host.start(&["vm1", operation, end, "-"], vm.xml().as_bytes());
        sleep(Duration::from_millis(500));
        host.prepare(&other).done();
        host.release(&other).done();
        assert!(child.try_wait().expect("a child").is_none(), "it has not waited");
        drop(lock);
        host.finish(child).done();
    }
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// What was made before a parent could not be had is undone.
#[test]
fn a_parent_that_is_kept_for_too_long_undoes_what_was_made_on_others() {
    let host = Host::new();
    let vm = three(&host);
    host.timeouts("hook = 0.5");
    let before = host.state();
    host.prepare(&vm).done();
    host.release(&vm).done();
    let lock = host.lock("parent-mtty");
    let writes = host.writes().len();
    host.prepare(&vm).refused(&format!(
        "vm1: cannot create {A} (mtty-2 on mtty): another automdev call has been at work on parent-mtty for too long; try \
         again, or look for it with ps"
    ));
    let tried = [
        format!("mbochs/mdev_supported_types/mbochs-small/create {C:?}: done"),
        format!("mdpy/mdev_supported_types/mdpy-hd/create {B:?}: done"),
        format!("mdpy/{B}/remove \"1\": done"),
        format!("mbochs/{C}/remove \"1\": done"),
    ];
    assert_eq!(host.writes()[writes..], tried);
    drop(lock);
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}
