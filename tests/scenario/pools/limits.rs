//! What keeps a place from being taken: limits and cordons.

use super::*;

#[test]
fn no_more_than_the_limit() {
    let host = Host::new();
    host.ports("a", 8)
        .pool("p", "[[member]]\ntype = 'mtty-1'\nlimit = 2\n");
    let before = host.state();
    assert_eq!(start(&host, 1, &["p", "p"]), ["mtty-1 a", "mtty-1 a"]);
    let refused = |number: u32, pools: &[&str], which: u32| {
        host.prepare(&vm(number, pools)).refused(&format!(
            "vm{number}: cannot create {}: pool p has no place for it: mtty-1 (a its limit of 2 is reached); stop a \
             domain that uses the pool (automdev pools p lists them), or give it another member",
            device(number * 16 + which)
        ));
    };
    refused(2, &["p"], 0);
    // What is no pool's does not count.
    host.definition("a", &device(999), "mtty-1", &[]);
    host.prepare(&Domain::new("plain", 9).with(&device(999))).done();
    host.pool("q", &of_type("mtty-1"));
    assert_eq!(start(&host, 3, &["q"]), ["mtty-1 a"]);
    // Nor does what has gone.
    host.release(&vm(1, &["p", "p"])).done();
    assert_eq!(start(&host, 2, &["p"]), ["mtty-1 a"]);
    refused(4, &["p", "p"], 1);
    assert_eq!(start(&host, 4, &["p"]), ["mtty-1 a"]);
    for (number, pool) in [(2, "p"), (3, "q"), (4, "p")] {
        host.release(&vm(number, &[pool])).done();
    }
    host.release(&Domain::new("plain", 9).with(&device(999))).done();
    fs::remove_file(host.at("etc/automdev/pools.d/q.toml")).expect("a pool");
    fs::remove_file(host.at(format!("etc/mdevctl.d/a/{}", device(999)))).expect("a definition");
    fs::remove_dir(host.at("etc/mdevctl.d/a")).expect("an empty folder");
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

/// A start that died on its way holds no part of the limit for ever.
#[test]
fn what_a_crash_left_counts_only_while_it_is_there() {
    let host = Host::new();
    host.timeouts("claim = 0");
    host.ports("a", 8)
        .pool("p", "[[member]]\ntype = 'mtty-1'\nlimit = 1\n");
    host.kernel().reset();
    host.prepare(&vm(1, &["p"])).done();
    let made = host
        .kernel()
        .log()
        .iter()
        .position(|line| line.contains("/create "))
        .expect("made");
    host.release(&vm(1, &["p"])).done();
    host.prepare_with(made as u64 + 1, FaultKind::KillBefore, &vm(1, &["p"]))
        .killed();
    assert_eq!(start(&host, 2, &["p"]), ["mtty-1 a"]);
    host.release(&vm(2, &["p"])).done();
    // What the domain may claim is noted already, which is one step less.
    host.prepare_with(made as u64, FaultKind::KillAfter, &vm(1, &["p"]))
        .killed();
    assert!(!host.prepare(&vm(2, &["p"])).succeeded());
    host.release(&vm(1, &["p"])).done();
    assert_eq!(start(&host, 2, &["p"]), ["mtty-1 a"]);
}

/// Nothing new is made there, by a pool or by a definition; what is there is used as ever.
#[test]
fn nothing_new_on_a_cordoned_parent() {
    let host = Host::new();
    host.ports("a", 8).ports("b", 8).pool("p", &of_type("mtty-1"));
    host.definition("a", &device(999), "mtty-1", &[]);
    assert_eq!(start(&host, 1, &["p"]), ["mtty-1 a"]);
    host.file("etc/automdev/automdev.toml", "cordon = ['a']\n");
    assert_eq!(start(&host, 1, &["p"]), ["mtty-1 a"]);
    assert_eq!(start(&host, 2, &["p"]), ["mtty-1 b"]);
    host.prepare(&Domain::new("plain", 9).with(&device(999))).refused(&format!(
        "plain: cannot create {} (mtty-1 on a): a is cordoned in /etc/automdev/automdev.toml; take it out there, or \
         move the definition to another parent",
        device(999)
    ));
    host.active("a", "mtty-1", &device(999));
    host.prepare(&Domain::new("plain", 9).with(&device(999))).done();
    host.file("etc/automdev/automdev.toml", "cordon = ['*']\n");
    host.prepare(&vm(3, &["p"])).refused(&format!(
        "vm3: cannot create {}: pool p has no place for it: mtty-1 (a, b cordoned); give it a member that can be had \
         here (/etc/automdev/pools.d/p.toml)",
        device(48)
    ));
}

/// Nor is one forgotten whose driver is still at it, though its start was given up.
#[test]
fn what_is_still_to_come_counts() {
    let host = Host::new();
    host.timeouts("idle = 0.1\nclaim = 0\nwrite = 0.2\nhook = 5\nretry = 0");
    host.ports("a", 8)
        .ports("b", 8)
        .pool("p", "[[member]]\ntype = 'mtty-1'\nlimit = 1\n");
    let create = "a/mdev_supported_types/mtty-1/create".to_owned();
    host.kernel().configure(|config| config.blocked.push(create));
    assert!(!host.prepare(&vm(1, &["p"])).succeeded());
    let answer = host.prepare(&vm(2, &["p"]));
    assert!(answer.stderr.contains("its limit of 1 is reached"), "{answer:?}");
    assert!(host.devices().is_empty());
}
