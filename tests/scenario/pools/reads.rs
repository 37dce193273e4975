//! What the program asks the drivers when it chooses a place: what it needs, and that once.

use super::*;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;

use crate::hook::host::spawn;

/// The counts that a plan reads, as the kernel sees it: `PARENT TYPE`, sorted.
fn counts_read(host: &Host, domain: &Domain) -> Vec<String> {
    let trace = std::env::temp_dir().join(format!("automdev-reads-{}-{}", std::process::id(), domain.name));
    let mut command = Command::new("strace");
    command
        .args(["-f", "-y", "-qq", "-e", "trace=openat", "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_automdev"))
        .arg("--root")
        .arg(host.path())
        .arg("plan");
    let child = spawn(&mut command, domain.xml().as_bytes());
    let output = child
        .wait_with_output()
        .expect("strace is installed, as `cargo xtask test` sees to");
    let lines = fs::read_to_string(&trace).expect("what strace saw");
    drop(fs::remove_file(&trace));
    assert!(
        output.status.code().is_some_and(|code| [0, 3].contains(&code)),
        "{output:?}"
    );
    let mut read: Vec<String> = lines
        .lines()
        .filter(|line| line.contains("/available_instances\""))
        .map(|line| {
            // openat(3</…/PARENT/mdev_supported_types>, "TYPE/available_instances", …
            let (folder, rest) = line
                .split_once("/mdev_supported_types>, \"")
                .expect("below a parent's types");
            let (_, parent) = folder.rsplit_once('/').expect("a folder");
            let (mdev_type, _) = rest.split_once('/').expect("a type");
            format!("{parent} {mdev_type}")
        })
        .collect();
    read.sort();
    read
}

fn three() -> Host {
    let host = Host::new();
    host.ports("a", 8).ports("b", 8).ports("c", 8);
    host
}

#[test]
fn in_the_files_order_the_first_that_has_room_is_the_last_that_is_asked() {
    let host = three();
    host.pool("p", &of_type("mtty-1"));
    assert_eq!(counts_read(&host, &vm(1, &["p"])), ["a mtty-1"]);
    host.ports("d", 0).pool(
        "q",
        "[[member]]\ntype = 'mtty-1'\nparents = ['d', 'b', 'a']\n[[member]]\ntype = 'mtty-2'\n",
    );
    assert_eq!(counts_read(&host, &vm(2, &["q", "q"])), ["b mtty-1", "d mtty-1"]);
}

#[test]
fn where_all_have_to_be_compared_each_is_asked_once() {
    let host = three();
    let members = [of_type("mtty-1"), of_type("mtty-2"), of_type("mtty-1")].concat();
    host.pool("pack", &format!("placement = 'pack'\n{members}"))
        .pool("spread", &format!("placement = 'spread'\n{members}"));
    let all = [
        "a mtty-1", "a mtty-2", "b mtty-1", "b mtty-2", "c mtty-1", "c mtty-2",
    ];
    assert_eq!(counts_read(&host, &vm(1, &["pack"])), all);
    assert_eq!(
        counts_read(&host, &vm(2, &["pack", "spread", "pack", "spread"])),
        all
    );
}

#[test]
fn what_is_out_or_far_away_is_not_asked() {
    let host = three();
    for (parent, node) in [("a", 0), ("b", 1), ("c", 1)] {
        host.file(
            &format!("sys/class/mdev_bus/{parent}/numa_node"),
            &format!("{node}\n"),
        );
    }
    let tuned = |number, pool| {
        let memory = "  <numatune>\n    <memory mode='strict' nodeset='1'/>\n  </numatune>\n";
        vm(number, &[pool]).tuned(memory)
    };
    for numa in ["prefer", "require"] {
        host.pool(
            numa,
            &format!("placement = 'pack'\nnuma = '{numa}'\n{}", of_type("mtty-1")),
        );
    }
    assert_eq!(counts_read(&host, &tuned(1, "prefer")), ["b mtty-1", "c mtty-1"]);
    assert_eq!(counts_read(&host, &tuned(2, "require")), ["b mtty-1", "c mtty-1"]);
    host.file("etc/automdev/automdev.toml", "cordon = ['b']\n");
    assert_eq!(counts_read(&host, &tuned(3, "require")), ["c mtty-1"]);
}

/// A driver that does not answer costs its time once, and nobody else's places.
#[test]
fn one_that_is_silent_is_passed_over() {
    let host = three();
    let silent = host.at("sys/class/mdev_bus/b/mdev_supported_types/mtty-2/available_instances");
    fs::remove_file(&silent).expect("it is there");
    // A pipe that nobody writes to blocks whoever opens it, as a driver would.
    nix::unistd::mkfifo(&silent, Mode::S_IRWXU).expect("a pipe");
    let members = [of_type("mtty-1"), of_type("mtty-2")].concat();
    host.pool("p", &format!("placement = 'spread'\n{members}"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_automdev"));
    command.arg("--root").arg(host.path()).arg("plan");
    let begun = Instant::now();
    let child = spawn(&mut command, vm(1, &["p", "p", "p"]).xml().as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let took = begun.elapsed();
    // Lets go of the one that is stuck there.
    drop(fs::OpenOptions::new().read(true).write(true).open(&silent));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let places: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("create")?.rsplit_once("  "))
        .map(|(_, place)| place)
        .collect();
    assert_eq!(places, ["mtty-1 on a", "mtty-1 on c", "mtty-1 on a"], "{text}");
    assert!(took < Duration::from_secs(8), "{took:?}");
}
