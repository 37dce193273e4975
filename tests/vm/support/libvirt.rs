//! virsh, as people use it.

use std::fs;
use std::process::{Command, Output};

use super::DomainXml;

/// The status of timeout(1) where the time has passed.
const LOST: i32 = 124;

/// Debian's daemon ends after two minutes without a client, and a client that comes just then is turned away.
fn run(arguments: &[&str]) -> Output {
    let mut output = run_within("180", arguments);
    for _ in 0..5 {
        if output.status.code() == Some(LOST) {
            restart();
        } else if String::from_utf8_lossy(&output.stderr).contains("failed to connect to the hypervisor") {
            std::thread::sleep(std::time::Duration::from_secs(1));
        } else {
            break;
        }
        output = run_within("180", arguments);
    }
    output
}

/// Runs it for so many seconds at most.
fn run_within(seconds: &str, arguments: &[&str]) -> Output {
    Command::new("timeout")
        .args(["--kill-after=5", seconds, "virsh", "--quiet"])
        .args(arguments)
        .output()
        .expect("virsh is there")
}

/// Where the folders below `/etc/mdevctl.d`, which it watches, come and go quickly, libvirtd may end up doing nothing
/// else any more. Domains that run outlive its death.
fn restart() {
    eprintln!("libvirtd does not answer, and is started anew");
    systemctl("kill", &["--signal=KILL", "libvirtd.service"]);
    systemctl("restart", &["libvirtd.service"]);
}

/// What virsh prints; it must succeed.
pub(crate) fn virsh(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "virsh {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What virsh complains about; it must fail.
pub(crate) fn virsh_fails(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(
        !output.status.success(),
        "virsh {arguments:?} did not fail: {output:?}"
    );
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// What virsh prints, whether or not it succeeds.
pub(crate) fn try_virsh(arguments: &[&str]) -> String {
    String::from_utf8(run(arguments).stdout).expect("UTF-8")
}

/// Sees to it that libvirtd answers.
pub(crate) fn wake() {
    for _ in 0..3 {
        if run_within("60", &["list", "--all"]).status.code() != Some(LOST) {
            return;
        }
        restart();
    }
}

/// All domains that libvirt knows.
pub(crate) fn all_domains() -> Vec<String> {
    wake();
    virsh(&["list", "--all", "--name"])
        .lines()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// libvirtd does not run, and is not started by whoever connects to it, while this lives.
pub(crate) struct StoppedLibvirtd;

impl StoppedLibvirtd {
    const SOCKETS: [&str; 3] = ["libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket"];

    pub(crate) fn new() -> Self {
        systemctl("stop", &Self::SOCKETS);
        systemctl("stop", &["libvirtd.service"]);
        StoppedLibvirtd
    }
}

impl Drop for StoppedLibvirtd {
    fn drop(&mut self) {
        systemctl("start", &Self::SOCKETS);
        systemctl("start", &["libvirtd.service"]);
    }
}

fn systemctl(verb: &str, units: &[&str]) {
    let status = Command::new("systemctl").arg(verb).args(units).status();
    assert!(status.expect("systemctl").success(), "{verb} {units:?}");
}

/// A domain at libvirt's.
pub(crate) trait Virsh {
    /// Puts its XML where virsh can read it.
    fn file(&self) -> String;

    fn define(&self) {
        virsh(&["define", "--validate", &self.file()]);
    }

    /// Its XML as libvirt prints it, which is what it passes to its hooks.
    fn printed(&self) -> String;

    fn create(&self) {
        virsh(&["create", "--validate", &self.file()]);
    }
}

impl Virsh for DomainXml {
    fn file(&self) -> String {
        let path = format!("/tmp/{}.xml", self.name);
        fs::write(&path, self.xml()).expect("a file");
        path
    }

    fn printed(&self) -> String {
        self.define();
        let xml = virsh(&["dumpxml", "--inactive", "--security-info", self.name]);
        virsh(&["undefine", self.name]);
        xml
    }
}
