//! `automdev reconcile`: what those who died have left goes, and nothing else.

mod broken;
mod dry;
mod kept;
mod stale;

use crate::hook::domain::Domain;
use crate::hook::host::{Answer, Host};

const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b";
const C: &str = "e8a4d1f0-3c55-4a0e-a2b1-5f2d7c9b0e13";

/// A host with two devices that can be made, and domains that want one each.
fn two() -> (Host, Domain, Domain) {
    let host = Host::new();
    host.timeouts("claim = 0\nidle = 0.2\nhook = 5")
        .mtty()
        .mdpy()
        .definition("mtty", A, "mtty-2", &[])
        .definition("mdpy", B, "mdpy-hd", &[]);
    (
        host,
        Domain::new("vm1", 1).with(A),
        Domain::new("other", 2).with(B),
    )
}

/// Nothing was left over.
#[track_caller]
fn finds_nothing(host: &Host) {
    let before = host.snapshot();
    host.reconcile(&[])
        .printed(0, &["nothing was left over"])
        .logged(&[]);
    before.assert_unchanged(&host.snapshot());
}
