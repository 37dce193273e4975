//! What `undefine` takes away, and what it leaves.

use super::*;

#[test]
fn all_definitions_of_a_device_go_or_the_one_that_is_named() {
    let host = Tree::new();
    host.mtty().mdpy();
    let define = || {
        host.definition("mtty", A, "mtty-1", &[])
            .definition("mdpy", A, "mdpy-hd", &[])
            .definition("mtty", B, "mtty-1", &[]);
    };
    define();
    assert_eq!(
        automdev(&host, &format!("undefine {A} --parent mtty_mtty")).printed(),
        format!("removed /etc/mdevctl.d/mtty/{A}\n")
    );
    assert_eq!(
        (host.names("etc/mdevctl.d/mdpy"), host.names("etc/mdevctl.d/mtty")),
        (vec![A.to_owned()], vec![B.to_owned()])
    );
    assert_eq!(
        automdev(&host, &format!("undefine {A} --parent mtty")).failed(),
        format!("automdev: {A} has no definition on mtty\n")
    );
    define();
    assert_eq!(
        automdev(&host, &format!("undefine {}", A.to_uppercase())).printed(),
        format!("removed /etc/mdevctl.d/mdpy/{A}\nremoved /etc/mdevctl.d/mtty/{A}\n")
    );
    assert_eq!(host.names("etc/mdevctl.d/mtty"), [B]);
}

#[test]
fn one_that_is_not_there_is_told_with_the_nearest() {
    let host = Tree::new();
    host.definition("mtty", A, "mtty-1", &[]);
    let near = A.replace("c21", "c12");
    assert_eq!(
        automdev(&host, &format!("undefine {near}")).failed(),
        format!("automdev: this host has no definition of {near} (did you mean {A}?)\n")
    );
    assert_eq!(
        automdev(&host, &format!("undefine {B}")).failed(),
        format!("automdev: this host has no definition of {B}\n")
    );
}

#[test]
fn broken_ones_and_links_go_and_folders_stay() {
    let host = Tree::new();
    host.file(&format!("etc/mdevctl.d/a/{A}"), "{")
        .link_text(&format!("etc/mdevctl.d/b/{A}"), "nowhere")
        .file("etc/precious", "mine")
        .link_text(&format!("etc/mdevctl.d/c/{A}"), "../../precious");
    assert_eq!(
        automdev(&host, &format!("undefine {A}"))
            .printed()
            .lines()
            .count(),
        3
    );
    assert_eq!(host.read("etc/precious").as_deref(), Some("mine"));
    host.folder(&format!("etc/mdevctl.d/d/{A}"));
    assert_eq!(
        automdev(&host, &format!("undefine {A}")).failed(),
        format!(
            "automdev: cannot undefine {A}: cannot take away /etc/mdevctl.d/d/{A}: Is a directory (os error 21)\n"
        )
    );
}

#[test]
fn one_that_a_domain_claims_stays_unless_it_is_forced() {
    let host = Host::new();
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    let vm = Domain::new("render01", 1).with(A);
    host.prepare(&vm).done();
    let before = host.state();
    assert_eq!(
        automdev(&host, &format!("undefine {A}")).failed(),
        format!(
            "automdev: {A} is claimed by render01; stop that first, or undefine it all the same with --force\n"
        )
    );
    before.assert_unchanged(&host.state());
    assert_eq!(
        automdev(&host, &format!("undefine {A} --force")).warned(),
        format!("automdev: warning: {A} is claimed by render01\n")
    );
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")], "the device stays");
    host.release(&vm).done();
    assert_eq!(host.devices(), Vec::<String>::new());

    // A claim of somebody who is gone keeps nothing.
    host.definition("mtty", A, "mtty-2", &[]);
    host.prepare(&vm).done();
    host.file("proc/sys/kernel/random/boot_id", "another boot\n");
    automdev(&host, &format!("undefine {A}")).printed();
}
