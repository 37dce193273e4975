//! Those whose claimant is gone.

use super::*;
use std::fs;

#[test]
fn on_a_host_where_nothing_was_made() {
    let (host, ..) = two();
    finds_nothing(&host);
    assert!(!host.at("run/automdev").exists());
}

#[test]
fn the_devices_of_a_domain_whose_daemon_died() {
    let (host, vm, other) = two();
    let before = host.state();
    host.prepare(&vm).done();
    host.prepare(&other).done();
    host.domain("other", &other.uuid, 4711);
    finds_nothing(&host);
    host.stop_libvirt();
    host.reconcile(&[])
        .printed(0, &[&format!("removed {A} (mtty-2 on mtty): vm1 is gone")])
        .logged(&[&format!("6 removed {A} (mtty-2 on mtty)")]);
    assert_eq!(host.devices(), [format!("{B} mdpy-hd mdpy")]);
    finds_nothing(&host);
    // Its QEMU, too.
    host.kill(4711).forget_domain("other");
    host.reconcile(&[])
        .printed(0, &[&format!("removed {B} (mdpy-hd on mdpy): other is gone")]);
    host.assert_ledger_empty();
    host.start_libvirt();
    before.assert_unchanged(&host.state());
}

/// A domain that is about to start has no process yet, but not for ten minutes.
#[test]
fn a_claim_is_believed_for_ten_minutes() {
    let (host, vm, _) = two();
    host.prepare(&vm).done();
    finds_nothing(&host);
    host.age(500);
    finds_nothing(&host);
    host.age(101);
    host.reconcile(&[])
        .printed(0, &[&format!("removed {A} (mtty-2 on mtty): vm1 is gone")]);
    host.assert_ledger_empty();
}

/// Nobody sets for how long the host has been up.
#[test]
fn a_clock_that_is_set_makes_no_claim_older_or_younger() {
    for (set, says) in [(100_000, "forward"), (-100_000, "back")] {
        let (host, vm, _) = two();
        host.file("proc/uptime", "1000.25 17.00\n");
        host.prepare(&vm).done();
        let path = format!("run/automdev/claims/{A}/{}", vm.claimant());
        let mut claim = host.json(&path);
        // As it would be had the clock been set since.
        let time = claim["time"].as_i64().expect("a time") - set;
        claim["time"] = time.into();
        host.file_with_mode(&path, &claim.to_string(), 0o600);
        finds_nothing(&host);
        host.file("proc/uptime", "1599.75 17.00\n");
        finds_nothing(&host);
        host.file("proc/uptime", "1600.25 17.00\n");
        let answer = host.reconcile(&[]);
        assert_eq!(answer.status, Some(0), "{says}: {answer:?}");
        answer.printed(0, &[&format!("removed {A} (mtty-2 on mtty): vm1 is gone")]);
        host.assert_ledger_empty();
    }
}

#[test]
fn what_was_made_before_the_host_was_booted() {
    let (host, vm, _) = two();
    host.prepare(&vm).done();
    host.domain("vm1", &vm.uuid, 4711);
    host.file(
        "proc/sys/kernel/random/boot_id",
        "1d4f6b4e-0000-4000-8000-000000000002\n",
    );
    // A device that has the same inode by chance is somebody else's.
    let devices = host.devices();
    host.reconcile(&[]).printed(
        0,
        &[&format!(
            "forgot {A} (mtty-2 on mtty): it was made before the host was booted"
        )],
    );
    assert_eq!(host.devices(), devices);
    host.assert_ledger_empty();
}

/// Nor does a start: it uses what it finds as anybody's.
#[test]
fn a_prepare_believes_no_inode_of_an_earlier_boot() {
    let (host, vm, _) = two();
    host.prepare(&vm).done();
    let devices = host.devices();
    host.file(
        "proc/sys/kernel/random/boot_id",
        "1d4f6b4e-0000-4000-8000-000000000002\n",
    );
    host.prepare(&vm).done().logged(&[&format!(
        "6 vm1: {A} (mtty-2 on mtty) was there before; vm1 uses it and leaves it standing"
    )]);
    host.release(&vm).done();
    assert_eq!(host.devices(), devices);
    host.assert_ledger_empty();
}

/// Nor does a stop take it for ours.
#[test]
fn a_release_believes_no_inode_of_an_earlier_boot() {
    let (host, vm, _) = two();
    host.prepare(&vm).done();
    let devices = host.devices();
    host.file(
        "proc/sys/kernel/random/boot_id",
        "1d4f6b4e-0000-4000-8000-000000000002\n",
    );
    host.release(&vm).done();
    assert_eq!(host.devices(), devices);
    host.assert_ledger_empty();
}

/// Which boot this is cannot be read, as where a process has too many files open: nothing is written down as another
/// boot's, and nothing is taken for it.
#[test]
fn a_boot_that_cannot_be_read_is_no_other_one() {
    let (host, vm, other) = two();
    let file = host.path().join("proc/sys/kernel/random/boot_id");
    let before = host.devices();
    host.prepare(&vm).done();
    let this = std::fs::read(&file).expect("a boot");
    std::fs::remove_file(&file).expect("removed");
    std::fs::create_dir(&file).expect("a folder");
    let refused = host.prepare(&other);
    assert!(
        refused.stderr.contains("cannot read") && refused.stderr.contains("random/boot_id"),
        "{refused:?}"
    );
    host.release(&vm).done();
    assert_eq!(host.devices(), before);
    std::fs::remove_dir(&file).expect("removed");
    std::fs::write(&file, this).expect("a boot");
    host.release(&other).done();
    host.assert_ledger_empty();
}

#[test]
fn a_device_that_is_gone_or_made_by_somebody_else() {
    let (host, vm, other) = two();
    for domain in [&vm, &other] {
        host.prepare(domain).done();
    }
    host.remove(A);
    host.remove(B).active("mdpy", "mdpy-hd", B);
    host.stop_libvirt();
    host.reconcile(&[]).printed(
        0,
        &[
            &format!("forgot {A} (mtty-2 on mtty): vm1 is gone, and so is the device"),
            &format!(
                "forgot {B} (mdpy-hd on mdpy): other is gone; somebody else has made the device anew, which stays"
            ),
        ],
    );
    assert_eq!(host.devices(), [format!("{B} mdpy-hd mdpy")]);
    host.assert_ledger_empty();
}

#[test]
fn a_claim_of_a_device_that_was_there_before() {
    let (host, vm, _) = two();
    host.active("mtty", "mtty-2", A);
    host.prepare(&vm).done();
    host.stop_libvirt();
    let line = format!("forgot {A}: vm1 is gone; automdev did not make the device");
    host.reconcile(&[]).printed(0, &[&line]);
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    host.assert_ledger_empty();
}

#[test]
fn one_of_two_claims() {
    let (host, vm, other) = two();
    host.prepare(&vm).done();
    host.domain("vm1", &vm.uuid, 4711);
    let claims = format!("run/automdev/claims/{A}");
    let text = host.read(format!("{claims}/{}", vm.claimant())).expect("a claim");
    let stale = text
        .replace("vm1", "other")
        .replace("000000000001\"", "00000000ffff\"");
    host.file_with_mode(&format!("{claims}/{}", other.claimant()), &stale, 0o600);
    let line = format!("forgot {A} (mtty-2 on mtty): other is gone; another one uses the device");
    host.reconcile(&[]).printed(0, &[&line]);
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
    host.kill(4711).forget_domain("vm1");
    host.stop_libvirt();
    host.file_with_mode(&format!("{claims}/{}", other.claimant()), &stale, 0o600);
    let line = format!("removed {A} (mtty-2 on mtty): vm1 is gone");
    host.reconcile(&[]).printed(0, &[&line]);
    host.assert_ledger_empty();
}

#[test]
fn a_record_that_nobody_claims() {
    let (host, vm, _) = two();
    host.prepare(&vm).done();
    let claims = host.at(format!("run/automdev/claims/{A}"));
    fs::remove_dir_all(claims).expect("claims");
    fs::remove_file(host.at(format!("run/automdev/claimants/{}", vm.claimant()))).expect("a list");
    let line = format!("removed {A} (mtty-2 on mtty): nobody claims it");
    host.reconcile(&[]).printed(0, &[&line]);
    assert!(host.devices().is_empty());
    host.assert_ledger_empty();
}

#[test]
fn a_list_without_claims_and_claims_without_a_list() {
    let (host, vm, other) = two();
    for domain in [&vm, &other] {
        host.prepare(domain).done();
    }
    // The first one's device is gone altogether; the second one lives, and so it stays.
    host.remove(A);
    fs::remove_dir_all(host.at(format!("run/automdev/claims/{A}"))).expect("claims");
    fs::remove_file(host.at(format!("run/automdev/devices/{A}"))).expect("a record");
    fs::remove_file(host.at(format!("run/automdev/claimants/{}", other.claimant()))).expect("a list");
    host.reconcile(&[])
        .printed(0, &["forgot vm1: it claims nothing any more"]);
    assert_eq!(
        host.ledger(),
        [
            format!("claims/{B}/{}", other.claimant()),
            format!("devices/{B} ready")
        ]
    );
    host.stop_libvirt();
    let line = format!("removed {B} (mdpy-hd on mdpy): other is gone");
    host.reconcile(&[]).printed(0, &[&line]);
    host.assert_ledger_empty();
}

/// The wrapper's claims are by process.
#[test]
fn the_devices_of_a_command_that_was_killed() {
    let (host, vm, _) = two();
    host.prepare(&vm).done();
    let text = host
        .read(format!("run/automdev/claims/{A}/{}", vm.claimant()))
        .expect("a claim");
    let list = host
        .read(format!("run/automdev/claimants/{}", vm.claimant()))
        .expect("a list");
    for path in [format!("claims/{A}"), "claimants".to_owned()] {
        fs::remove_file(host.at(format!("run/automdev/{path}/{}", vm.claimant()))).expect("it is there");
    }
    let rename = |text: &str| text.replace("vm1", "qemu (process 815)");
    host.process(815, "qemu-system-x86", &["qemu-system-x86_64"], 77)
        .file_with_mode(
            &format!("run/automdev/claims/{A}/process-815-77"),
            &rename(&text),
            0o600,
        )
        .file_with_mode("run/automdev/claimants/process-815-77", &rename(&list), 0o600);
    host.stop_libvirt();
    finds_nothing(&host);
    // Another process of that number.
    host.kill(815).process(815, "bash", &["bash"], 78);
    let line = format!("removed {A} (mtty-2 on mtty): qemu (process 815) is gone");
    host.reconcile(&[]).printed(0, &[&line]);
    host.assert_ledger_empty();
}

/// A call that was killed while it wrote leaves files that nobody reads.
#[test]
fn files_that_were_half_written() {
    let (host, vm, _) = two();
    let domain = vm.of_pool(C, "any");
    host.file("etc/automdev/pools.d/any.toml", "[[member]]\ntype = 'mdpy-vga'\n");
    host.prepare(&domain).done();
    let run = |path: &str| format!("run/automdev/{path}");
    let claimant = domain.claimant();
    let half_written = [
        run(&format!("devices/.{A}.new")),
        run(&format!("devices/.{B}.new")),
        run(&format!("swaps/.{B}.new")),
        run(&format!("claims/{A}/.{claimant}.new")),
        run(&format!("claimants/.{claimant}.new")),
        run(&format!("uses/pool-any/.{C}.new")),
        run(&format!("uses/pool-any/{B}")),
    ];
    let before = host.snapshot();
    for path in &half_written {
        host.file(path, "{");
    }
    let never_claimed = host.at(run("claims/d4c1b2a0-0000-4000-8000-00000000000d"));
    fs::create_dir(&never_claimed).expect("a folder");
    let lock = host.at(run(&format!("locks/device-{B}")));
    let lock = fs::File::create(lock).expect("a lock");
    let held = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive).expect("it is free");
    host.reconcile(&["--dry-run"])
        .printed(0, &["nothing was left over"]);
    let left = || -> Vec<&String> {
        let paths = half_written.iter();
        paths.filter(|path| host.at(path.as_str()).exists()).collect()
    };
    assert_eq!(left().len(), half_written.len());
    host.reconcile(&[]).printed(0, &["nothing was left over"]);
    assert!(!never_claimed.exists());
    // Somebody may be writing these.
    assert_eq!(left(), [&half_written[1], &half_written[2], &half_written[6]]);
    drop(held);
    host.reconcile(&[]).printed(0, &["nothing was left over"]);
    assert_eq!(left(), Vec::<&String>::new());
    let locks = ["run/automdev/locks", "run/automdev/swaps"];
    before
        .without(&locks)
        .assert_unchanged(&host.snapshot().without(&locks));
    host.release(&domain).done();
    host.assert_ledger_empty();
}
