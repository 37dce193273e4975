//! The whole program as libvirt's hook, over a host in a folder: all that its caller, the journal's reader and
//! whoever looks at the host afterwards see.

mod domain;
mod host;

mod create;

use domain::Domain;
use host::Host;

/// Devices.
const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b";
const C: &str = "e8a4d1f0-3c55-4a0e-a2b1-5f2d7c9b0e13";
