//! Files that cannot be read: they are told, and harm only what they are about.

use super::*;

/// Leaves both domains' devices behind, with that file of the ledger as it should not be.
fn leave(path: &str, text: &str) -> (Host, String) {
    let (host, vm, other) = two();
    for domain in [&vm, &other] {
        host.prepare(domain).done();
    }
    host.stop_libvirt();
    let path = format!("run/automdev/{path}").replace("CLAIMANT", &vm.claimant());
    host.file_with_mode(&path, text, 0o600);
    let shown = host.at(path).display().to_string();
    (host, shown)
}

const OTHER: &str = "removed d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b (mdpy-hd on mdpy): other is gone";

#[track_caller]
fn told(answer: &Answer, kept: &str) {
    let lines: Vec<&str> = answer.stdout.lines().collect();
    assert!(lines.contains(&OTHER), "{answer:?}");
    assert!(lines.contains(&kept), "{kept}: {answer:?}");
    assert_eq!((answer.status, lines.len()), (Some(1), 2), "{answer:?}");
}

#[test]
fn a_record_or_a_claim() {
    for path in [format!("devices/{A}"), format!("claims/{A}/CLAIMANT")] {
        let (host, shown) = leave(&path, "{");
        let answer = host.reconcile(&[]);
        told(
            &answer,
            &format!("kept {A}: {shown} is broken: EOF while parsing an object at line 1 column 1"),
        );
        assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
        assert_eq!(host.reconcile(&[]).status, Some(1));
    }
}

#[test]
fn one_of_a_newer_automdev() {
    let (host, shown) = leave(&format!("devices/{A}"), "{\"schema\":2}");
    let answer = host.reconcile(&[]);
    told(
        &answer,
        &format!("kept {A}: {shown} was written by a newer automdev"),
    );
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
}

/// The claims say as much.
#[test]
fn a_list() {
    let (host, _) = leave("claimants/CLAIMANT", "{");
    host.reconcile(&[])
        .printed(0, &[&format!("removed {A} (mtty-2 on mtty): vm1 is gone"), OTHER]);
    host.assert_ledger_empty();
}

#[test]
fn one_of_no_name_of_ours() {
    for path in [
        "devices/x",
        "claims/x/y",
        "claimants/domain-x",
        "claims/c2177883-f1bb-47f0-914d-32a22e3a8804/x",
    ] {
        let (host, shown) = leave(path, "");
        let shown = shown.strip_suffix("/y").unwrap_or(&shown).to_owned();
        let answer = host.reconcile(&[]);
        let kept = format!("kept {shown} is no file of automdev's; take it away");
        assert!(answer.stdout.lines().any(|line| line == kept), "{answer:?}");
        assert_eq!(answer.status, Some(1));
        // All else is seen to.
        assert!(host.devices().is_empty());
    }
}

/// A process is known by the file's name alone.
#[test]
fn a_claim_of_a_process() {
    let (host, vm, _) = two();
    host.prepare(&vm).done();
    let folder = host.at(format!("run/automdev/claims/{A}"));
    std::fs::remove_file(folder.join(vm.claimant())).expect("a claim");
    std::fs::remove_file(host.at(format!("run/automdev/claimants/{}", vm.claimant()))).expect("a list");
    host.file_with_mode(&format!("run/automdev/claims/{A}/process-815-77"), "{", 0o600)
        .process(815, "qemu", &["qemu"], 77);
    host.reconcile(&[]).printed(0, &["nothing was left over"]);
    host.kill(815);
    let line = format!("removed {A} (mtty-2 on mtty): process 815 is gone");
    host.reconcile(&[]).printed(0, &[&line]);
    host.assert_ledger_empty();
}

#[test]
fn the_settings() {
    let (host, vm, _) = two();
    host.prepare(&vm).done();
    host.stop_libvirt();
    host.file("etc/automdev/automdev.toml", "x");
    let answer = host.reconcile(&[]);
    assert_eq!(answer.status, Some(0));
    assert!(
        answer
            .stderr
            .starts_with("automdev: warning: /etc/automdev/automdev.toml: line 1")
    );
    assert!(answer.stderr.ends_with("; the defaults are used\n"), "{answer:?}");
    assert!(host.devices().is_empty());
}

#[test]
fn a_ledger_that_others_may_write() {
    use std::os::unix::fs::PermissionsExt;
    let (host, vm, _) = two();
    host.prepare(&vm).done();
    host.stop_libvirt();
    let path = host.at("run/automdev/claims");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("its mode");
    let state = host.state();
    let line = format!(
        "{} is not safe: it must be a folder of the user who runs automdev, with mode 0700",
        path.display()
    );
    host.reconcile(&[]).refused(&line);
    state.assert_unchanged(&host.state());
}
