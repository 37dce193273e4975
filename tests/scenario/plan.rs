//! `automdev plan`, the whole program: what it prints, how it ends, that it writes nothing.

mod asked;

mod colour;
mod hosts;
mod inputs;
mod json;
pub(crate) mod reads;
mod refusals;
mod text;
mod verdict;

use std::fs;

use asked::{ask, ask_json, command, refused};

use crate::hook::domain::Domain;
use crate::hook::host::Host;
use crate::support::FaultKind;

/// Devices.
const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b";
const C: &str = "e8a4d1f0-3c55-4a0e-a2b1-5f2d7c9b0e13";

/// A host that defines A as an mtty-2 with an attribute and B as an mdpy-hd.
fn defined() -> Host {
    let host = Host::new();
    host.mtty()
        .mdpy()
        .definition("mtty", A, "mtty-2", &[("power/control", "on")])
        .definition("mdpy", B, "mdpy-hd", &[]);
    host
}

fn vm() -> Domain {
    Domain::new("vm1", 1)
}

/// A domain that runs and has these devices.
fn running(host: &Host, name: &str, number: u32, uuids: &[&str]) {
    let domain = uuids
        .iter()
        .fold(Domain::new(name, number), |domain, uuid| domain.with(uuid));
    host.prepare(&domain).done();
    host.domain(name, &domain.uuid, 4000 + number);
}
