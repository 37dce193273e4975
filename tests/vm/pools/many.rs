//! Many starts at once.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use super::{device, domain};
use crate::support::{Host, files, hook};

const DOMAINS: usize = 60;

/// No more than so many of the small ones on mtty.
const LIMIT: usize = 9;

fn pools(number: usize) -> &'static [&'static str] {
    match number % 4 {
        0 => &["large"],
        1 => &["small"],
        2 => &["large", "small"],
        _ => &["small", "small"],
    }
}

/// The parents and types of a pool.
fn members(pool: &str) -> &'static [(&'static str, &'static str)] {
    match pool {
        "small" => &[("mtty", "mtty-1"), ("mbochs", "mbochs-medium")],
        _ => &[
            ("mtty", "mtty-2"),
            ("mbochs", "mbochs-large"),
            ("mdpy", "mdpy-hd"),
        ],
    }
}

/// Whether these fit into what is left: each way is tried at the kernel itself, without automdev.
fn fits(host: &Host, pools: &[&str]) -> bool {
    let Some((first, rest)) = pools.split_first() else {
        return true;
    };
    let uuid = device(DOMAINS, rest.len());
    members(first).iter().any(|(parent, mdev_type)| {
        if *mdev_type == "mtty-1" && files::of_type(parent, mdev_type).len() >= LIMIT {
            return false;
        }
        let is_made = host.try_by_hand(parent, mdev_type, uuid).is_ok();
        let fits = is_made && fits(host, rest);
        if is_made {
            host.remove_by_hand(uuid);
        }
        fits
    })
}

fn start(name: &str, operation: [&str; 2], xml: &str) -> Child {
    let mut child = Command::new("/usr/bin/automdev")
        .args(["hook", name, operation[0], operation[1], "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(xml.as_bytes()).expect("small enough for a pipe");
    child
}

/// 60 domains of mixed sizes at once: never one too many, and nobody refused who would fit into what is left.
#[test]
fn sixty_at_once_against_pools_that_hold_fewer() {
    let host = Host::without_libvirt();
    // So many at once on a slow host: a driver may take its time.
    host.settings("[timeouts]\nhook = 1200\nwrite = 600\nclaim = 600\nparent = 0\nparent_at_boot = 0\n");
    for (name, placement) in [("small", "pack"), ("large", "spread")] {
        let members = members(name).iter().map(|(_, mdev_type)| {
            let limit = if *mdev_type == "mtty-1" {
                format!("limit = {LIMIT}\n")
            } else {
                String::new()
            };
            format!("[[member]]\ntype = '{mdev_type}'\n{limit}")
        });
        let members: String = members.collect();
        host.pool(name, &format!("placement = '{placement}'\n{members}"));
    }
    // As libvirt would print it; to ask it 60 times would take an hour here.
    let domains: Vec<(&str, String)> = (0..DOMAINS)
        .map(|number| {
            let domain = domain(number, pools(number));
            (domain.name, domain.xml())
        })
        .collect();
    let all = |operation: [&str; 2]| -> Vec<bool> {
        let children: Vec<Child> = domains
            .iter()
            .map(|(name, xml)| start(name, operation, xml))
            .collect();
        children
            .into_iter()
            .map(|child| {
                let output = child.wait_with_output().expect("it ends");
                let stderr = String::from_utf8(output.stderr).expect("UTF-8");
                match output.status.code() {
                    Some(0) => assert_eq!(stderr, ""),
                    Some(1) => assert_eq!(stderr.lines().count(), 1, "{stderr}"),
                    other => panic!("{other:?} {stderr}"),
                }
                output.status.success()
            })
            .collect()
    };
    let started = all(["prepare", "begin"]);
    let wanted: usize = (0..DOMAINS)
        .filter(|number| started[*number])
        .map(|number| pools(number).len())
        .sum();
    assert_eq!(files::active().len(), wanted, "{started:?}");
    assert!(files::of_type("mtty", "mtty-1").len() <= LIMIT);
    let refused: Vec<usize> = (0..DOMAINS).filter(|number| !started[*number]).collect();
    assert!(!refused.is_empty() && refused.len() < DOMAINS, "{started:?}");
    println!(
        "{wanted} devices for {} domains, {} refused; left: {:?}",
        DOMAINS - refused.len(),
        refused.len(),
        files::counts()
    );
    for kind in 0..4 {
        if refused.iter().any(|number| number % 4 == kind) {
            let pools = pools(kind);
            assert!(!fits(&host, pools), "{pools:?} fits: {:?}", files::counts());
        }
    }
    for number in refused {
        let (name, xml) = &domains[number];
        let again = hook(name, "prepare begin", xml);
        assert_eq!(again.status, Some(1), "{name} was refused, and fits");
    }
    assert!(all(["release", "end"]).into_iter().all(|went_well| went_well));
    host.assert_clean();
}
