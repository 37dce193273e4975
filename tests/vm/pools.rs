//! Pools on real hosts: the kernel's own counts, its own refusals, libvirt's own XML.

mod itself;
mod many;
mod swap;

use crate::support::{DomainXml, Host, Virsh, files, hook, virsh, virsh_fails};

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
