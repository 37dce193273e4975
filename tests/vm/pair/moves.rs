//! Domains that move with their device: each host makes it by what it has itself, and gives it back when the domain has left.

use super::side::{Side, migration, sides};
use crate::support::{A, Definition, DomainXml};

/// What libvirt calls where a domain comes to.
fn comes() -> Vec<String> {
    let mut calls = vec!["migrate -:".to_owned()];
    calls.extend(starts());
    calls
}

/// What libvirt calls where a domain starts.
fn starts() -> Vec<String> {
    vec![
        "prepare -:".to_owned(),
        format!("start -: {A}"),
        format!("started -: {A}"),
    ]
}

/// What libvirt calls where it leaves.
fn leaves() -> Vec<String> {
    vec![format!("stopped -: {A}"), format!("release migrated: {A}")]
}

fn control(side: &Side) -> String {
    side.sh(&format!("cat /sys/bus/mdev/devices/{A}/power/control"))
}

/// Under a definition on each of them, of another type on another parent. First libvirt's daemons see to it, then virsh does,
/// which is connected to both.
#[test]
fn a_domain_moves_live_and_comes_back() {
    let (near, far) = sides();
    near.define(A, &Definition::new("mtty", "mtty-2"));
    let attributes = &[("power/control", "on")];
    far.define(
        A,
        &Definition {
            attributes,
            ..Definition::new("otty", "otty-2")
        },
    );
    let domain = DomainXml::new("moves").with(A).that_can_move();
    near.virsh_with("create", &domain);
    near.assert_runs(&domain, A, "mtty-2 on mtty");
    assert_eq!(control(&near), "auto\n");
    assert_eq!(near.operations(), starts());

    near.sh(&migration("--live --p2p", "moves", &far));
    far.assert_runs(&domain, A, "otty-2 on otty");
    near.assert_clean(&[]);
    assert_eq!(control(&far), "on\n");
    assert_eq!((near.operations(), far.operations()), (leaves(), comes()));

    far.sh(&migration("--live", "moves", &near));
    near.assert_runs(&domain, A, "mtty-2 on mtty");
    far.assert_clean(&[]);
    assert_eq!(control(&near), "auto\n");
    assert_eq!((near.operations(), far.operations()), (comes(), leaves()));

    near.sh("virsh --quiet destroy moves");
    near.assert_clean(&[]);
}

/// Each has a pool of that name, of its own kind and of types of its own. Offline, no hook is called and nothing is made: that
/// is left to the start.
#[test]
fn a_domain_of_a_pool_moves_offline_and_live() {
    let (near, far) = sides();
    near.define(A, &Definition::new("mtty", "mtty-2"));
    near.pool("any", &format!("[[member]]\ndefinition = '{A}'\n"));
    far.pool(
        "any",
        "[[member]]\ntype = 'nvidia-63'\n[[member]]\ntype = 'otty-2'\nattributes = [['power/control', 'on']]\n",
    );
    let domain = DomainXml::new("pooled").of_pool(A, "any").that_can_move();
    near.virsh_with("define", &domain);

    near.sh(&migration(
        "--offline --persistent --undefinesource",
        "pooled",
        &far,
    ));
    near.assert_clean(&[]);
    far.assert_clean(&["pooled"]);
    let calls = (near.operations(), far.operations());
    assert_eq!(calls, (Vec::new(), vec!["migrate -:".to_owned()]));

    far.sh("virsh --quiet start pooled");
    far.assert_runs(&domain, A, "otty-2 on otty");
    assert_eq!(control(&far), "on\n");
    assert_eq!(far.operations(), starts());

    far.sh(&migration(
        "--live --p2p --persistent --undefinesource",
        "pooled",
        &near,
    ));
    near.assert_runs(&domain, A, "mtty-2 on mtty");
    far.assert_clean(&[]);
    assert_eq!(control(&near), "auto\n");
    assert_eq!((near.operations(), far.operations()), (comes(), leaves()));
    near.sh("virsh --quiet destroy pooled");
    near.assert_clean(&["pooled"]);
    near.sh("virsh --quiet undefine pooled");
}
