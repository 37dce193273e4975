//! What a start does where all is well.

use super::*;

#[test]
fn a_device_is_there_while_its_domain_runs() {
    let host = Host::new();
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    let vm = Domain::new("vm1", 1).with(A);
    let before = host.state();

    let answer = host.prepare(&vm).done();
    assert_eq!(
        answer.log[0].fields(),
        [
            ("MESSAGE", format!("vm1: created {A} (mtty-2 on mtty)").as_str()),
            ("PRIORITY", "6"),
            ("SYSLOG_IDENTIFIER", "automdev"),
            ("AUTOMDEV_DOMAIN", "vm1"),
            ("AUTOMDEV_OPERATION", "prepare"),
            ("AUTOMDEV_UUID", A),
            ("AUTOMDEV_PARENT", "mtty"),
            ("AUTOMDEV_MDEV_TYPE", "mtty-2"),
        ]
    );
    assert_eq!(answer.log.len(), 1);
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    assert_eq!(
        host.ledger(),
        [
            format!("claimants/{} vm1 {A}", vm.claimant()),
            format!("claims/{A}/{}", vm.claimant()),
            format!("devices/{A} ready"),
        ]
    );

    host.release(&vm)
        .done()
        .logged(&[&format!("6 vm1: removed {A} (mtty-2 on mtty)")]);
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

#[test]
fn nothing_else_of_the_host_changes() {
    let host = Host::new();
    host.mtty().definition("mtty", A, "mtty-1", &[]);
    let vm = Domain::new("vm1", 1).with(A);
    let before = host.snapshot();
    host.prepare(&vm).done();
    let claimant = vm.claimant();
    let device = format!("sys/devices/virtual/mtty/mtty/{A}");
    let allowed = [
        "sys/bus/mdev/devices/",
        "sys/bus/mdev/drivers/mtty/",
        "sys/class/vfio-dev/",
        "sys/kernel/iommu_groups/0",
        "sys/devices/virtual/mtty/mtty/mdev_supported_types/mtty-1/devices/",
        "dev/vfio/0",
        &device,
    ];
    let changes = before.changes(&host.snapshot());
    let by_kernel = |change: &String| allowed.iter().any(|path| change[2..].starts_with(path));
    let changes: Vec<String> = changes
        .into_iter()
        .filter(|change| !by_kernel(change))
        // Their content is not what this is about.
        .map(|change| change.split(" \"{").next().unwrap_or_default().to_owned())
        .collect();
    let types = "sys/devices/virtual/mtty/mtty/mdev_supported_types";
    assert_eq!(
        changes,
        [
            format!("~ {types}/mtty-1/available_instances: 0444 \"24\\n\" → 0444 \"23\\n\""),
            format!("~ {types}/mtty-2/available_instances: 0444 \"12\\n\" → 0444 \"11\\n\""),
            "+ run/automdev: folder 0700".to_owned(),
            "+ run/automdev/claimants: folder 0700".to_owned(),
            format!("+ run/automdev/claimants/{claimant}: 0600"),
            "+ run/automdev/claims: folder 0700".to_owned(),
            format!("+ run/automdev/claims/{A}: folder 0700"),
            format!("+ run/automdev/claims/{A}/{claimant}: 0600"),
            "+ run/automdev/devices: folder 0700".to_owned(),
            format!("+ run/automdev/devices/{A}: 0600"),
            "+ run/automdev/locks: folder 0700".to_owned(),
            format!("+ run/automdev/locks/creation-{A}: 0600 \"\""),
            format!("+ run/automdev/locks/device-{A}: 0600 \"\""),
            format!("+ run/automdev/locks/{claimant}: 0600 \"\""),
            "+ run/automdev/locks/host: 0600 \"\"".to_owned(),
            "+ run/automdev/locks/parent-mtty: 0600 \"\"".to_owned(),
        ]
    );
}

#[test]
fn a_device_that_was_there_before_is_used_and_left_standing() {
    let host = Host::new();
    host.mtty()
        .definition("mtty", A, "mtty-2", &[])
        .active("mtty", "mtty-2", A);
    let vm = Domain::new("vm1", 1).with(A);
    let before = host.state();
    host.prepare(&vm).done().logged(&[&format!(
        "6 vm1: {A} (mtty-2 on mtty) was there before; vm1 uses it and leaves it standing"
    )]);
    assert_eq!(
        host.ledger(),
        [
            format!("claimants/{} vm1 {A}", vm.claimant()),
            format!("claims/{A}/{}", vm.claimant()),
        ]
    );
    before.assert_unchanged(&host.state());
    host.release(&vm).done().logged(&[]);
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
    assert_eq!(
        host.kernel()
            .log()
            .iter()
            .filter(|line| line.contains(" write "))
            .count(),
        0
    );
}

#[test]
fn one_that_nothing_defines_is_used_with_a_warning() {
    let host = Host::new();
    host.mtty().active("mtty", "mtty-1", A);
    let vm = Domain::new("vm1", 1).with(A);
    let before = host.state();
    host.prepare(&vm).done().logged(&[&format!(
        "4 vm1: {A} (mtty-1 on mtty) was there before, and this host has no definition of it; vm1 uses it \
         and leaves it standing"
    )]);
    host.release(&vm).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

#[test]
fn a_listed_device_that_the_domain_has_not_is_ignored_with_a_warning() {
    let host = Host::new();
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    let vm = Domain::new("vm1", 1).with(A).listing(B);
    host.prepare(&vm).done().logged(&[
        &format!("4 vm1: its metadata lists {B}, which is no mediated device of the domain; ignored"),
        &format!("6 vm1: created {A} (mtty-2 on mtty)"),
    ]);
}

#[test]
fn of_several_definitions_the_first_that_can_be_used_is() {
    let host = Host::new();
    host.mbochs().mdpy().mtty();
    // In the order of the parents' names: broken, full, there, and one that is not needed any more.
    host.definition("0000:41:00.0", A, "nvidia-63", &[])
        .file(&format!("etc/mdevctl.d/a/{A}"), "{")
        .definition("mbochs", A, "mbochs-large", &[])
        .definition("mdpy", A, "mdpy-hd", &[])
        .definition("mtty", A, "mtty-2", &[]);
    for number in 0..4 {
        host.active(
            "mbochs",
            "mbochs-large",
            &format!("00000000-0000-4000-8000-{number:012x}"),
        );
    }
    let vm = Domain::new("vm1", 1).with(A);
    host.prepare(&vm)
        .done()
        .logged(&[&format!("6 vm1: created {A} (mdpy-hd on mdpy)")]);
    host.release(&vm).done();
    host.assert_ledger_empty();
    assert!(!host.is_below("mdpy", A));
}

#[test]
fn one_that_is_active_as_any_of_its_definitions_says_is_used() {
    let host = Host::new();
    host.mdpy().mtty();
    host.definition("mdpy", A, "mdpy-hd", &[])
        .definition("mtty", A, "mtty-2", &[])
        .active("mtty", "mtty-2", A);
    host.prepare(&Domain::new("vm1", 1).with(A)).done();
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
}

#[test]
fn select_widens_what_is_marked() {
    // What is unmarked, managed and unmarked, unmarked and undefined.
    let vm = Domain::new("vm1", 1)
        .unmarked(A)
        .unmarked(B)
        .managed()
        .unmarked(C);
    for (select, made) in [
        ("", vec![]),
        ("select = 'marked'", vec![]),
        ("select = 'managed'", vec![B]),
        ("select = 'defined'", vec![A, B]),
    ] {
        let host = Host::new();
        host.mtty()
            .definition("mtty", A, "mtty-2", &[])
            .definition("mtty", B, "mtty-2", &[])
            .file("etc/automdev/automdev.toml", select);
        // Settings matter only where a domain has a device that one of them may be about.
        host.prepare(&vm).done();
        let mut made: Vec<String> = made.iter().map(|uuid| format!("{uuid} mtty-2 mtty")).collect();
        made.sort();
        assert_eq!(host.devices(), made, "{select}");
        host.release(&vm).done();
        assert_eq!(host.devices().len(), 0, "{select}");
        host.assert_ledger_empty();
    }
}
