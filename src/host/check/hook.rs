//! The hook: in place, executable, alone, and seen by the daemon that runs.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::host::daemons;
use crate::host::files;
use crate::host::hook_link::{self, FOLDER, PROGRAM};
use crate::host::root::Root;
use crate::model::finding::{Area, Finding};
use crate::model::names::printable;

const AREA: Area = Area::Hook;

/// Clock ticks a second in `/proc` (`USER_HZ`, the same on every architecture that has mediated devices).
const TICKS: u64 = 100;

pub(super) fn look(root: &Root) -> Vec<Finding> {
    let folder = root.path(FOLDER);
    if !root.path("/etc/libvirt").is_dir() {
        let text = "libvirt is not installed; automdev run needs none";
        return vec![Finding::note(AREA, "no-libvirt", text)];
    }
    let links = match hook_link::ours(&folder) {
        Ok(links) => links,
        Err(error) => {
            let text = crate::host::release::chain(&error);
            return vec![super::unreadable(AREA, text, &error)];
        }
    };
    let mut found = Vec::new();
    let others = hooks(&folder);
    for path in &others {
        found.extend(stray(root, &folder, path));
    }
    let is_copy = |found: &Finding| matches!(found.code, "hook-copy" | "hook-elsewhere");
    match links.as_slice() {
        [] if found.iter().any(is_copy) => {}
        [] if others.iter().any(|path| calls_us(path)) => {
            let scripts = others.iter().filter(|path| calls_us(path));
            // Whether it does so in all cases, only its reader can tell.
            found.extend(scripts.map(|path| {
                let text = format!(
                    "{} is a script of somebody's that calls automdev hook",
                    shown(&folder, path)
                );
                Finding::note(AREA, "hook-by-script", text)
            }));
        }
        [] => found.push(Finding::problem(
            AREA,
            "hook-missing",
            format!("automdev is no hook of libvirt's: {FOLDER} has no link to {PROGRAM}"),
            "automdev install-hook --reload",
        )),
        [link] => found.extend(installed(root, &folder, link, &others)),
        [first, .., last] => found.push(Finding::problem(
            AREA,
            "hook-twice",
            format!(
                "libvirt calls automdev twice, by {} and {}",
                shown(&folder, first),
                shown(&folder, last)
            ),
            format!("rm {}", shown(&folder, last)),
        )),
    }
    found
}

/// What is to be said of the one link that is there.
fn installed(root: &Root, folder: &Path, link: &Path, others: &[PathBuf]) -> Vec<Finding> {
    let name = shown(folder, link);
    let program = fs::metadata(root.path(PROGRAM));
    if !program.as_ref().is_ok_and(is_executable) {
        return vec![Finding::problem(
            AREA,
            "hook-not-executable",
            format!("{name} leads to {PROGRAM}, which cannot be executed"),
            format!("install automdev there again, or chmod 0755 {PROGRAM}"),
        )];
    }
    let made = fs::symlink_metadata(link)
        .map(|link| link.ctime())
        .unwrap_or_default();
    let mut found = Vec::new();
    for daemon in daemons::all(root) {
        let Some(begun) = began(root, daemon.id.start) else {
            continue;
        };
        // It remembers whether there was any hook at all.
        let had_another = others
            .iter()
            .any(|path| fs::symlink_metadata(path).is_ok_and(|other| other.ctime() < begun));
        if made >= begun && !had_another && !was_reloaded(root, &daemon.name, made) {
            found.push(Finding::problem(
                AREA,
                "hook-not-seen",
                format!(
                    "{} ({}) has run since before {name} was made, and looks for hooks when it is reloaded",
                    daemon.name, daemon.id.pid
                ),
                format!("systemctl reload {}", daemon.name),
            ));
        }
    }
    if found.is_empty() {
        found.push(Finding::good(AREA, "hook", format!("{name} leads to {PROGRAM}")));
    }
    found
}

/// All that libvirt would call which is no link of ours.
fn hooks(folder: &Path) -> Vec<PathBuf> {
    let drop_ins = fs::read_dir(folder.join("qemu.d"))
        .into_iter()
        .flatten()
        .flatten();
    let mut paths: Vec<PathBuf> = drop_ins.map(|entry| entry.path()).collect();
    paths.push(folder.join("qemu"));
    paths.retain(|path| !hook_link::is_ours(path) && fs::symlink_metadata(path).is_ok());
    paths.sort();
    paths
}

/// What is wrong with a hook of somebody else's.
fn stray(root: &Root, folder: &Path, path: &Path) -> Option<Finding> {
    let name = shown(folder, path);
    if let Ok(target) = fs::read_link(path) {
        let is_automdev = target.file_name().is_some_and(|name| name == "automdev");
        return is_automdev.then(|| {
            Finding::problem(
                AREA,
                "hook-elsewhere",
                format!("{name} leads to {}, not to {PROGRAM}: where libvirtd is confined it may not execute that, and every start is refused", printable(&target.to_string_lossy())),
                format!("rm {name}; automdev install-hook --reload"),
            )
        });
    }
    let file = fs::metadata(path)
        .ok()
        .filter(|file| file.is_file() && is_executable(file))?;
    if is_same(&root.path(PROGRAM), path, &file).unwrap_or(false) {
        return Some(Finding::problem(
            AREA,
            "hook-copy",
            format!(
                "{name} is a copy of automdev: it runs inside libvirtd's confinement, and stays as it is after an upgrade"
            ),
            format!("rm {name}; automdev install-hook --reload"),
        ));
    }
    is_backup(path).then(|| {
        Finding::problem(
            AREA,
            "hook-backup",
            format!("{name} looks like a backup copy, and libvirt calls every executable file there"),
            format!("move {name} elsewhere, or chmod a-x it"),
        )
    })
}

/// Whether it is a script that calls automdev as libvirt calls a hook, as one has to where libvirt knows no `qemu.d`.
fn calls_us(path: &Path) -> bool {
    const MOST_BYTES: usize = 1 << 20;
    let is_called = fs::metadata(path).is_ok_and(|file| file.is_file() && is_executable(&file));
    let content = files::read_bounded(path, MOST_BYTES).ok().flatten();
    let content = content.filter(|content| is_called && content.starts_with(b"#!"));
    let text = String::from_utf8_lossy(&content.unwrap_or_default()).into_owned();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.any(|line| line.contains("automdev hook"))
}

/// By the names that editors and package managers give to what they keep.
fn is_backup(path: &Path) -> bool {
    const ENDINGS: [&str; 10] = [
        "~",
        ".bak",
        ".old",
        ".orig",
        ".save",
        ".swp",
        ".dpkg-old",
        ".dpkg-dist",
        ".rpmsave",
        ".rpmnew",
    ];
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ENDINGS.iter().any(|ending| name.ends_with(ending)) || (name.starts_with('#') && name.ends_with('#'))
}

fn is_same(program: &Path, path: &Path, file: &Metadata) -> io::Result<bool> {
    let same_length = fs::metadata(program)?.len() == file.len();
    Ok(same_length && file.len() > 0 && fs::read(program)? == fs::read(path)?)
}

fn is_executable(file: &Metadata) -> bool {
    file.is_file() && file.permissions().mode() & 0o111 != 0
}

/// When a process began, in seconds since 1970 (proc(5): `btime` of `/proc/stat`).
fn began(root: &Root, start: u64) -> Option<i64> {
    let text = fs::read_to_string(root.path("/proc/stat")).ok()?;
    let boot = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    let boot: u64 = boot.trim().parse().ok()?;
    i64::try_from(boot + start / TICKS).ok()
}

/// Whether systemd has reloaded a daemon since then, as far as it knows.
fn was_reloaded(root: &Root, daemon: &str, since: i64) -> bool {
    if !root.is_machine() {
        return false;
    }
    let output = std::process::Command::new("/usr/bin/systemctl")
        .args(["show", "--timestamp=unix"])
        .arg("--property=ExecReload,StateChangeTimestamp,ActiveEnterTimestamp")
        .arg(daemon)
        .env_clear()
        .env("LC_ALL", "C")
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok()
        .and_then(|text| reloaded_at(&text))
        .is_some_and(|at| at >= since)
}

/// The time in `ExecReload={ … ; start_time=[@1700000000] ; … }`. systemd forgets that one when it is reloaded itself; what
/// stays is when the unit came back from its last change of state, which is a reload where the unit has been active since
/// before.
fn reloaded_at(text: &str) -> Option<i64> {
    let called = text
        .split_once("start_time=[@")
        .and_then(|(_, rest)| rest.split_once(']')?.0.parse().ok());
    let time = |name: &str| -> Option<i64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.strip_prefix("=@")?.trim().parse().ok()
    };
    let changed = time("StateChangeTimestamp").filter(|at| Some(*at) > time("ActiveEnterTimestamp"));
    called.max(changed)
}

/// The path as people know it.
fn shown(folder: &Path, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    printable(&Path::new(FOLDER).join(below).to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_tells_when_it_reloaded() {
        for (text, at) in [
            (
                "ExecReload={ path=/bin/kill ; argv[]=/bin/kill -HUP $MAINPID ; start_time=[@1700000000] ; pid=1 }",
                Some(1_700_000_000),
            ),
            ("ExecReload={ path=/bin/kill ; start_time=[n/a] ; pid=0 }", None),
            (
                "ExecReload={ start_time=[n/a] }\nStateChangeTimestamp=@1700000005\nActiveEnterTimestamp=@1700000001\n",
                Some(1_700_000_005),
            ),
            (
                "ExecReload={ start_time=[n/a] }\nStateChangeTimestamp=@1700000001\nActiveEnterTimestamp=@1700000001\n",
                None,
            ),
            (
                "ExecReload={ start_time=[@1700000009] }\nStateChangeTimestamp=@1700000005\nActiveEnterTimestamp=@1700000001\n",
                Some(1_700_000_009),
            ),
            ("", None),
        ] {
            assert_eq!(reloaded_at(text), at, "{text}");
        }
    }

    #[test]
    fn a_backup_is_known_by_its_name() {
        for (name, is) in [
            ("50-automdev~", true),
            ("10-gpu.sh.bak", true),
            ("#10-gpu#", true),
            ("10-gpu.sh", false),
            ("README", false),
        ] {
            assert_eq!(is_backup(Path::new(name)), is, "{name}");
        }
    }
}
