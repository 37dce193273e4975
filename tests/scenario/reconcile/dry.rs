//! The dry run says what then happens, and does nothing.

use super::*;
use serde_json::{Value, json};

fn objects(answer: &Answer) -> Vec<Value> {
    let lines = answer.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect()
}

fn leave() -> (Host, Domain, Domain) {
    let (host, vm, other) = two();
    let adopting = Domain::new("third", 3).with("e8a4d1f0-3c55-4a0e-a2b1-5f2d7c9b0e13");
    host.active("mtty", "mtty-1", "e8a4d1f0-3c55-4a0e-a2b1-5f2d7c9b0e13");
    for domain in [&vm, &other, &adopting] {
        host.prepare(domain).done();
    }
    host.process(4711, "qemu-system-x86", &["qemu-system-x86_64"], 9)
        .open_device(4711, A);
    host.stop_libvirt();
    (host, vm, other)
}

#[test]
fn it_says_the_same_and_writes_nothing() {
    let (host, ..) = leave();
    let before = host.snapshot();
    let dry = host.reconcile(&["--dry-run"]);
    before.assert_unchanged(&host.snapshot());
    assert!(dry.log.is_empty());
    let acted = host.reconcile(&[]);
    let words = [
        ("would remove", "removed"),
        ("would forget", "forgot"),
        ("kept", "kept"),
    ];
    let told = words
        .iter()
        .fold(dry.stdout.clone(), |text, (dry, acted)| text.replace(dry, acted));
    assert_eq!(told, acted.stdout);
    assert_eq!((dry.status, acted.status), (Some(1), Some(1)));
    assert_eq!(dry.stdout.lines().count(), 3, "{dry:?}");
}

#[test]
fn it_says_the_same_to_programs() {
    let (host, vm, other) = leave();
    let dry = objects(&host.reconcile(&["--dry-run", "--format", "json"]));
    let acted = objects(&host.reconcile(&["--format", "json"]));
    let mut expected = vec![
        json!({
            "schema": 1, "dry_run": true, "action": "keep", "uuid": A, "parent": "mtty", "type": "mtty-2",
            "claimant": {"name": "vm1", "domain": vm.uuid, "pid": null}, "code": "in-use",
            "reason": "vm1 is gone, but it is in use by qemu-system-x86 (4711); end that, or wait for its end",
        }),
        json!({
            "schema": 1, "dry_run": true, "action": "remove", "uuid": B, "parent": "mdpy", "type": "mdpy-hd",
            "claimant": {"name": "other", "domain": other.uuid, "pid": null}, "code": null,
            "reason": "other is gone",
        }),
        json!({
            "schema": 1, "dry_run": true, "action": "forget", "uuid": "e8a4d1f0-3c55-4a0e-a2b1-5f2d7c9b0e13",
            "parent": null, "type": null,
            "claimant": {"name": "third", "domain": "d0000000-0000-4000-8000-000000000003", "pid": null},
            "code": null, "reason": "third is gone; automdev did not make the device",
        }),
    ];
    assert_eq!(dry, expected);
    for object in &mut expected {
        object["dry_run"] = false.into();
    }
    assert_eq!(acted, expected);
}

/// Two that are gone have claimed one device: it goes once.
#[test]
fn a_device_is_told_once() {
    let (host, vm, other) = two();
    host.prepare(&vm).done();
    let claims = format!("run/automdev/claims/{A}");
    let text = host.read(format!("{claims}/{}", vm.claimant())).expect("a claim");
    host.file_with_mode(&format!("{claims}/{}", other.claimant()), &text, 0o600);
    host.stop_libvirt();
    let line = "(mtty-2 on mtty): vm1 is gone";
    host.reconcile(&["--dry-run"])
        .printed(0, &[&format!("would remove {A} {line}")]);
    host.reconcile(&[]).printed(0, &[&format!("removed {A} {line}")]);
    host.assert_ledger_empty();
}
