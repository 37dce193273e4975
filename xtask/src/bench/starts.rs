//! Starts and stops over a kernel that reacts in a folder: one after the other, on hosts of several sizes, and many at once,
//! on parents whose driver takes its time, where those on different parents do not wait for each other.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::call::{Call, Case, Round, Step};
use super::tree::{self, Folder, defined, domain_of};

/// How many definitions a host has, of ordinary size.
const DEFINITIONS: usize = 10;

/// How long a driver takes for a device, in milliseconds, where several start at once.
const DELAY: &str = "50";

/// How many start at once, and as many devices has a parent at most.
const AT_ONCE: [usize; 3] = [1, 8, 64];

/// Starts and stops that come one after the other, over `program`'s kernel.
pub(crate) fn in_turn(program: &Path, folder: &Folder) -> Result<Vec<Case>> {
    let host = |name: &str, definitions: usize, records: usize| {
        let host = Host::new(program, folder, name, "1", "0", DEFINITIONS)?;
        for number in DEFINITIONS..definitions {
            let path = format!("etc/mdevctl.d/mbochs0/{}", defined(number));
            tree::write(
                &folder.at(name).join(path),
                r#"{"mdev_type":"mbochs-small","start":"manual"}"#,
            )?;
        }
        for number in 0..records {
            let device = format!("e0000000-0000-4000-8000-{number:012x}");
            let path = format!("run/automdev/devices/{device}");
            tree::write(&folder.at(name).join(path), &record(&device))?;
        }
        anyhow::Ok(host)
    };
    let small = host("start-small", DEFINITIONS, 0)?;
    let mut cases = Vec::new();
    for count in [1, 4, 16] {
        // The same with a device each does not stand for several of one domain: those share what is done once for all.
        let larger = host(&format!("start-{count}"), count.max(DEFINITIONS), 0)?;
        let own = larger.start_and_stop("automdev", count)?;
        let name = format!("start and stop, devices: {count}");
        cases.push(Case::new(name, own, small.start_and_stop("1 device", 1)?));
    }
    for (name, definitions, records) in [
        ("1,000 definitions", 1_000, 0),
        ("10,000 definitions", 10_000, 0),
        ("1,000 records", DEFINITIONS, 1_000),
    ] {
        let large = host(&format!("start-{name}"), definitions, records)?;
        let own = large.start_and_stop("automdev", 1)?;
        let peer = small.start_and_stop("10 definitions", 1)?;
        cases.push(Case::new(format!("start and stop, {name}"), own, peer).at_most(1.1));
    }
    Ok(cases)
}

/// Many at once, on eight parents, against the same on one.
pub(crate) fn at_once(program: &Path, folder: &Folder) -> Result<Vec<Case>> {
    let case = |count| {
        let starts = |name: &str, parents: &str| {
            let host = Host::new(
                program,
                folder,
                &format!("{count}-on-{parents}"),
                parents,
                DELAY,
                count,
            )?;
            let call = Call::rounds(name, vec![host.all("prepare", "begin", count)?]);
            anyhow::Ok(call.after(host.all("release", "end", count)?))
        };
        let name = format!("{count} starts at once, 8 parents");
        let case = Case::new(name, starts("automdev", "8")?, starts("1 parent", "1")?);
        // As many parents, and eight of them at work at a time; a single start has nobody to wait for.
        anyhow::Ok(if count == 64 { case.at_most(0.2) } else { case })
    };
    AT_ONCE.into_iter().map(case).collect()
}

/// A record of a device that is not there, made in another boot.
fn record(device: &str) -> String {
    format!(
        r#"{{"schema":1,"kind":"mdev","uuid":"{device}","parent":"mbochs0","mdev_type":"mbochs-small","attributes":[],"state":"ready","inode":1,"boot":"00000000-0000-4000-8000-000000000001"}}"#
    )
}

struct Host<'a> {
    program: &'a Path,
    folder: &'a Folder,
    root: String,
}

impl<'a> Host<'a> {
    fn new(
        program: &'a Path,
        folder: &'a Folder,
        name: &str,
        parents: &str,
        delay: &str,
        definitions: usize,
    ) -> Result<Self> {
        let root = folder.at(name).display().to_string();
        let uuids: Vec<String> = (0..definitions).map(defined).collect();
        let status = Command::new(program)
            .args(["make-host", &root, parents, delay])
            .args(uuids)
            .status()
            .with_context(|| format!("cannot run {}", program.display()))?;
        if !status.success() {
            bail!("{} makes no host", program.display());
        }
        Ok(Host {
            program,
            folder,
            root,
        })
    }

    /// A domain with so many devices.
    fn start_and_stop(&self, name: &str, devices: usize) -> Result<Call> {
        let file = self.folder.at(&format!("devices-{devices}.xml"));
        let devices: Vec<String> = (0..devices).map(defined).collect();
        tree::write(&file, &domain_of(1, &devices, None, 2_000))?;
        let steps = [("prepare", "begin"), ("release", "end")];
        let steps = steps.map(|(operation, end)| self.step(operation, end, &file));
        Ok(Call::in_turn(name, steps.to_vec()))
    }

    /// The same call of the hook for so many domains, each of which has one device.
    fn all(&self, operation: &str, end: &str, count: usize) -> Result<Round> {
        let step = |number| {
            let file = self.folder.at(&format!("start-{number}.xml"));
            tree::write(&file, &domain_of(number, &[defined(number)], None, 2_000))?;
            Ok(self.step(operation, end, &file))
        };
        (0..count).map(step).collect()
    }

    fn step(&self, operation: &str, end: &str, file: &Path) -> Step {
        let words = ["--root", &self.root, "hook", "bench", operation, end, "-"];
        Step::new(self.program, &words).reading(file)
    }
}
