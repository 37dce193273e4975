//! Many wrappers at once, for less room than they want.

use std::fs::OpenOptions;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::device;
use super::host::{Host, Running, eventually};

/// Notes that it runs, and waits for the gate to be opened.
const HOLDER: &str = "echo $$ > $ROOT/ran/$$; : < $ROOT/gate";

#[test]
fn of_fifty_for_24_ports_24_run_and_none_is_left() {
    let host = Host::new();
    // It is the room that is tried here, not the patience.
    host.file("etc/automdev/automdev.toml", "[timeouts]\nhook = 600\n");
    host.folder("ran");
    mkfifo(&host.at("gate"), Mode::S_IRWXU).expect("a pipe with a name");
    let uuids: Vec<String> = (0..50)
        .map(|number| format!("f0000000-0000-4000-8000-{number:012}"))
        .collect();
    for uuid in &uuids {
        host.definition("mtty", uuid, "mtty-1", &[]);
    }
    let qemu = host.qemu(HOLDER);
    let mut all: Vec<Running> = uuids
        .iter()
        .map(|uuid| {
            Running::of(
                host.command()
                    .arg("--")
                    .arg(&qemu)
                    .args(["-device", &device(uuid)]),
            )
        })
        .collect();
    eventually("each runs or is refused", || {
        let over: usize = all
            .iter_mut()
            .map(|running| usize::from(running.has_ended()))
            .sum();
        over + host.names("ran").len() == 50
    });
    assert_eq!(host.names("ran").len(), 24);
    assert_eq!(host.devices().len(), 24);
    let gate = OpenOptions::new().read(true).write(true).open(host.at("gate"));
    let mut refused = 0;
    for running in all {
        let answer = running.end();
        if answer.status == Some(125) {
            refused += 1;
            assert!(
                answer.stderr.starts_with("automdev: cannot create f0000000-")
                    && answer.stderr.lines().count() == 1,
                "{answer:?}"
            );
        } else {
            answer.ended(0);
        }
    }
    assert_eq!(refused, 26);
    drop(gate);
    host.assert_clean();
}
