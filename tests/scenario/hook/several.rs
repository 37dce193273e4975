//! Several devices of one domain: all or none, undone in reverse.

use super::*;
use nix::errno::Errno;

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
        &format!("6 vm1: created {A} (mtty-2 on mtty)"),
        &format!("6 vm1: created {B} (mdpy-hd on mdpy)"),
        &format!("6 vm1: created {C} (mbochs-small on mbochs)"),
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
    let types = ["mtty-2/create", "mdpy-hd/create", "mbochs-small/create"];
    let shown = ["mtty-2 on mtty", "mdpy-hd on mdpy", "mbochs-small on mbochs"];
    let parents = ["mtty", "mdpy", "mbochs"];
    for failing in 0..3 {
        let host = Host::new();
        let vm = three(&host);
        host.kernel().configure(|config| {
            config.errors.insert(types[failing].to_owned(), Errno::EIO as i32);
        });
        let before = host.state();
        host.prepare(&vm).refused(&format!(
            "vm1: cannot create {} ({}): the driver of {} answers I/O error (EIO); look at the kernel's log (dmesg)",
            [A, B, C][failing],
            shown[failing],
            parents[failing]
        ));
        before.assert_unchanged(&host.state());
        host.assert_ledger_empty();
        let uuids = [A, B, C];
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
    host.active("mtty", "mtty-2", A);
    host.kernel().configure(|config| {
        config
            .errors
            .insert("mbochs-small/create".to_owned(), Errno::ENOSPC as i32);
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
            .insert("mbochs-small/create".to_owned(), Errno::ENOSPC as i32);
        config.errors.insert(format!("{A}/remove"), Errno::EIO as i32);
    });
    let before = host.state();
    host.prepare(&vm).refused(&format!(
        "vm1: cannot create {C} (mbochs-small on mbochs): mbochs has no room left for mbochs-small (No space left on \
         device); stop a domain that has a device there, or move this definition to another parent; besides, cannot \
         remove {A} on mtty: I/O error"
    ));
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    assert!(host.ledger().contains(&format!("devices/{A} removing")));
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
