//! Devices that cannot be removed at once: the call ends, and somebody whom nobody waits for goes on.

use super::*;
use crate::run::host::eventually;
use crate::support::FakeKernel;
use automdev::host::clock::Deadline;
use automdev::host::detached;
use automdev::host::machine::Machine;
use automdev::host::root::Root;
use automdev::model::claim::{Claimant, ProcessId};
use automdev::model::settings::Timeouts;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const GPU: &str = "0000:41:00.0";

fn a_gpu(timeouts: &str) -> (Host, Domain) {
    let host = Host::new();
    host.timeouts(timeouts)
        .nvidia(GPU)
        .definition(GPU, A, "nvidia-222", &[]);
    (host, Domain::new("vm1", 1).with(A))
}

/// Ends with what was logged meanwhile.
#[track_caller]
fn all_is_given_back(host: &Host) -> Vec<String> {
    let mut log = Vec::new();
    eventually("nothing is left", || {
        log.extend(
            host.logged()
                .iter()
                .map(|message| message.field("MESSAGE").to_owned()),
        );
        host.ledger().is_empty()
    });
    log.extend(
        host.logged()
            .iter()
            .map(|message| message.field("MESSAGE").to_owned()),
    );
    log
}

/// [`Host::finish`] waits for the end of its pipes, as libvirt does.
#[test]
fn nvidias_driver_cleans_up_first_and_nobody_waits_for_it() {
    let (host, vm) = a_gpu("gone = 4");
    let before = host.state();
    host.prepare(&vm).done();
    let began = Instant::now();
    host.release(&vm).done().logged(&[]);
    assert_eq!(host.devices().len(), 1, "{:?}", began.elapsed());
    assert_eq!(
        host.ledger(),
        [
            format!("claimants/{} vm1 {A}", vm.claimant()),
            format!("devices/{A} ready"),
        ]
    );
    let log = all_is_given_back(&host);
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(log, [format!("vm1: removed {A} (nvidia-222 on {GPU})")]);
    before.assert_unchanged(&host.state());
}

#[test]
fn one_that_has_gone_by_itself_is_not_removed() {
    let (host, vm) = a_gpu("gone = 60");
    let before = host.state();
    host.prepare(&vm).done();
    host.kernel().reset();
    host.release(&vm).done();
    host.remove(A);
    let log = all_is_given_back(&host);
    assert!(
        log.is_empty() || log == [format!("vm1: {A} on {GPU} has gone by itself")],
        "{log:?}"
    );
    assert_eq!(host.writes(), Vec::<String>::new());
    before.assert_unchanged(&host.state());
}

/// All of them have had the same time to clean up: they are not waited for one after the other, which would take longer
/// than a whole call may.
#[test]
fn several_of_one_domain_go_together() {
    let (host, mut vm) = a_gpu("gone = 2\nhook = 5");
    let before = host.state();
    for uuid in [
        B,
        "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4c",
        "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4d",
    ] {
        host.definition(GPU, uuid, "nvidia-222", &[]);
        vm = vm.with(uuid);
    }
    host.prepare(&vm).done();
    assert_eq!(host.devices().len(), 4);
    host.release(&vm).done();
    let log = all_is_given_back(&host);
    assert_eq!(log.len(), 4, "{log:?}");
    assert_eq!(host.devices(), Vec::<String>::new());
    let after = host.state().without(&["etc"]);
    before.without(&["etc"]).assert_unchanged(&after);
}

/// So at a start that wants none of them any more, after one whose end nobody saw.
#[test]
fn several_that_are_not_wanted_any_more_go_together() {
    let (host, vm) = a_gpu("gone = 2\nhook = 20");
    let mut had = vm.clone();
    for number in 1..6 {
        let uuid = format!("d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd{number:02}");
        host.definition(GPU, &uuid, "nvidia-222", &[]);
        had = had.with(&uuid);
    }
    host.prepare(&had).done();
    let began = Instant::now();
    host.prepare(&vm).done();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(host.devices(), [format!("{A} nvidia-222 {GPU}")]);
    host.release(&vm).done();
    all_is_given_back(&host);
}

/// Its room is somebody else's as soon as it is gone.
#[test]
fn another_domain_waits_for_the_room_of_one_that_goes() {
    let (host, vm) = a_gpu("gone = 4\nhook = 60");
    host.definition(GPU, B, "nvidia-231", &[]);
    let before = host.state();
    let other = Domain::new("other", 2).with(B);
    host.prepare(&vm).done();
    host.domain("vm1", &vm.uuid, 4711);
    // Not for that of one that stays.
    let answer = host.prepare(&other);
    assert!(
        answer.stderr.contains("the GPU is running nvidia-222 for vm1"),
        "{answer:?}"
    );
    assert!(
        answer
            .log
            .iter()
            .all(|message| !message.field("MESSAGE").contains("waiting"))
    );
    host.kill(4711).forget_domain("vm1");
    host.release(&vm).done();
    let answer = host.prepare(&other).done();
    let said = |text: &str| {
        answer
            .log
            .iter()
            .any(|message| message.field("MESSAGE").contains(text))
    };
    assert!(said(&format!("waiting for room on {GPU} for {B}")), "{answer:?}");
    assert_eq!(host.devices(), [format!("{B} nvidia-231 {GPU}")]);
    host.release(&other).done();
    all_is_given_back(&host);
    before.assert_unchanged(&host.state());
}

/// Not for ever, where whoever was to see to that is not there any more.
#[test]
fn room_that_nobody_gives_back_is_taken_back() {
    let (host, vm) = a_gpu("gone = 0.5\nidle = 0.5\nhook = 60\nparent = 0");
    host.definition(GPU, B, "nvidia-231", &[]);
    let before = host.state();
    host.prepare(&vm).done();
    // Nobody comes in the background while somebody is there already.
    let waiter = format!("waiter-{}", vm.claimant());
    host.file_with_mode(&format!("run/automdev/locks/{waiter}"), "", 0o600);
    let waiter = host.lock(&waiter);
    host.release(&vm).done();
    let other = Domain::new("other", 2).with(B);
    let began = Instant::now();
    host.prepare(&other).done();
    assert!(
        began.elapsed() >= Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(host.devices(), [format!("{B} nvidia-231 {GPU}")]);
    drop(waiter);
    host.release(&other).done();
    host.release(&vm).done();
    all_is_given_back(&host);
    before.assert_unchanged(&host.state());
}

/// What the next start wants is not taken from it.
#[test]
fn a_domain_that_starts_again_gets_its_device() {
    let (host, vm) = a_gpu("gone = 0.5\nhook = 60");
    for _ in 0..3 {
        host.prepare(&vm).done();
        host.domain("vm1", &vm.uuid, 4711);
        assert_eq!(host.devices(), [format!("{A} nvidia-222 {GPU}")]);
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(host.devices(), [format!("{A} nvidia-222 {GPU}")]);
        host.kill(4711).forget_domain("vm1");
        host.release(&vm).done();
    }
    all_is_given_back(&host);
    assert!(host.devices().is_empty());
}

/// The inode of a device's folder, which tells it from the next one of its UUID.
fn inode(host: &Host, uuid: &str) -> u64 {
    let folder = host.at(format!("sys/class/mdev_bus/{GPU}/{uuid}"));
    fs::metadata(folder).expect("it is there").ino()
}

/// Nothing tells for how long a driver has been cleaning up after a guest whose end nobody saw: what it has used is given to
/// nobody, be it the same domain.
#[test]
fn what_a_guest_had_is_not_given_to_the_next() {
    for who in [
        "the same domain",
        "another one",
        "one that is quicker than the background",
    ] {
        let (host, vm) = a_gpu("gone = 1\nhook = 60\nclaim = 0");
        let before = host.state().without(&["proc"]);
        host.prepare(&vm).done();
        host.domain("vm1", &vm.uuid, 4711);
        let first = inode(&host, A);
        let next = match who {
            "the same domain" => vm.clone(),
            _ => Domain::new("next", 2).with(A),
        };
        host.kill(4711).forget_domain("vm1");
        let began = Instant::now();
        // Nobody comes in the background while somebody is there already.
        let waiter = format!("waiter-{}", vm.claimant());
        host.file_with_mode(&format!("run/automdev/locks/{waiter}"), "", 0o600);
        let waiter = host.lock(&waiter);
        if who == "one that is quicker than the background" {
            host.release(&vm).done();
        } else {
            host.stop_libvirt();
            host.process(std::process::id(), "libvirtd", &["/usr/sbin/libvirtd"], 6);
        }
        host.prepare(&next).done();
        assert!(
            began.elapsed() >= Duration::from_secs(1),
            "{who}: {:?}",
            began.elapsed()
        );
        assert_eq!(host.devices(), [format!("{A} nvidia-222 {GPU}")], "{who}");
        assert_ne!(inode(&host, A), first, "{who}");
        // Once it is there for it, it is kept.
        let (second, began) = (inode(&host, A), Instant::now());
        host.prepare(&next).done();
        assert_eq!(inode(&host, A), second, "{who}");
        assert!(began.elapsed() < Duration::from_secs(1), "{who}");
        drop(waiter);
        host.release(&next).done();
        host.release(&vm).done();
        all_is_given_back(&host);
        before.assert_unchanged(&host.state().without(&["proc"]));
    }
}

#[test]
fn a_start_that_comes_to_nothing_waits_for_no_driver() {
    let (host, vm) = a_gpu("gone = 60");
    let before = host.state();
    host.definition(GPU, A, "nvidia-222", &[("nvidia/vgpu_params", "without an end")]);
    let began = Instant::now();
    assert!(!host.prepare(&vm).succeeded());
    assert!(began.elapsed() < Duration::from_secs(30));
    host.definition(GPU, A, "nvidia-222", &[]);
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// A QEMU that outlives its domain, stopped, say.
#[test]
fn a_device_in_use_goes_when_its_user_has() {
    for (told, gone) in [("at once", "gone = 0"), ("on NVIDIA's", "gone = 0.2")] {
        let (host, vm) = a_gpu(&format!("{gone}\nidle = 0.2\nhook = 20"));
        let before = host.state();
        host.prepare(&vm).done();
        host.process(4711, "qemu-system-x86", &["qemu-system-x86_64"], 9)
            .open_device(4711, A);
        let began = Instant::now();
        let status = host.release(&vm).status;
        assert_eq!(status, Some(i32::from(gone.ends_with(" 0"))), "{told}");
        assert!(began.elapsed() < Duration::from_secs(15), "{told}");
        let (state, writes) = (host.state(), host.writes());
        std::thread::sleep(Duration::from_millis(500));
        state.assert_unchanged(&host.state());
        assert_eq!(host.writes(), writes, "{told}: it is in use");
        host.kill(4711);
        all_is_given_back(&host);
        before.assert_unchanged(&host.state());
    }
}

#[test]
fn a_removal_that_hangs_is_seen_to_when_it_has_ended() {
    let (host, vm) = a_gpu("gone = 0\nidle = 0.2\nwrite = 0.2\nhook = 20");
    let before = host.state();
    host.prepare(&vm).done();
    hold(&host, A);
    assert!(!host.release(&vm).succeeded());
    let_go(&host);
    all_is_given_back(&host);
    before.assert_unchanged(&host.state());
}

#[test]
fn a_creation_that_comes_late_is_seen_to() {
    let (host, vm) = a_gpu("gone = 0\nidle = 0.2\nwrite = 0.2\nhook = 20");
    let before = host.state();
    host.kernel()
        .configure(|config| config.blocked.push("nvidia-222/create".to_owned()));
    assert!(!host.prepare(&vm).succeeded());
    host.kernel().unblock();
    all_is_given_back(&host);
    before.assert_unchanged(&host.state());
}

/// As it was asked to, or because it takes too long: then it says so.
#[test]
fn it_is_not_tried_for_ever() {
    let (host, vm) = a_gpu("gone = 0\nidle = 0.2\nhook = 20\nretry = 0.3");
    host.prepare(&vm).done();
    host.process(4711, "qemu-system-x86", &["qemu-system-x86_64"], 9)
        .open_device(4711, A);
    assert!(!host.release(&vm).succeeded());
    let mut said = Vec::new();
    eventually("it is given up", || {
        said.extend(
            host.logged()
                .iter()
                .map(|message| message.field("MESSAGE").to_owned()),
        );
        !said.is_empty()
    });
    assert_eq!(
        said,
        [
            "vm1: vm1 is gone, but it is in use by qemu-system-x86 (4711); end that, or wait for its end; this is left to \
          automdev reconcile"
        ]
    );
    host.kill(4711);
    assert_eq!(host.reconcile(&[]).status, Some(0));
    host.assert_ledger_empty();
}

/// Every step of what goes on in the background may be its last one.
#[test]
fn it_may_die_at_any_step() {
    let (host, vm) = a_gpu("gone = 0.05\nidle = 0.2\nhook = 20\nclaim = 0");
    let before = host.state();
    host.prepare(&vm).done();
    host.kernel().reset();
    host.release(&vm).done();
    all_is_given_back(&host);
    let log = host.kernel().log();
    // The claim's end is the hook's own.
    assert!(log.len() > 3, "{log:?}");
    let mut tried = 0;
    for (at, line) in (1..).zip(&log) {
        for kind in [FaultKind::KillBefore, FaultKind::KillAfter] {
            if kind == FaultKind::KillAfter && !line.contains(" write ") {
                continue;
            }
            for next in ["prepare", "release", "reconcile"] {
                let told = format!("{kind:?} {line}, then {next}");
                host.prepare(&vm).done();
                host.kernel().fault(at, kind);
                let answer = host.release(&vm);
                assert!(
                    answer.status == Some(0) || answer.signal == Some(9),
                    "{told}: {answer:?}"
                );
                eventually(&format!("it has died: {told}"), || {
                    host.kernel().log().iter().any(|line| line.contains("died"))
                });
                host.kernel().reset();
                match next {
                    "prepare" => {
                        host.prepare(&vm).done();
                        assert_eq!(host.devices(), [format!("{A} nvidia-222 {GPU}")], "{told}");
                        host.release(&vm).done();
                    }
                    "release" => drop(host.release(&vm).done()),
                    _ => {
                        host.stop_libvirt();
                        assert_eq!(host.reconcile(&[]).status, Some(0), "{told}");
                        host.start_libvirt();
                    }
                }
                all_is_given_back(&host);
                before.assert_unchanged(&host.state());
                tried += 1;
            }
        }
    }
    crate::counts::assert_told(
        "release of one of NVIDIA's, and what goes on in the background",
        tried / 3,
        tried,
    );
}

/// One process of two that waits in the background.
fn wait_for(root: PathBuf, process: ProcessId) {
    let kernel = FakeKernel::new(&root);
    let machine = Machine {
        root: Root::new(root),
        kernel: &kernel,
        timeouts: Timeouts {
            idle: Duration::ZERO,
            ..Timeouts::default()
        },
        callouts: false,
        cordon: Vec::new(),
        deadline: Deadline::after(Duration::from_secs(60)),
    };
    detached::wait(&machine, Claimant::Process(process));
}

/// Processes share locks: the one that comes second leaves its work to the one that waits already, which does not end
/// before that is done as well.
#[test]
fn who_waits_already_sees_to_those_who_are_turned_away() {
    let host = Host::new();
    host.mtty().mdpy();
    let before = host.state().without(&["etc"]);
    let mut processes = Vec::new();
    for (number, (parent, type_name, uuid)) in [(0, ("mtty", "mtty-1", A)), (1, ("mdpy", "mdpy-vga", B))] {
        let vm = Domain::new(&format!("vm{number}"), number).with(uuid);
        host.definition(parent, uuid, type_name, &[]);
        host.prepare(&vm).done();
        let process = ProcessId {
            pid: 1000 + 4096 * number,
            start: 7,
        };
        // As `run` would have left it, had it been for one that has ended.
        for folder in ["claimants".to_owned(), format!("claims/{uuid}")] {
            let at = |name: String| host.at(format!("run/automdev/{folder}/{name}"));
            let to = at(Claimant::Process(process).to_string());
            fs::rename(at(vm.claimant()), to).expect("a file");
        }
        host.process(4711 + number, "qemu", &["qemu"], 9)
            .open_device(4711 + number, uuid);
        processes.push(process);
    }
    let root = host.path().to_owned();
    let first = processes[0];
    let waits = std::thread::spawn(move || wait_for(root, first));
    let asked = host.at("run/automdev/locks/asked-process-1000");
    let is_asked = || fs::metadata(&asked).map_or(true, |file| file.len() > 0);
    eventually("the first waits", || {
        host.at("run/automdev/locks/waiter-process-1000").exists() && !is_asked()
    });
    wait_for(host.path().to_owned(), processes[1]);
    host.kill(4711);
    eventually("the first has done its own", || host.devices().len() == 1);
    assert!(!waits.is_finished());
    host.kill(4712);
    waits.join().expect("no panic");
    host.assert_ledger_empty();
    before.assert_unchanged(&host.state().without(&["etc"]));
}
