//! The packages, on a host that has never seen automdev. `cargo xtask vm test` makes them and brings them in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use super::support::files::{inode, ledger, qemu_pid, wait_until_stopped};
use super::support::libvirt;
use super::support::{A, DomainXml, Host, virsh};

const LINK: &str = "/etc/libvirt/hooks/qemu.d/50-automdev";
const FOREIGN: &str = "/etc/libvirt/hooks/qemu";
/// What an installation under a libvirt that runs says of what comes next.
const NEXT: &str = "automdev: the hook is in place, and libvirt calls it from the next start of a domain on.\n\
                    automdev: `automdev check` says whether a start would work, and how to mend what would not.\n";
const UNITS: [&str; 2] = ["automdev-reconcile.service", "automdev-reconcile.timer"];

/// A host without automdev, which is given back to the other tests as they know it.
struct Fresh;

impl Fresh {
    fn new() -> (Host, Fresh) {
        let host = Host::without_hook();
        // It has run for a while: one that is just starting does not look for hooks when it is told to.
        virsh(&["list", "--all"]);
        fs::remove_file("/usr/bin/automdev").expect("the tests' own program");
        fs::remove_dir("/etc/libvirt/hooks/qemu.d").expect("no hook");
        // Of other tests' settings, which are gone already.
        fs::remove_dir_all("/etc/automdev").ok();
        (host, Fresh)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        output("dpkg", &["--purge", "automdev"]);
        fs::create_dir_all("/etc/libvirt/hooks/qemu.d").ok();
        fs::copy("/automdev/automdev", "/usr/bin/automdev").expect("the tests' own program");
        fs::set_permissions("/usr/bin/automdev", fs::Permissions::from_mode(0o755)).expect("its mode");
    }
}

fn output(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output();
    output.unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// What a command that succeeds says.
#[track_caller]
fn said(program: &str, arguments: &[&str]) -> String {
    let output = output(program, arguments);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said.into_owned()
}

#[track_caller]
fn install(package: &str) -> String {
    said("dpkg", &["--install", &format!("/automdev/{package}")])
}

/// The archive, unpacked: where its script is.
fn unpack() -> String {
    said("tar", &["-C", "/tmp", "-xf", "/automdev/automdev.tar.gz"]);
    let folder = names("/tmp")
        .into_iter()
        .find(|name| name.starts_with("automdev-"));
    format!("/tmp/{}/install.sh", folder.expect("a folder"))
}

/// A word of `systemctl is-enabled` or `is-active`.
fn state(question: &str, unit: &str) -> String {
    let output = output("systemctl", &[question, unit]);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The hook is in place, and `check` finds nothing wrong with it.
#[track_caller]
fn assert_hook_is_good() {
    let target = fs::read_link(LINK).expect("the link");
    assert_eq!(target, Path::new("/usr/bin/automdev"));
    let output = output("automdev", &["check", "--format", "json"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let hook: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(r#""area":"hook""#))
        .collect();
    assert!(
        !hook.is_empty() && hook.iter().all(|line| line.contains(r#""result":"good""#)),
        "{text}"
    );
}

/// The names in a folder.
fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Nothing of automdev's is on the host any more.
#[track_caller]
fn assert_nothing_is_left() {
    let folders = ["/usr/bin", "/usr/lib", "/usr/share", "/etc", "/run", "/var/lib"];
    let output = output("find", &[&folders[..], &["-name", "*automdev*"]].concat());
    let found = String::from_utf8(output.stdout).expect("UTF-8");
    // The tests' own way into the host.
    let found: Vec<&str> = found
        .lines()
        .filter(|path| !path.contains("automdev-vm"))
        .collect();
    assert_eq!(found, Vec::<&str>::new());
}

/// As the README has it: a device is defined, a domain that a person wrote is told to libvirt, and starts.
fn start_as_the_readme_says(host: &Host, mdev_type: &str) {
    said(
        "automdev",
        &["define", "--uuid", A, "--parent", "mtty", "--type", mdev_type],
    );
    let written = DomainXml::new("vgpu")
        .with_unmarked(A)
        .xml()
        .replace("model='vfio-pci'>", "model='vfio-pci' autocreate='yes'>");
    fs::write("/tmp/vm.xml", written).expect("a file");
    said("automdev", &["plan", "/tmp/vm.xml"]);
    let define = "automdev rewrite /tmp/vm.xml | virsh define --validate /dev/stdin";
    said("sh", &["-c", define]);
    said("automdev", &["check"]);
    virsh(&["start", "vgpu"]);
    host.assert_device(A, "mtty", mdev_type);
}

#[test]
fn a_package_comes_is_renewed_goes_and_comes_again_under_a_running_domain() {
    let (host, _fresh) = Fresh::new();
    let installed = install("automdev.deb");
    assert!(installed.contains(NEXT), "{installed}");
    // systemd's words about the daemon that this host lacks are none of the administrator's.
    assert!(!installed.contains("virtqemud"), "{installed}");
    assert_hook_is_good();
    assert_eq!(UNITS.map(|unit| state("is-enabled", unit)), ["enabled"; 2]);
    assert_eq!(state("is-active", UNITS[1]), "active");

    // What belongs to a package is left to it.
    let refused = output(&unpack(), &[]);
    let complaint = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && complaint.contains("belongs to the package automdev"),
        "{complaint}"
    );

    start_as_the_readme_says(&host, "mtty-2");
    let before = (ledger(), inode("mtty", A), qemu_pid("vgpu"));
    assert!(!before.0.is_empty());
    let now = || (ledger(), inode("mtty", A), qemu_pid("vgpu"));

    // Whoever has switched a unit off finds it off afterwards.
    said("systemctl", &["disable", "--now", UNITS[1]]);
    let renewed = install("automdev-later.deb");
    assert!(!renewed.contains("automdev: "), "{renewed}");
    let version = said("dpkg-query", &["--show", "--showformat=${Version}", "automdev"]);
    assert!(version.ends_with("-2"), "{version}");
    assert_hook_is_good();
    assert_eq!(state("is-enabled", UNITS[1]), "disabled");
    assert_eq!(now(), before);

    let removed = said("dpkg", &["--remove", "automdev"]);
    assert!(
        removed.contains("automdev: warning: these use devices that nobody removes when they stop"),
        "{removed}"
    );
    assert!(removed.contains(": vgpu\n"), "{removed}");
    assert!(removed.contains("install automdev again"), "{removed}");
    let by_hand = format!("\nautomdev: echo 1 > /sys/bus/mdev/devices/{A}/remove\n");
    assert!(removed.contains(&by_hand), "{removed}");
    assert_eq!(names("/etc/libvirt/hooks/qemu.d"), Vec::<String>::new());
    assert!(!Path::new(FOREIGN).exists() && !Path::new("/usr/bin/automdev").exists());
    said("systemctl", &["restart", "libvirtd"]);
    libvirt::wait_until_taken_up("vgpu");
    assert_eq!(virsh(&["domstate", "vgpu"]).trim(), "running");
    assert_eq!(now(), before);

    // It knows what it made, and whose that is.
    install("automdev-later.deb");
    assert_hook_is_good();
    virsh(&["destroy", "vgpu"]);
    wait_until_stopped("vgpu");
    host.assert_no_device(A);
    host.assert_clean();

    let purged = said("dpkg", &["--purge", "automdev"]);
    assert!(!purged.contains("automdev: "), "{purged}");
    assert_nothing_is_left();
    assert_eq!(names("/etc/libvirt/hooks"), Vec::<String>::new());
}

#[test]
fn the_archives_script_does_what_a_package_does_and_somebody_elses_hook_stays() {
    let (host, _fresh) = Fresh::new();
    let foreign = "#!/bin/sh\necho \"$2\" >> /run/foreign\n";
    fs::write(FOREIGN, foreign).expect("a hook");
    fs::set_permissions(FOREIGN, fs::Permissions::from_mode(0o755)).expect("its mode");
    libvirt::reload();

    let script = unpack();
    said(&script, &[]);
    assert_hook_is_good();
    assert_eq!(UNITS.map(|unit| state("is-enabled", unit)), ["enabled"; 2]);
    assert_eq!(state("is-active", UNITS[1]), "active");
    // The folders that it uses are those that systemd looks into.
    assert!(said("systemctl", &["cat", UNITS[0]]).contains("ExecStart=/usr/bin/automdev reconcile"));

    let again = said("automdev", &["install-hook", "--reload"]);
    assert!(
        again.starts_with(&format!("{LINK} is in place already\n")),
        "{again}"
    );
    let removed = said("automdev", &["uninstall-hook", "--reload"]);
    assert!(removed.starts_with(&format!("removed {LINK}\n")), "{removed}");
    let taken = output("automdev", &["install-hook", "--as", "qemu"]);
    let complaint = String::from_utf8_lossy(&taken.stderr);
    assert_eq!(taken.status.code(), Some(1), "{complaint}");
    assert!(
        complaint.contains(FOREIGN) && complaint.contains("not automdev's"),
        "{complaint}"
    );
    let installed = said("automdev", &["install-hook", "--reload"]);
    assert!(
        installed.starts_with(&format!("{LINK} -> /usr/bin/automdev\nreloaded ")),
        "{installed}"
    );
    assert_hook_is_good();

    start_as_the_readme_says(&host, "mtty-1");
    virsh(&["destroy", "vgpu"]);
    wait_until_stopped("vgpu");
    host.assert_clean();
    let calls = fs::read_to_string("/run/foreign").expect("it was called");
    assert!(
        calls.starts_with("prepare\n") && calls.ends_with("release\n"),
        "{calls}"
    );

    said(&script, &["--uninstall"]);
    assert!(!Path::new("/etc/libvirt/hooks/qemu.d").exists());
    assert_eq!(fs::read_to_string(FOREIGN).expect("it stays"), foreign);
    assert_nothing_is_left();
}

/// What rpm would do on a host that has it, in its order.
#[test]
fn the_rpms_scripts_do_what_those_of_the_deb_do() {
    let (_host, _fresh) = Fresh::new();
    let script = |name: &str, left: &str| said("sh", &["-e", &format!("/automdev/rpm/{name}"), left]);
    let take_out = || said("tar", &["-C", "/", "-xzvf", "/automdev/rpm/automdev.rpm.tgz"]);

    let files = take_out();
    let installed = script("post", "1");
    assert!(installed.contains(NEXT), "{installed}");
    assert_hook_is_good();
    assert_eq!(UNITS.map(|unit| state("is-enabled", unit)), ["enabled"; 2]);
    assert_eq!(state("is-active", UNITS[1]), "active");

    // An upgrade: the new one's first, then the old one's.
    said("systemctl", &["disable", "--now", UNITS[1]]);
    take_out();
    for (name, left) in [("post", "2"), ("preun", "1"), ("postun", "1")] {
        assert_eq!(script(name, left), "", "{name}");
    }
    assert_hook_is_good();
    assert_eq!(
        UNITS.map(|unit| state("is-enabled", unit)),
        ["enabled", "disabled"]
    );

    assert_eq!(script("preun", "0"), "");
    assert_eq!(names("/etc/libvirt/hooks/qemu.d"), Vec::<String>::new());
    for file in files.lines().rev().map(|file| Path::new("/").join(file)) {
        if file.is_symlink() || !file.is_dir() {
            fs::remove_file(file).expect("removed");
        } else if file.to_string_lossy().contains("automdev") {
            fs::remove_dir(file).expect("it is empty");
        }
    }
    assert_eq!(script("postun", "0"), "");
    assert_nothing_is_left();
}
