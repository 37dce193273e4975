//! Two hosts on one network, for what takes two: the near one runs a command, the far one is there for it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::payload::Carried;
use super::place::Temporary;
use super::run::Job;
use super::{crash, machine, tools};

/// What the hosts run, and what they have in their folder `/automdev/pair`.
const SCRIPTS: [(&str, &str); 3] = [
    ("up.sh", include_str!("guest/pair-up.sh")),
    ("near.sh", include_str!("guest/pair-near.sh")),
    ("far.sh", include_str!("guest/pair-far.sh")),
];

/// How long the far host may take to end when the near one has.
const AFTERWARDS: Duration = Duration::from_secs(120);

/// Runs a job in the near one of two hosts, which knows the other as `far`, and itself as `near`. As [`Job::run`].
pub(super) fn run(job: &Job<'_>, mut output: impl FnMut(&[u8])) -> Result<i32> {
    crash::again(job.image.generation, || once(job, &mut output))
}

fn once(job: &Job<'_>, output: impl FnMut(&[u8])) -> Result<i32> {
    let generation = job.image.generation;
    let work = Temporary::new("pair")?;
    let folder = work.path().join("pair");
    write_folder(&folder)?;
    let carried = [
        job.carried,
        &[Carried {
            name: "pair".to_owned(),
            from: folder,
        }],
    ]
    .concat();
    let start = |name: &str, numbers: [u8; 2], command: &[String]| {
        let job = Job {
            carried: &carried,
            command: &[&[format!("/automdev/pair/{name}.sh")], command].concat(),
            ..*job
        };
        job.start(&format!("{generation}-{name}"), |command| {
            machine::add_network(command, work.path(), numbers);
        })
    };
    let far = start("far", [2, 1], &[])?;
    let near = start("near", [1, 2], job.command)?;
    let near = near.end(job.limit, output);
    let far = far.end(AFTERWARDS, |_| {});
    // What the near one made of the other's crash is of no interest.
    match (near, far) {
        (_, Err(error)) if error.is::<crash::Crash>() => Err(error),
        (Ok(0), far) => far.context("the tests are over"),
        (near, _) => near,
    }
}

/// The scripts, and a key that lets each in at the other.
fn write_folder(folder: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    for (name, text) in SCRIPTS {
        let path = folder.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    let output = tools::command("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "automdev-vm", "-f"])
        .arg(folder.join("key"))
        .output()
        .context("cannot run ssh-keygen")?;
    if !output.status.success() {
        bail!(
            "cannot make a key: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
