//! What the calls stand on: definitions, hooks of others, domains.

use std::fs::{self, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::bench::tree::{defined, domain_of};

/// How many devices mtty has: one for each of its ports.
pub(super) const PORTS: usize = 24;

/// How many small devices mbochs has: one for each four of its 256 megabytes.
pub(super) const PIECES: usize = 64;

/// A store of definitions that can have mdevctl's name, `/etc/mdevctl.d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Store {
    /// As many as mtty has ports and mbochs has pieces. It is in place at first.
    Usual,
    /// Ten.
    Small,
    /// Ten thousand.
    Large,
}

impl Store {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Store::Usual => "usual",
            Store::Small => "small",
            Store::Large => "large",
        }
    }

    const fn size(self) -> usize {
        match self {
            Store::Usual => PORTS + PIECES,
            Store::Small => 10,
            Store::Large => 10_000,
        }
    }
}

/// A ledger that can have automdev's name, `/run/automdev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ledger {
    /// With nothing in it. It is in place at first.
    Usual,
    /// With a thousand records, and the claims to their devices.
    Large,
}

impl Ledger {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Ledger::Usual => "usual",
            Ledger::Large => "large",
        }
    }

    const fn size(self) -> usize {
        match self {
            Ledger::Usual => 0,
            Ledger::Large => 1_000,
        }
    }
}

/// A folder with all of it, in memory. Nothing of it outlives the host.
pub(super) struct Ground(PathBuf);

impl Ground {
    pub(super) fn lay() -> Result<Self> {
        // `ready.sh` knows it, too.
        let ground = Ground("/run/automdev-bench".into());
        fs::create_dir_all(&ground.0)?;
        define(Path::new("/etc/mdevctl.d"), Store::Usual)?;
        for store in [Store::Small, Store::Large] {
            define(&PathBuf::from(format!("/etc/mdevctl.d.{}", store.name())), store)?;
        }
        ground.file("store", Store::Usual.name())?;
        note(Path::new(LEDGER), Ledger::Usual)?;
        note(
            &PathBuf::from(format!("{LEDGER}.{}", Ledger::Large.name())),
            Ledger::Large,
        )?;
        ground.file("ledger", Ledger::Usual.name())?;
        for (name, text) in [
            ("ready.sh", include_str!("ready.sh")),
            ("hook.sh", include_str!("hook.sh")),
            ("hook.py", include_str!("hook.py")),
        ] {
            fs::set_permissions(ground.file(name, text)?, Permissions::from_mode(0o755))?;
        }
        Ok(ground)
    }

    /// Where a file of that name is.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The XML of a domain, as libvirt would hand it over: `bench`, with that number for its UUID, and some of the devices.
    pub(super) fn domain(&self, number: usize, devices: &[usize]) -> Result<PathBuf> {
        // Each has a file of its own.
        let first = devices.first().copied().unwrap_or_default();
        let name = format!("domain-{number}-{first}-{}.xml", devices.len());
        let devices: Vec<String> = devices.iter().copied().map(defined).collect();
        self.file(&name, &domain_of(number, &devices, None, 2_000))
    }

    /// The same without any device, of so many bytes.
    pub(super) fn plain_domain(&self, bytes: usize) -> Result<PathBuf> {
        self.file(&format!("plain-{bytes}.xml"), &domain_of(1, &[], None, bytes))
    }

    fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.at(name);
        fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
        Ok(path)
    }
}

/// Those of mtty's devices come first; the rest is spread over two parents.
fn define(store: &Path, size: Store) -> Result<()> {
    // mdevctl wants them.
    for folder in ["scripts.d/callouts", "scripts.d/notifiers", "mtty", "mbochs"] {
        fs::create_dir_all(store.join(folder))?;
    }
    for number in 0..size.size() {
        let (parent, mdev_type) = match number {
            PORTS.. if number < PORTS + PIECES || number % 2 == 1 => ("mbochs", "mbochs-small"),
            _ => ("mtty", "mtty-1"),
        };
        let text = format!(r#"{{"mdev_type":"{mdev_type}","start":"manual"}}"#);
        let path = store.join(parent).join(defined(number));
        fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
    }
    Ok(())
}

/// automdev's ledger: `/run/automdev`.
const LEDGER: &str = "/run/automdev";

/// Records of devices that are not there, each claimed by a domain of its own.
fn note(ledger: &Path, size: Ledger) -> Result<()> {
    let folder = |path: &Path| {
        let mut made = fs::DirBuilder::new();
        let made = made.recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("{}", path.display()))
    };
    for name in ["devices", "claims", "claimants", "locks"] {
        folder(&ledger.join(name))?;
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let boot = boot.trim_end();
    for number in 0..size.size() {
        let device = format!("e0000000-0000-4000-8000-{number:012x}");
        let claimant = format!("domain-f0000000-0000-4000-8000-{number:012x}");
        let claims = ledger.join("claims").join(&device);
        folder(&claims)?;
        for (file, text) in [
            (
                ledger.join("devices").join(&device),
                format!(
                    r#"{{"schema":1,"kind":"mdev","uuid":"{device}","parent":"mtty","mdev_type":"mtty-1","attributes":[],"state":"ready","inode":1,"boot":"{boot}"}}"#
                ),
            ),
            (
                claims.join(&claimant),
                format!(r#"{{"schema":1,"name":"other","boot":"{boot}","time":1}}"#),
            ),
            (
                ledger.join("claimants").join(&claimant),
                format!(r#"{{"schema":1,"name":"other","devices":["{device}"]}}"#),
            ),
        ] {
            fs::write(&file, text).with_context(|| format!("{}", file.display()))?;
        }
    }
    Ok(())
}
