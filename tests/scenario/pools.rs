//! Pools, the whole program: which place is taken, what is refused, what is as before afterwards.

mod broken;
mod limits;
mod list;
mod many;
mod numa;
mod pick;
mod place;
mod plan;
mod random;
mod reads;
mod shared;
mod swap;

use std::fs::{self, File};

use nix::fcntl::{Flock, FlockArg};

use crate::hook::domain::Domain;
use crate::hook::host::Host;
use crate::support::FaultKind;
use crate::support::parents::Type;

/// The UUID of a domain's device.
fn device(number: u32) -> String {
    format!("a0000000-0000-4000-8000-{number:012x}")
}

/// A domain that wants one device of each of these pools.
fn vm(number: u32, pools: &[&str]) -> Domain {
    let devices = (number * 16..).zip(pools);
    devices.fold(
        Domain::new(&format!("vm{number}"), number),
        |domain, (device_number, pool)| domain.of_pool(&device(device_number), pool),
    )
}

/// What a host's administrator says.
trait Pools {
    fn pool(&self, name: &str, text: &str) -> &Self;
    fn ports(&self, name: &str, ports: u32) -> &Self;
}

impl Pools for Host {
    /// Describes a pool.
    fn pool(&self, name: &str, text: &str) -> &Self {
        self.file(&format!("etc/automdev/pools.d/{name}.toml"), text);
        self
    }

    /// A parent like mtty's, of so many ports.
    fn ports(&self, name: &str, ports: u32) -> &Self {
        let offered = |name, available| Type {
            name,
            pretty: name,
            description: None,
            available,
        };
        self.parent(
            &format!("sys/devices/virtual/mtty/{name}"),
            "vfio-pci",
            &[offered("mtty-1", ports), offered("mtty-2", ports / 2)],
        );
        self
    }
}

/// Where the devices of a domain are, in the order of their numbers: `TYPE PARENT`.
fn places(host: &Host, domain: u32) -> Vec<String> {
    let own = |line: &String| (domain * 16..domain * 16 + 16).any(|number| line.starts_with(&device(number)));
    let lines = host.devices().into_iter().filter(own);
    lines
        .map(|line| line.split_once(' ').expect("UUID TYPE PARENT").1.to_owned())
        .collect()
}

/// Starts it, and tells where its devices are.
#[track_caller]
fn start(host: &Host, domain: u32, pools: &[&str]) -> Vec<String> {
    host.prepare(&vm(domain, pools)).done();
    places(host, domain)
}

/// Holds the lock of a device that has had one before: exclusively, as whoever is at work on it, or shared, so that it is
/// free for whoever looks and taken for whoever wants it, as though it had been taken in between.
fn lock_of(host: &Host, uuid: &str, how: FlockArg) -> Flock<File> {
    host.lock_how(&format!("device-{uuid}"), how)
}

/// A type of an open pool.
fn of_type(name: &str) -> String {
    format!("[[member]]\ntype = '{name}'\n")
}
