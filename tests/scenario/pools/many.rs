//! Many starts at once.

use super::*;
use crate::hook::host::Answer;

/// 60 domains of two sizes and 48 ports on three parents: as many start as fit, and no one is refused who would have
/// fitted into what is left.
#[test]
fn sixty_at_once_against_a_pool_that_holds_fewer() {
    const DOMAINS: u32 = 60;
    let host = Host::new();
    host.timeouts("hook = 300\nclaim = 200");
    host.ports("a", 24).ports("b", 15).ports("c", 9);
    for (name, mdev_type) in [("small", "mtty-1"), ("large", "mtty-2")] {
        host.pool(name, &format!("placement = 'spread'\n{}", of_type(mdev_type)));
    }
    let pools = |number: u32| match number % 4 {
        0 => &["large"][..],
        1 => &["small"],
        2 => &["large", "small"],
        _ => &["small", "small"],
    };
    let domains: Vec<Domain> = (0..DOMAINS).map(|number| vm(number, pools(number))).collect();
    let before = host.state();
    let call = |operation: &str, end: &str| -> Vec<bool> {
        let children: Vec<_> = domains
            .iter()
            .map(|vm| host.start(&[vm.name.as_str(), operation, end, "-"], vm.xml().as_bytes()))
            .collect();
        let answers = children.into_iter().map(|child| host.finish(child));
        answers.map(Answer::succeeded).collect()
    };
    let started = call("prepare", "begin");
    let ports = |wanted: &[&str]| -> u32 {
        wanted
            .iter()
            .map(|pool| if *pool == "large" { 2 } else { 1 })
            .sum()
    };
    let running: u32 = (0..DOMAINS)
        .zip(&started)
        .filter(|(_, started)| **started)
        .map(|(number, _)| ports(pools(number)))
        .sum();
    assert!(running <= 48, "{running} ports");
    let there: u32 = host
        .devices()
        .iter()
        .map(|line| if line.contains("mtty-2") { 2 } else { 1 })
        .sum();
    assert_eq!(there, running, "none too many, none too few");
    // One after the other now, with nobody else about: who was refused still is.
    let refused: Vec<u32> = (0..DOMAINS)
        .zip(&started)
        .filter(|(_, started)| !**started)
        .map(|(number, _)| number)
        .collect();
    assert!(!refused.is_empty());
    println!("{running} of 48 ports taken, {} refused", refused.len());
    for number in refused {
        assert!(
            !host.prepare(&vm(number, pools(number))).succeeded(),
            "vm{number}, {:?}, was refused and fits: {:?}",
            pools(number),
            host.devices()
        );
    }
    assert!(call("release", "end").iter().all(|went_well| *went_well));
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}
