//! Pools on real hosts: the kernel's own counts, its own refusals, libvirt's own XML.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{A, B, C, Definition, DomainXml, Host, Virsh, files, hook, virsh, virsh_fails};

/// A device of the domain of that number.
fn device(number: usize, which: usize) -> &'static str {
    format!("b0000000-0000-4000-8000-{number:06}00{which:04}").leak()
}

fn domain(number: usize, pools: &[&'static str]) -> DomainXml {
    let name: &'static str = format!("pooled{number}").leak();
    let devices = pools.iter().enumerate();
    devices.fold(DomainXml::new(name), |domain, (which, pool)| {
        domain.of_pool(device(number, which), pool)
    })
}

/// As libvirt passes it on.
fn printed(number: usize, pools: &[&'static str]) -> (String, String) {
    let domain = domain(number, pools);
    (domain.name.to_owned(), domain.printed())
}

/// The same XML on a host whose pool is one thing, then on one whose pool is another.
#[test]
fn one_xml_fits_hosts_that_differ() {
    let host = Host::new();
    let domain = domain(1, &["any"]);
    host.pool(
        "any",
        "[[member]]\ntype = 'mtty-2'\nattributes = [['power/control', 'on']]\n",
    );
    domain.define();
    virsh(&["start", domain.name]);
    host.assert_device(device(1, 0), "mtty", "mtty-2");
    assert!(files::holds_open(
        files::qemu_pid(domain.name),
        "mtty",
        device(1, 0)
    ));
    virsh(&["destroy", domain.name]);
    host.assert_clean();
    host.pool(
        "any",
        "[[member]]\ntype = 'nvidia-63'\n[[member]]\ntype = 'mdpy-vga'\n",
    );
    virsh(&["start", domain.name]);
    host.assert_device(device(1, 0), "mdpy", "mdpy-vga");
    virsh(&["destroy", domain.name]);
    host.assert_clean();
    std::fs::remove_file("/etc/automdev/pools.d/any.toml").expect("a pool");
    let complaint = virsh_fails(&["start", domain.name]);
    assert!(
        complaint.contains(&format!(
            "automdev: {}: cannot create {}: this host has no pool any; describe it in /etc/automdev/pools.d/any.toml",
            domain.name,
            device(1, 0)
        )),
        "{complaint}"
    );
    host.assert_clean();
}

/// mdpy has 4 places, mbochs 4 large ones, mtty 24: which of them comes first is the pool's to say.
#[test]
fn order_pack_and_spread() {
    let host = Host::without_libvirt();
    let members =
        ["mdpy-vga", "mtty-1", "mbochs-large"].map(|of| format!("[[member]]\ntype = '{of}'\nlimit = 1\n"));
    let members = members.concat();
    for (placement, expected) in [
        (
            "order",
            [
                ("mdpy", "mdpy-vga"),
                ("mtty", "mtty-1"),
                ("mbochs", "mbochs-large"),
            ],
        ),
        // Of two with 4 places each the first by its name.
        (
            "pack",
            [
                ("mbochs", "mbochs-large"),
                ("mdpy", "mdpy-vga"),
                ("mtty", "mtty-1"),
            ],
        ),
        (
            "spread",
            [
                ("mtty", "mtty-1"),
                ("mbochs", "mbochs-large"),
                ("mdpy", "mdpy-vga"),
            ],
        ),
    ] {
        host.pool("all", &format!("placement = '{placement}'\n{members}"));
        let (name, xml) = printed(2, &["all", "all", "all"]);
        hook(&name, "prepare begin", &xml).assert_fine();
        for (which, (parent, mdev_type)) in expected.into_iter().enumerate() {
            host.assert_device(device(2, which), parent, mdev_type);
        }
        hook(&name, "prepare begin", &xml).assert_fine();
        hook(&name, "release end", &xml).assert_fine();
        host.assert_clean();
    }
}

/// 256 MB in all: three of 64 and one of 16 leave no room for a fourth of 64, which every count still promises.
#[test]
fn what_shares_room_goes_elsewhere_when_the_kernel_says_so() {
    let host = Host::without_libvirt();
    host.pool("large", "[[member]]\ntype = 'mbochs-large'\n");
    host.pool(
        "medium",
        "[[member]]\ntype = 'mbochs-medium'\n[[member]]\ntype = 'mdpy-xga'\n",
    );
    let (name, xml) = printed(3, &["medium", "large", "large", "large", "large"]);
    hook(&name, "prepare begin", &xml).assert_fine();
    host.assert_device(device(3, 0), "mdpy", "mdpy-xga");
    for which in 1..5 {
        host.assert_device(device(3, which), "mbochs", "mbochs-large");
    }
    hook(&name, "release end", &xml).assert_fine();
    host.assert_clean();
    // Nowhere else: refused, with the kernel's word, and all undone.
    host.pool("medium", "[[member]]\ntype = 'mbochs-medium'\n");
    let refused = hook(&name, "prepare begin", &xml);
    assert_eq!(refused.status, Some(1));
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("refused by the kernel: No space left on device"),
        "{}",
        refused.stderr
    );
    hook(&name, "release end", &xml).assert_fine();
    host.assert_clean();
}

fn start(name: &str, operation: &[&str; 2], xml: &str) -> Child {
    use std::io::Write as _;
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
    const DOMAINS: usize = 60;
    let host = Host::without_libvirt();
    host.settings("[timeouts]\nhook = 1200\nclaim = 600\nparent = 0\nparent_at_boot = 0\n");
    host.pool(
        "small",
        "placement = 'pack'\n[[member]]\ntype = 'mtty-1'\n[[member]]\ntype = 'mbochs-medium'\n",
    );
    host.pool(
        "large",
        "placement = 'spread'\n[[member]]\ntype = 'mtty-2'\n[[member]]\ntype = 'mbochs-large'\n[[member]]\ntype = 'mdpy-hd'\n",
    );
    let pools = |number: usize| -> &[&'static str] {
        match number % 4 {
            0 => &["large"],
            1 => &["small"],
            2 => &["large", "small"],
            _ => &["small", "small"],
        }
    };
    // As libvirt would print it; to ask it 60 times would take an hour here.
    let domains: Vec<(&str, String)> = (0..DOMAINS)
        .map(|number| {
            let domain = domain(number, pools(number));
            (domain.name, domain.xml())
        })
        .collect();
    let all = |operation: &[&str; 2]| -> Vec<bool> {
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
    let started = all(&["prepare", "begin"]);
    let wanted: usize = (0..DOMAINS)
        .filter(|number| started[*number])
        .map(|number| pools(number).len())
        .sum();
    assert_eq!(files::active().len(), wanted, "{started:?}");
    let mut refused = 0;
    for (number, (name, xml)) in domains.iter().enumerate() {
        if !started[number] {
            refused += 1;
            let again = hook(name, "prepare begin", xml);
            assert_eq!(
                again.status,
                Some(1),
                "{name} was refused, and fits: {:?}",
                files::counts()
            );
        }
    }
    assert!(refused > 0 && refused < DOMAINS, "{refused} refused");
    assert!(all(&["release", "end"]).into_iter().all(|went_well| went_well));
    host.assert_clean();
}

/// Two that were made beforehand fill their parent. One makes way for the domain's own and comes back, also when the
/// hook is killed at any moment.
#[test]
fn a_device_makes_way_and_comes_back() {
    let host = Host::without_libvirt();
    host.settings("[timeouts]\nclaim = 0\n");
    for uuid in [A, B, C] {
        host.define(
            uuid,
            &Definition {
                parent: "mbochs",
                mdev_type: "mbochs-large",
                attributes: &[("power/control", "on")],
            },
        );
    }
    let fourth = "dddddddd-0000-4000-8000-000000000004";
    for uuid in [A, B, C, fourth] {
        host.create_by_hand("mbochs", "mbochs-large", uuid);
    }
    let full = files::counts();
    host.pool("idle", &format!("[[member]]\ndevice = '{A}'\nreplace = true\n"));
    let (name, xml) = printed(4, &["idle"]);
    let own = device(4, 0);
    let is_back = |told: &str| {
        for uuid in [A, B, C, fourth] {
            host.assert_device(uuid, "mbochs", "mbochs-large");
        }
        assert_eq!(
            (files::counts(), files::ledger()),
            (full.clone(), Vec::new()),
            "{told}"
        );
    };
    let inode = files::inode("mbochs", A);
    hook(&name, "prepare begin", &xml).assert_fine();
    host.assert_device(own, "mbochs", "mbochs-large");
    host.assert_no_device(A);
    hook(&name, "release end", &xml).assert_fine();
    is_back("released");
    assert_ne!(files::inode("mbochs", A), inode, "made anew");
    for delay in (0..400).step_by(20) {
        for operation in [["prepare", "begin"], ["release", "end"]] {
            let mut child = start(&name, &operation, &xml);
            std::thread::sleep(Duration::from_millis(delay));
            // It may be over by now.
            drop(child.kill());
            child.wait().expect("it ends");
        }
        hook(&name, "release end", &xml).assert_fine();
        is_back(&format!("killed after {delay} ms"));
        let mut child = start(&name, &["prepare", "begin"], &xml);
        std::thread::sleep(Duration::from_millis(delay));
        drop(child.kill());
        child.wait().expect("it ends");
        hook(&name, "prepare begin", &xml).assert_fine();
        host.assert_device(own, "mbochs", "mbochs-large");
        hook(&name, "release end", &xml).assert_fine();
        is_back(&format!("killed after {delay} ms, and started again"));
    }
    for uuid in [A, B, C, fourth] {
        host.remove_by_hand(uuid);
    }
    host.assert_clean();
}
