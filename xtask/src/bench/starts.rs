//! Many starts at once, on parents whose driver takes its time: those on different parents do not wait for each other.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::call::{Call, Case, Round, Step};
use super::tree::{Folder, defined, domain_of};

/// How many start, and as many devices has a parent.
const STARTS: usize = 64;

/// How long a driver takes for a device, in milliseconds.
const DELAY: &str = "50";

/// What it is called.
pub(crate) const NAME: &str = "64 starts at once, 8 parents";

/// The case, over `program`'s kernel, which reacts in a folder.
pub(crate) fn case(program: &Path, folder: &Folder) -> Result<Case> {
    let starts = |name: &str, parents: &str| {
        let host = Host::new(program, folder, parents)?;
        let call = Call::rounds(name, vec![host.all("prepare", "begin")?]);
        anyhow::Ok(call.after(host.all("release", "end")?))
    };
    let case = Case::new(NAME, starts("automdev", "8")?, starts("1 parent", "1")?);
    Ok(case.at_most(0.2))
}

struct Host<'a> {
    program: &'a Path,
    folder: &'a Folder,
    root: String,
}

impl<'a> Host<'a> {
    fn new(program: &'a Path, folder: &'a Folder, parents: &str) -> Result<Self> {
        let root = folder.at(&format!("{parents}-parents")).display().to_string();
        let uuids: Vec<String> = (0..STARTS).map(defined).collect();
        let status = Command::new(program)
            .args(["make-host", &root, parents, DELAY])
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

    /// The same call of the hook for all domains, each of which has one device.
    fn all(&self, operation: &str, end: &str) -> Result<Round> {
        let step = |number| {
            let file = self.folder.at(&format!("start-{number}.xml"));
            std::fs::write(&file, domain_of(number, &[defined(number)], None, 2_000))?;
            let words = ["--root", &self.root, "hook", "bench", operation, end, "-"];
            Ok(Step::new(self.program, &words).reading(&file))
        };
        (0..STARTS).map(step).collect()
    }
}
