//! Files that are broken: they harm only what needs them, and the one that needs them names them.

use super::*;
use std::os::unix::fs::PermissionsExt;

use automdev::host::clock::Deadline;
use automdev::host::kernel::{Target, WriteError};

fn two() -> (Host, Domain, Domain) {
    let host = Host::new();
    host.timeouts("claim = 0")
        .mtty()
        .mdpy()
        .definition("mtty", A, "mtty-2", &[])
        .definition("mdpy", B, "mdpy-hd", &[]);
    (
        host,
        Domain::new("vm1", 1).with(A),
        Domain::new("other", 2).with(B),
    )
}

/// The other domain starts and stops as ever.
#[track_caller]
fn assert_unharmed(host: &Host, other: &Domain) {
    host.prepare(other).done();
    assert!(host.devices().contains(&format!("{B} mdpy-hd mdpy")));
    host.release(other).done();
    assert!(!host.is_below("mdpy", B));
}

#[test]
fn a_record() {
    for (text, why) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("{\"schema\":1}", "missing field `kind` at line 1 column 12"),
    ] {
        let (host, vm, other) = two();
        host.prepare(&vm).done();
        let path = format!("run/automdev/devices/{A}");
        host.file(&path, text);
        let shown = host.at(&path).display().to_string();
        assert_unharmed(&host, &other);
        let state = host.state();
        let line = format!("vm1: {shown} is broken: {why}");
        host.prepare(&vm).refused(&line);
        host.release(&vm).refused(&line);
        state.assert_unchanged(&host.state());
        assert_unharmed(&host, &other);
        // Mended by hand, the domain's next stop goes well.
        fs::remove_file(host.at(&path)).expect("a record");
        host.release(&vm).done();
        host.assert_ledger_empty();
    }
}

#[test]
fn a_record_of_a_newer_automdev() {
    let (host, vm, other) = two();
    host.prepare(&vm).done();
    let path = format!("run/automdev/devices/{A}");
    let text = fs::read_to_string(host.at(&path)).expect("a record");
    host.file(&path, &text.replace("\"schema\":1", "\"schema\":2,\"more\":true"));
    let line = format!(
        "vm1: {} was written by a newer automdev",
        host.at(&path).display()
    );
    let state = host.state();
    host.prepare(&vm).refused(&line);
    host.release(&vm).refused(&line);
    state.assert_unchanged(&host.state());
    assert_unharmed(&host, &other);
}

#[test]
fn a_claim() {
    let (host, vm, other) = two();
    host.prepare(&vm).done();
    let path = format!("run/automdev/claims/{A}/{}", vm.claimant());
    host.file(&path, "{");
    assert_unharmed(&host, &other);
    let third = Domain::new("third", 3).with(A);
    let state = host.state();
    host.prepare(&third).refused(&format!(
        "third: {} is broken: EOF while parsing an object at line 1 column 1",
        host.at(&path).display()
    ));
    state.assert_unchanged(&host.state());
    // Its own domain does not need to read it.
    host.prepare(&vm).done();
    host.file(&path, "{");
    host.release(&vm).done();
    assert!(host.devices().is_empty());
    host.assert_ledger_empty();
}

/// The claims of a full parent's devices are only there to be named.
#[test]
fn a_claim_of_a_neighbour() {
    let host = Host::new();
    host.mtty().mdpy_of(1);
    host.definition("mdpy", B, "mdpy-hd", &[])
        .definition("mdpy", C, "mdpy-hd", &[])
        .definition("mtty", C, "mtty-1", &[]);
    let other = Domain::new("other", 2).with(B);
    host.prepare(&other).done();
    host.file(&format!("run/automdev/claims/{B}/{}", other.claimant()), "{");
    // Its first parent is full; the second is not.
    host.prepare(&Domain::new("vm3", 3).with(C)).done();
    assert!(host.devices().contains(&format!("{C} mtty-1 mtty")));
    // And where nothing else is left, what is said is that.
    host.definition("mdpy", A, "mdpy-hd", &[]);
    let answer = host.prepare(&Domain::new("vm4", 4).with(A));
    assert!(
        answer.stderr.contains("no instance of mdpy-hd is left on mdpy"),
        "{answer:?}"
    );
}

#[test]
fn the_list_of_a_claimant() {
    let (host, vm, other) = two();
    host.prepare(&vm).done();
    let path = format!("run/automdev/claimants/{}", vm.claimant());
    host.file(&path, "{");
    assert_unharmed(&host, &other);
    // The claims themselves tell what it has.
    host.release(&vm).done();
    assert!(host.devices().is_empty());
    host.assert_ledger_empty();
    host.prepare(&vm).done();
    host.file(&path, "");
    host.prepare(&vm).done();
    host.release(&vm).done();
    assert!(host.devices().is_empty());
    host.assert_ledger_empty();
}

#[test]
fn the_settings() {
    for (text, why) in [
        (
            "selct = 'marked'",
            "line 1, column 1: there is no key selct (did you mean select?); there are ",
        ),
        ("select = ", "line 1, column 10: "),
        (
            "[timeouts]\nhook = -1",
            "line 2, column 8: -1 is not between 0.05 and 3600 seconds",
        ),
    ] {
        let (host, vm, _) = two();
        host.prepare(&vm).done();
        host.file("etc/automdev/automdev.toml", text);
        let answer = host.prepare(&Domain::new("other", 2).with(B));
        let start = format!("automdev: other: /etc/automdev/automdev.toml: {why}");
        assert!(answer.stderr.starts_with(&start), "{answer:?}");
        assert!(!answer.succeeded());
        // Whom they are not about, and who stops. What is unmarked asks for nothing of ours.
        host.prepare(&Domain::new("vm2", 3)).done();
        let answer = host.prepare(&Domain::new("vm3", 4).unmarked(B)).done();
        let log: Vec<&str> = answer
            .log
            .iter()
            .map(|message| message.field("MESSAGE"))
            .collect();
        let [line] = log[..] else { panic!("{log:?}") };
        assert!(
            line.starts_with(&format!("vm3: /etc/automdev/automdev.toml: {why}"))
                && line.ends_with("; the domain marks no device, and none is made for it"),
            "{line}"
        );
        // Who has something of ours does.
        assert!(!host.prepare(&Domain::new("vm1", 1).unmarked(A)).succeeded());
        host.release(&vm).done();
        assert!(host.devices().is_empty());
        host.assert_ledger_empty();
    }
}

#[test]
fn a_definition() {
    let (host, vm, other) = two();
    host.file(&format!("etc/mdevctl.d/mtty/{A}"), "{")
        .file("etc/mdevctl.d/mtty/no-uuid", "{")
        .file("etc/mdevctl.d/not-a-folder", "{")
        .file("etc/mdevctl.d/scripts.d/callouts/x", "{")
        .file(&format!("etc/mdevctl.d/scripts.d/{B}"), "{");
    assert_unharmed(&host, &other);
    assert!(!host.prepare(&vm).succeeded());
    // Whose device is there does not need the definition to stop.
    host.definition("mtty", A, "mtty-2", &[]);
    host.prepare(&vm).done();
    host.file(&format!("etc/mdevctl.d/mtty/{A}"), "{");
    host.release(&vm).done();
    assert!(host.devices().is_empty());
}

/// What is in the ledger's place, and how it comes there.
type Making = (&'static str, fn(&Host));

/// Somebody else than root may have written there.
#[test]
fn the_ledgers_folder() {
    let makes: [Making; 5] = [
        ("a link", |host| {
            host.folder("elsewhere").link_text("run/automdev", "../elsewhere");
        }),
        ("a file", |host| {
            host.file("run/automdev", "");
        }),
        ("of a mode too wide", |host| {
            host.ledger_folder(0o755);
        }),
        ("written by its group", |host| {
            host.ledger_folder(0o770);
        }),
        ("with a part that is a link", |host| {
            host.ledger_folder(0o700)
                .folder("elsewhere")
                .link_text("run/automdev/claims", "../../elsewhere");
        }),
    ];
    for (told, make) in makes {
        let (host, vm, _) = two();
        make(&host);
        let before = host.state();
        let answer = host.prepare(&vm);
        let path = host.at("run/automdev");
        let part = if told.contains("part") {
            path.join("claims")
        } else {
            path
        };
        answer.refused(&format!(
            "vm1: {} is not safe: it must be a folder of the user who runs automdev, with mode 0700",
            part.display()
        ));
        before.assert_unchanged(&host.state());
        assert!(!host.at(format!("elsewhere/{A}")).exists(), "{told}");
    }
}

/// Nor is it believed at a stop.
#[test]
fn the_ledgers_folder_at_a_release() {
    let (host, vm, _) = two();
    host.prepare(&vm).done();
    let path = host.at("run/automdev");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("its mode");
    let state = host.state();
    host.release(&vm).refused(&format!(
        "vm1: {} is not safe: it must be a folder of the user who runs automdev, with mode 0700",
        path.display()
    ));
    state.assert_unchanged(&host.state());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("its mode");
    host.release(&vm).done();
    host.assert_ledger_empty();
}

#[test]
fn a_folder_of_somebody_else() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("only root can make a folder of somebody else's");
        return;
    }
    let (host, vm, _) = two();
    host.ledger_folder(0o700);
    std::os::unix::fs::chown(host.at("run/automdev"), Some(65534), Some(65534)).expect("root may");
    assert!(!host.prepare(&vm).succeeded());
    assert!(host.devices().is_empty());
}

/// Leaves the domain's one device half made: its record does not know its folder.
#[track_caller]
fn die_half_way(host: &Host, vm: &Domain) {
    host.prepare(vm).done();
    let log = host.kernel().log();
    let made = log
        .iter()
        .position(|line| line.contains("/create "))
        .expect("it is made");
    host.release(vm).done();
    host.prepare_with(made as u64 + 1, FaultKind::KillAfter, vm)
        .killed();
}

/// What cannot be told is not taken for gone: nobody would remove it any more.
#[test]
fn a_device_that_cannot_be_looked_at_keeps_its_record() {
    let host = Host::new();
    host.timeouts("retry = 0")
        .mtty()
        .definition("mtty", A, "mtty-2", &[]);
    let (vm, before) = (Domain::new("vm1", 1).with(A), host.state());
    die_half_way(&host, &vm);
    let link = host.at(format!("sys/class/mdev_bus/mtty/{A}/mdev_type"));
    let target = fs::read_link(&link).expect("a link");
    fs::remove_file(&link).expect("a link");
    fs::write(&link, "").expect("a file");
    let why = "Invalid argument (os error 22)";
    host.release(&vm)
        .refused(&format!("vm1: cannot tell whether {A} on mtty is there: {why}"));
    assert_eq!(host.ledger().last(), Some(&format!("devices/{A} creating")));
    host.reconcile(&["--dry-run"]).printed(
        1,
        &[&format!(
            "kept {A} (mtty-2 on mtty): vm1 is gone, but it cannot be told whether the device is there: {why}"
        )],
    );
    fs::remove_file(&link).expect("a file");
    std::os::unix::fs::symlink(target, &link).expect("a link");
    // Neither can the folder itself be looked at.
    let parent = host.at("sys/class/mdev_bus/mtty");
    let target = fs::read_link(&parent).expect("a link");
    fs::remove_file(&parent).expect("a link");
    std::os::unix::fs::symlink("mtty", &parent).expect("a link");
    let why = "Too many levels of symbolic links (os error 40)";
    host.release(&vm)
        .refused(&format!("vm1: cannot tell whether {A} on mtty is there: {why}"));
    fs::remove_file(&parent).expect("a link");
    std::os::unix::fs::symlink(target, &parent).expect("a link");
    host.release(&vm).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// Nor is one on its way out, for which its user is waited.
#[test]
fn a_half_made_device_on_its_way_out_keeps_its_record() {
    let host = Host::new();
    host.timeouts("retry = 0\nidle = 0.1")
        .mtty()
        .definition("mtty", A, "mtty-2", &[]);
    host.process(4711, "qemu-system-x86", &["qemu-system-x86_64"], 9);
    let (vm, before) = (Domain::new("vm1", 1).with(A), host.state());
    die_half_way(&host, &vm);
    host.open_device(4711, A);
    let target = Target {
        folder: &host.at(format!("sys/bus/mdev/devices/{A}")),
        file: "remove",
        inode: None,
        keep: None,
    };
    let removed = host.kernel().react(target, b"1", Deadline::now());
    assert_eq!(removed, Err(WriteError::TimedOut));
    host.release(&vm).refused(&format!(
        "vm1: {A} on mtty is still on its way out: something holds it open"
    ));
    assert_eq!(host.ledger().last(), Some(&format!("devices/{A} removing")));
    host.close_devices(4711);
    host.release(&vm).done();
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}
