//! The systemd units: what they start is what there is, and they may do what it has to.

use std::fs;
use std::path::Path;
use std::process::Command;

fn unit(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks").join(name);
    fs::read_to_string(path).expect("a unit")
}

/// The values of a key, in order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    lines
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value)
        .collect()
}

#[test]
fn the_service_follows_libvirts_daemons_and_runs_what_there_is() {
    let service = unit("automdev-reconcile.service");
    let daemons = ["libvirtd.service virtqemud.service"];
    assert_eq!(values(&service, "After"), daemons);
    assert_eq!(values(&service, "WantedBy"), daemons);
    let [start] = values(&service, "ExecStart")[..] else {
        panic!("{service}");
    };
    let mut words = start.split(' ');
    assert_eq!(words.next(), Some("/usr/bin/automdev"));
    let known = Command::new(env!("CARGO_BIN_EXE_automdev"))
        .args(words)
        .arg("--help")
        .output()
        .expect("the program starts");
    assert!(known.status.success(), "{known:?}");
}

/// It writes into sysfs, and looks at the processes of everybody.
#[test]
fn the_service_may_do_what_it_has_to() {
    let service = unit("automdev-reconcile.service");
    for forbidden in [
        "ProtectKernelTunables",
        "ProtectProc",
        "ProcSubset",
        "PrivatePIDs",
        "PrivateUsers",
        "PrivateDevices",
        "ReadOnlyPaths",
        "InaccessiblePaths",
        "CapabilityBoundingSet",
        "User",
    ] {
        assert_eq!(values(&service, forbidden), Vec::<&str>::new(), "{forbidden}");
    }
    assert_eq!(values(&service, "ProtectSystem"), ["full"]);
    assert_eq!(values(&service, "RuntimeDirectory"), ["automdev"]);
    assert_eq!(values(&service, "RuntimeDirectoryMode"), ["0700"]);
    assert_eq!(values(&service, "RuntimeDirectoryPreserve"), ["yes"]);
}

#[test]
fn the_timer_starts_the_service() {
    let timer = unit("automdev-reconcile.timer");
    // Without Unit=, that of its own name.
    assert_eq!(values(&timer, "Unit"), Vec::<&str>::new());
    assert_eq!(values(&timer, "WantedBy"), ["timers.target"]);
    assert_eq!(values(&timer, "OnUnitInactiveSec").len(), 1);
}
