//! The host itself is what the other tests take it for.

use std::fs;
use std::process::Command;

fn stdout(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("the program is there");
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn sample_drivers_are_parents() {
    for parent in ["mbochs", "mdpy", "mtty"] {
        let types = format!("/sys/class/mdev_bus/{parent}/mdev_supported_types");
        assert!(fs::read_dir(&types).expect("a parent").count() > 1, "{types}");
    }
    let types = stdout("mdevctl", &["types"]);
    assert!(
        types.contains("mtty-2") && types.contains("mbochs-small"),
        "{types}"
    );
}

#[test]
fn libvirt_answers() {
    crate::support::libvirt::start();
    let version = crate::support::virsh(&["version"]);
    assert!(version.contains("Running hypervisor: QEMU"), "{version}");
}

#[test]
fn apparmor_enforces_libvirtds_profile() {
    let profiles = fs::read_to_string("/sys/kernel/security/apparmor/profiles").expect("AppArmor is on");
    assert!(
        profiles.lines().any(|line| line == "libvirtd (enforce)"),
        "{profiles}"
    );
}

#[test]
fn program_is_installed() {
    stdout("/usr/bin/automdev", &["--help"]);
}
