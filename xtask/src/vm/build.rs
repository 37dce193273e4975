//! Builds an image, all in a temporary folder, so that nobody ever sees half of one.
//!
//! Four steps: a throw-away root with compiler, headers and sources makes the sample drivers; a second one becomes
//! the host; that goes into a file system; a short boot at last lets the host fill the caches (`AppArmor`'s compiled
//! profiles, libvirt's findings about QEMU) that would otherwise be filled anew in every run.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::generation::Generation;
use super::image::Image;
use super::machine::Purpose;
use super::payload::Carried;
use super::place::Temporary;
use super::recipe::{
    BUILD_MODULES, BUILDER_PACKAGES, HOST_PACKAGES, LEFT_OUT, MAKE_FILE_SYSTEM, SETUP_FILES, SETUP_ROOT,
    WARM_UP,
};
use super::run::Job;
use super::stage::Stage;
use super::tools::Signal;
use super::{apt, crash, place, tools};

/// The root file system's name in an image's folder.
pub(crate) const ROOT: &str = "root.ext4";
/// The kernel's.
pub(crate) const KERNEL: &str = "kernel";
/// The initramfs's.
pub(crate) const INITRAMFS: &str = "initramfs";

/// Bytes of the root file system: what is on it, and what a run may write (sparse, so it costs nothing).
const ROOT_SIZE: &str = "1500M";

/// How long the first boot may take.
const WARM_UP_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Builds `generation`'s image, which is then at `target`.
pub(crate) fn build(generation: Generation, target: &Path) -> Result<()> {
    let all = Stage::begin(generation, "building the image");
    let work = Temporary::new(generation.codename())?;
    let builder = Builder::new(generation, work.path())?;

    let stage = Stage::begin(generation, "building the kernel's sample drivers");
    builder.modules()?;
    stage.end();

    let stage = Stage::begin(generation, "installing packages");
    builder.root()?;
    stage.end();

    // A crash may leave anything on the file system.
    crash::again(generation, || {
        let stage = Stage::begin(generation, "making the file system");
        builder.file_system()?;
        stage.end();

        let stage = Stage::begin(generation, "booting it once to fill its caches");
        builder.warm_up()?;
        stage.end();
        Ok(())
    })?;

    fs::rename(builder.image(), target).with_context(|| format!("cannot make {}", target.display()))?;
    all.end();
    Ok(())
}

struct Builder<'a> {
    generation: Generation,
    work: &'a Path,
    bootstrap: Bootstrap<'a>,
}

impl<'a> Builder<'a> {
    fn new(generation: Generation, work: &'a Path) -> Result<Self> {
        let bootstrap = Bootstrap::new(generation, work, generation.codename())?;
        for folder in ["image", "setup"] {
            fs::create_dir(work.join(folder))?;
        }
        Ok(Self {
            generation,
            work,
            bootstrap,
        })
    }

    /// The folder that becomes the image.
    fn image(&self) -> PathBuf {
        self.work.join("image")
    }

    /// Leaves the sample drivers in `modules.tar`.
    fn modules(&self) -> Result<()> {
        let script = self.script("build-modules.sh", BUILD_MODULES)?;
        let mut command = self.bootstrap.command("essential", &BUILDER_PACKAGES);
        command
            .arg(format!("--customize-hook={script}"))
            .arg(format!(
                "--customize-hook=download /modules.tar {}/setup/modules.tar",
                self.work.display()
            ))
            .args(["--format=null", self.generation.codename(), "-"]);
        self.bootstrap.run("mmdebstrap", command)
    }

    /// Leaves the host's root in `root.tar`.
    fn root(&self) -> Result<()> {
        for (name, text) in SETUP_FILES {
            fs::write(self.work.join("setup").join(name), text)?;
        }
        let script = self.script("setup-root.sh", SETUP_ROOT)?;
        let mut command = self.bootstrap.command("essential", &HOST_PACKAGES);
        command
            // The kernel's package would build an initramfs that nobody boots.
            .arg("--dpkgopt=force-confold")
            .arg("--essential-hook=mkdir -p \"$1/etc/initramfs-tools\"")
            .arg("--essential-hook=echo update_initramfs=no > \"$1/etc/initramfs-tools/update-initramfs.conf\"")
            .arg(format!("--customize-hook=copy-in {}/setup /", self.work.display()))
            .arg(format!("--customize-hook={script}"))
            .args(["--format=tar", self.generation.codename()])
            .arg(self.work.join("root.tar"));
        self.bootstrap.run("mmdebstrap", command)
    }

    /// Makes the root file system, also in place of one that a crash left.
    fn file_system(&self) -> Result<()> {
        let earlier = self.image().join(ROOT);
        if earlier.exists() {
            fs::remove_file(&earlier).with_context(|| format!("cannot remove {}", earlier.display()))?;
        }
        let mut command = as_root(&self.script("make-file-system.sh", MAKE_FILE_SYSTEM)?);
        command
            .arg(self.work.join("root.tar"))
            .arg(self.image())
            .arg(ROOT_SIZE);
        self.bootstrap.run("mke2fs", command)
    }

    fn warm_up(&self) -> Result<()> {
        let image = Image::at(self.generation, self.image());
        let carried = Carried {
            name: "warm-up.sh".into(),
            from: self.script("warm-up.sh", WARM_UP)?.into(),
        };
        let job = Job {
            image: &image,
            carried: &[carried],
            command: &["/automdev/warm-up.sh".into()],
            purpose: Purpose::WarmUp,
            limit: WARM_UP_LIMIT,
        };
        let status = job.once(|piece| drop((&self.bootstrap.log).write_all(piece)))?;
        if status != 0 {
            bail!("{}: the new host does not work", self.generation);
        }
        Ok(())
    }

    fn script(&self, name: &str, text: &str) -> Result<String> {
        let path = self.work.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        Ok(path.display().to_string())
    }
}

/// Makes folders and archives out of a generation's packages, in a folder that it is given.
pub(crate) struct Bootstrap<'a> {
    work: &'a Path,
    log: File,
    log_path: PathBuf,
}

impl<'a> Bootstrap<'a> {
    /// `name` is that of the log.
    pub(crate) fn new(generation: Generation, work: &'a Path, name: &str) -> Result<Self> {
        let log_path = place::logs()?.join(format!("{name}-build.log"));
        let log = File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;
        fs::write(work.join("sources.list"), apt::sources_for(generation)?)?;
        fs::create_dir(work.join("tmp"))?;
        Ok(Self { work, log, log_path })
    }

    /// mmdebstrap(1), as far as it is the same for all; `variant` says what it has beside the packages.
    pub(crate) fn command(&self, variant: &str, packages: &[&str]) -> Command {
        let mut command = as_root("mmdebstrap");
        command.args([&format!("--variant={variant}"), "--mode=root"]);
        command.arg(format!("--include={}", packages.join(",")));
        command.args(LEFT_OUT.map(|pattern| format!("--dpkgopt=path-exclude={pattern}")));
        command.args(proxies());
        command.env("TMPDIR", self.work.join("tmp"));
        command
    }

    /// Runs a step, its output in the log, whose end is shown where it fails.
    pub(crate) fn run(&self, program: &str, mut command: Command) -> Result<()> {
        writeln!(&self.log, "+ {command:?}")?;
        let status = command
            .stdin(File::open(self.work.join("sources.list"))?)
            .stdout(self.log.try_clone()?)
            .stderr(self.log.try_clone()?)
            .status()
            .with_context(|| format!("cannot run {program}"))?;
        if !status.success() {
            let text = fs::read_to_string(&self.log_path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("{}", lines[lines.len().saturating_sub(30)..].join("\n"));
            bail!(
                "{program} failed ({status}); all it said is in {}",
                self.log_path.display()
            );
        }
        Ok(())
    }
}

/// A command that runs as root, or, where this is somebody else's run, as root of a user namespace.
fn as_root(program: &str) -> Command {
    if tools::is_root() {
        return tools::bound_command(program, Signal::Term);
    }
    let mut command = tools::bound_command("unshare", Signal::Term);
    command.args([
        "--map-root-user",
        "--map-auto",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child=TERM",
        "--mount-proc",
        "--",
        program,
    ]);
    command
}

/// The proxies that this machine's apt uses, for the apt that installs into the image.
fn proxies() -> Vec<String> {
    ["http", "https"]
        .into_iter()
        .filter_map(|scheme| {
            let key = format!("Acquire::{scheme}::Proxy");
            let output = tools::command("apt-config")
                .args(["shell", "P", &key])
                .stderr(Stdio::null())
                .output()
                .ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            let value = text.trim().strip_prefix("P='")?.strip_suffix('\'')?.to_owned();
            Some(format!("--aptopt={key} \"{value}\""))
        })
        .collect()
}
