//! `AppArmor` and `SELinux`, as far as they decide whether libvirt's daemon may execute the hook.

use std::fs;

use crate::host::hook_link;
use crate::host::root::Root;
use crate::model::finding::{Area, Finding};

const AREA: Area = Area::Confinement;

pub(super) fn look(root: &Root) -> Vec<Finding> {
    let read = |path: &str| fs::read_to_string(root.path(path)).ok();
    let mut found = Vec::new();
    let is_on = read("/sys/module/apparmor/parameters/enabled").is_some_and(|text| text.starts_with('Y'));
    let profiles = read("/sys/kernel/security/apparmor/profiles");
    let confines = |profiles: &str| {
        profiles.lines().any(|line| {
            let name = line.split(" (").next().unwrap_or_default();
            matches!(name, "libvirtd" | "virtqemud" | "/usr/sbin/libvirtd") && line.ends_with("(enforce)")
        })
    };
    if is_on && profiles.as_deref().is_some_and(confines) {
        let text = format!(
            "AppArmor confines libvirt's daemon, which may execute {}",
            hook_link::PROGRAM
        );
        found.push(Finding::good(AREA, "apparmor", text));
    }
    if read("/sys/fs/selinux/enforce").is_some_and(|text| text.trim() == "1") {
        found.push(selinux(
            read("/sys/fs/selinux/booleans/virt_hooks_unconfined").as_deref(),
        ));
    }
    found
}

/// A boolean's file has two numbers: what it is, and what it will be once all are committed.
fn selinux(boolean: Option<&str>) -> Finding {
    match boolean.and_then(|text| text.split_ascii_whitespace().next()) {
        Some("1") => {
            let text = "SELinux lets libvirt's hooks run unconfined (virt_hooks_unconfined is on)";
            Finding::good(AREA, "selinux", text)
        }
        _ => Finding::problem(
            AREA,
            "selinux",
            "SELinux is enforcing, and virt_hooks_unconfined is not on: the hook may not be able to write into sysfs (this is reported, and untested)",
            "setsebool -P virt_hooks_unconfined on",
        ),
    }
}
