//! virsh, as people use it.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};
use std::sync::Mutex;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::{DomainXml, eventually};

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

/// The line of the hook's that virsh shows.
pub(crate) fn our_line(complaint: &str) -> &str {
    let start = complaint
        .find("automdev: ")
        .unwrap_or_else(|| panic!("no line of ours: {complaint}"));
    complaint[start..].lines().next().expect("a line")
}

/// What virsh prints, whether or not it succeeds.
pub(crate) fn try_virsh(arguments: &[&str]) -> String {
    String::from_utf8(run(arguments).stdout).expect("UTF-8")
}

/// What libvirtd is started by, beside itself.
const SOCKETS: [&str; 3] = ["libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket"];

fn is_running() -> bool {
    let status = Command::new("systemctl")
        .args(["is-active", "--quiet", "libvirtd.service"])
        .status();
    status.expect("systemctl").success()
}

/// libvirtd runs from here on.
pub(crate) fn start() {
    systemctl("start", &SOCKETS);
    systemctl("start", &["libvirtd.service"]);
}

/// libvirtd, which was started anew, has taken up a domain that ran meanwhile. A `destroy` does not wait for that, and each
/// would take the end of the domain for the other's: what changes it does wait.
pub(crate) fn wait_until_taken_up(name: &str) {
    virsh(&["suspend", name]);
    virsh(&["resume", name]);
}

/// libvirtd does not run, and is not started by whoever connects to it, from here on.
pub(crate) fn stop() {
    systemctl("stop", &SOCKETS);
    // What spins does not end by itself.
    let stopped = Command::new("timeout")
        .args(["30", "systemctl", "stop", "libvirtd.service"])
        .status();
    if !stopped.expect("systemctl").success() {
        systemctl("kill", &["--signal=KILL", "libvirtd.service"]);
        systemctl("stop", &["libvirtd.service"]);
    }
}

/// Takes away the domains of an earlier test, while libvirtd does not run.
pub(crate) fn forget_domains() {
    for (folder, ending) in [
        ("/run/libvirt/qemu", "pid"),
        ("/run/libvirt/qemu", "xml"),
        ("/etc/libvirt/qemu", "xml"),
    ] {
        let Ok(entries) = fs::read_dir(folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.extension().is_none_or(|found| found != ending) {
                continue;
            }
            if let Some(pid) = fs::read_to_string(&path).ok().filter(|_| ending == "pid") {
                let pid = Pid::from_raw(pid.trim().parse().expect("a number"));
                let _ = signal::kill(pid, Signal::SIGKILL);
                eventually("QEMU has ended", || signal::kill(pid, None).is_err());
            }
            // QEMU takes its own away as it ends.
            drop(fs::remove_file(path));
        }
    }
}

/// libvirt looks for hooks when it starts, and again when it is told to.
pub(crate) fn reload() {
    if !is_running() {
        return;
    }
    // It handles the signal before it answers the next call, but for the first of a starting daemon.
    virsh(&["list", "--all"]);
    systemctl("reload", &["libvirtd.service"]);
    virsh(&["list", "--all"]);
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

    /// Its XML as libvirt prints it, which is what it passes to its hooks. libvirtd is asked once for each, and runs
    /// afterwards if it did before.
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
        static KNOWN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().expect("no panic");
        let printed = known.entry(self.xml()).or_insert_with(|| {
            let ran = is_running();
            start();
            self.define();
            let printed = virsh(&["dumpxml", "--inactive", "--security-info", self.name]);
            virsh(&["undefine", self.name]);
            if !ran {
                stop();
            }
            printed
        });
        printed.clone()
    }
}
