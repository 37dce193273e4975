//! What a look at the packages tells, without installing them. That they work is told on real hosts (`tests/vm`).

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Libc, Packages, deb, links, order, read, rpm, run, tree};
use crate::vm::{self, Stage, Temporary};

/// The tool for that, beside those that made them.
const PACKAGES: [&str; 1] = ["lintian"];

/// Where a distribution has files of a shell's that others have elsewhere.
const ZSH_ON_DEBIAN: &str = "/usr/share/zsh/vendor-completions/";
const ZSH: &str = "/usr/share/zsh/site-functions/";

/// Checks them; the first that is wrong is an error.
pub(crate) fn check(packages: &Packages) -> Result<()> {
    vm::ensure_packages(&PACKAGES)?;
    let stage = Stage::begin("automdev", "looking the packages over");
    let size = fs::metadata(packages.files.join("bin/automdev"))?.len();
    let most = packages.libc.largest();
    if size > most {
        bail!("the program has {size} bytes, and may have {most}");
    }
    if packages.libc == Libc::Musl {
        order::check(&packages.files.join("bin/automdev"))?;
    }
    run(Command::new("lintian")
        .args(["--fail-on", "error,warning", "--allow-root", "--info"])
        .arg(&packages.deb))?;
    let deb = in_deb(packages)?;
    let rpm = in_rpm(packages)?;
    let installed = installed(packages)?;
    same("the .rpm", &rpm, "the .deb", &deb)?;
    same("the archive", &installed, "the .deb", &deb)?;
    for file in [
        "/usr/bin/automdev",
        "/usr/share/man/man1/automdev.1.gz",
        "/usr/share/man/man1/automdev-plan.1.gz",
        "/usr/share/man/man5/automdev.toml.5.gz",
        "/usr/share/man/man5/automdev-pools.5.gz",
        "/usr/share/man/man8/automdev-hook.8.gz",
        "/usr/share/bash-completion/completions/automdev",
        "/usr/share/zsh/site-functions/_automdev",
        "/usr/share/fish/vendor_completions.d/automdev.fish",
        "/usr/lib/systemd/system/automdev-reconcile.service",
        "/usr/lib/systemd/system/automdev-reconcile.timer",
        "/usr/share/doc/automdev/docs/reference.md",
        "/usr/share/doc/automdev/samples/automdev.toml",
        "/usr/share/doc/automdev/samples/ansible/site.yml",
        "/usr/share/doc/automdev/samples/ansible/pool.toml.j2",
        "/usr/share/doc/automdev/samples/pools/vgpu-4g.toml",
        "/usr/share/doc/automdev/samples/hosts/mtty/sys/class/mdev_bus/mtty -> ../../devices/virtual/mtty/mtty",
    ] {
        if !deb.contains(file) {
            bail!("the packages lack {file}");
        }
    }
    // A file below /etc would be one that outlives the package.
    if let Some(file) = deb.iter().find(|file| file.starts_with("/etc/")) {
        bail!("the packages have {file}");
    }
    let documents = packages.files.join(tree::DOCUMENTS);
    links::check(&documents)?;
    let mut example = Command::new(packages.files.join("bin/automdev"));
    example.args([
        "--root",
        "samples/hosts/nvidia",
        "plan",
        "samples/domains/nvidia.xml",
    ]);
    run(example.current_dir(&documents))?;
    scripts(packages)?;
    stage.end();
    Ok(())
}

/// The files of the .deb that others have, too.
fn in_deb(packages: &Packages) -> Result<BTreeSet<String>> {
    let listing = run(Command::new("dpkg-deb").arg("--contents").arg(&packages.deb))?;
    let mut files = files("the .deb", &listing)?
        .into_iter()
        .map(|path| path.trim_start_matches('.').replace(ZSH_ON_DEBIAN, ZSH))
        .collect();
    take(
        "the .deb",
        &mut files,
        &[
            "/usr/share/doc/automdev/changelog.Debian.gz",
            "/usr/share/doc/automdev/copyright",
            "/usr/share/lintian/overrides/automdev",
        ],
    )?;
    Ok(files)
}

/// The files of the .rpm that others have, too.
fn in_rpm(packages: &Packages) -> Result<BTreeSet<String>> {
    const FORMAT: &str =
        "[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES} -> %{FILELINKTOS}\n]";
    let listing = run(Command::new("rpm")
        .args(["--query", "--package", "--queryformat", FORMAT])
        .arg(&packages.rpm))?;
    let mut files = files("the .rpm", &listing)?;
    take(
        "the .rpm",
        &mut files,
        &[
            "/usr/lib/systemd/system-preset/80-automdev.preset",
            "/usr/share/licenses/automdev/LICENSE-APACHE",
            "/usr/share/licenses/automdev/LICENSE-MIT",
        ],
    )?;
    Ok(files)
}

/// The files of a listing that has their mode first, then `OWNER/GROUP`, and at the end their path or `LINK -> TARGET`.
/// There are files of root's, folders, the sample hosts' links, and nothing else.
fn files(whose: &str, listing: &str) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    for line in listing.lines().filter(|line| !line.starts_with('d')) {
        let (before, target) = line.split_once(" -> ").unwrap_or((line, ""));
        let (_, path) = before.rsplit_once(' ').context("a path")?;
        let is_link = line.starts_with('l') && path.contains(tree::HOSTS);
        if !(line.starts_with('-') || is_link) || !line.contains(" root/root ") {
            bail!("{whose} has what is no file of root's: {line}");
        }
        files.insert(if is_link {
            format!("{path} -> {target}")
        } else {
            path.to_owned()
        });
    }
    Ok(files)
}

/// The files that the archive's script installs, all of which it takes away again.
fn installed(packages: &Packages) -> Result<BTreeSet<String>> {
    let work = Temporary::new("archive")?;
    let destination = work.path().join("destination");
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(&packages.archive).arg("-C").arg(work.path());
    run(&mut tar)?;
    let script = |more: &[&str]| {
        let mut command = Command::new(work.path().join(super::archive::inside()).join("install.sh"));
        command.arg("--destdir").arg(&destination).args(more);
        run(&mut command)
    };
    let find = || {
        let mut find = Command::new("find");
        find.arg(&destination).args(["-type", "f", "-printf", "/%P\n"]);
        let listing = run(find.args(["-o", "-type", "l", "-printf", "/%P -> %l\n"]))?;
        Ok::<_, anyhow::Error>(listing.lines().map(str::to_owned).collect::<BTreeSet<_>>())
    };
    script(&[])?;
    let files = find()?;
    script(&["--uninstall"])?;
    same(
        "what is left of the archive",
        &find()?,
        "nothing",
        &BTreeSet::new(),
    )?;

    // Elsewhere, the same files, and a unit that knows it.
    script(&["--prefix=/usr/local"])?;
    let moved = files.iter().map(|file| file.replacen("/usr", "/usr/local", 1));
    same(
        "the archive below /usr/local",
        &find()?,
        "that below /usr",
        &moved.collect(),
    )?;
    let unit = "usr/local/lib/systemd/system/automdev-reconcile.service";
    if !read(&destination.join(unit))?.contains("\nExecStart=/usr/local/bin/automdev reconcile\n") {
        bail!("{unit} starts another automdev");
    }
    Ok(files)
}

/// The packages have the scripts that they need, all of which are ones; nothing is kept as configuration.
fn scripts(packages: &Packages) -> Result<()> {
    let ask = |what: &str| {
        let mut query = Command::new("rpm");
        run(query.args(["--query", "--package", what]).arg(&packages.rpm))
    };
    let work = Temporary::new("scripts")?;
    let apart = rpm::taken_apart(&packages.rpm)?;
    for (script, _) in rpm::SCRIPTS {
        run(Command::new("sh").arg("-n").arg(apart.join(script)))?;
        if !read(&apart.join(script))?.contains("systemctl") {
            bail!("the .rpm has no script {script}");
        }
    }
    for what in ["--configfiles", "--requires"] {
        let said = ask(what)?;
        if said
            .lines()
            .any(|line| !line.starts_with("rpmlib(") && line != "/bin/sh")
        {
            bail!("the .rpm answers {what} with {said}");
        }
    }
    let mut dpkg = Command::new("dpkg-deb");
    let control = work.path().join("deb");
    run(dpkg.arg("--control").arg(&packages.deb).arg(&control))?;
    for name in deb::SCRIPTS {
        run(Command::new("sh").arg("-n").arg(control.join(name)))?;
    }
    if control.join("conffiles").exists() {
        bail!("the .deb has conffiles");
    }
    Ok(())
}

/// Takes out what only this one has, and has to have.
fn take(whose: &str, files: &mut BTreeSet<String>, own: &[&str]) -> Result<()> {
    for file in own {
        if !files.remove(*file) {
            bail!("{whose} lacks {file}");
        }
    }
    Ok(())
}

fn same(left: &str, files: &BTreeSet<String>, right: &str, others: &BTreeSet<String>) -> Result<()> {
    let missing = |from: &BTreeSet<String>, of: &BTreeSet<String>| {
        of.difference(from).cloned().collect::<Vec<_>>().join(", ")
    };
    if files != others {
        bail!(
            "only in {left}: [{}]; only in {right}: [{}]",
            missing(others, files),
            missing(files, others)
        );
    }
    Ok(())
}
