//! What a start does where all is well.

use super::*;

#[test]
fn a_device_is_there_while_its_domain_runs() {
    let host = Host::new();
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    let vm = Domain::new("vm1", 1).with(A);
    let before = host.state();

    host.prepare(&vm)
        .done()
        .logged(&[&format!("6 vm1: created {A} (mtty-2 on mtty)")]);
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    assert_eq!(
        host.ledger(),
        [
            format!("claimants/{} vm1 {A}", vm.claimant()),
            format!("claims/{A}/{}", vm.claimant()),
            format!("devices/{A} ready"),
        ]
    );

    host.release(&vm)
        .done()
        .logged(&[&format!("6 vm1: removed {A} (mtty-2 on mtty)")]);
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}
