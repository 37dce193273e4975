//! Files that are no pools, and pools that are not there.

use super::*;

fn refused(host: &Host, pool: &str, reason: &str) {
    host.prepare(&vm(1, &[pool]))
        .refused(&format!("vm1: cannot create {}: {reason}", device(16)));
}

#[test]
fn a_broken_file_is_told_with_its_place() {
    let host = Host::new();
    host.ports("a", 4).pool("good", &of_type("mtty-1"));
    for (text, why) in [
        ("", "line 1, column 1: the pool has no [[member]]"),
        (
            "[[member]]\ntype = 'mtty-1'\nlimits = 1\n",
            "line 3, column 1: there is no key limits (did you mean limit?); there are type, definition, device, parents, attributes, limit, replace",
        ),
        (
            "[[member]]\ntype = '../x'\n",
            "line 2, column 8: \"../x\" is not a type's name: a slash may not be in it",
        ),
        (
            "[[member]]\ntype = 'mtty-1'\nparents = ['[a']\n",
            "line 3, column 11: \"[a\" is not a pattern: a [ is not closed by a ]",
        ),
        ("\u{1b}[31m", "line 1, column 2: "),
    ] {
        host.pool("bad", text);
        let answer = host.prepare(&vm(1, &["bad"]));
        let start = format!(
            "automdev: vm1: cannot create {}: its pool cannot be used: /etc/automdev/pools.d/bad.toml: {why}",
            device(16)
        );
        assert!(answer.stderr.starts_with(&start), "{}", answer.stderr);
        assert!(answer.stderr.ends_with("; mend the file\n"), "{}", answer.stderr);
        assert!(!answer.stderr.contains('\u{1b}'));
        assert!(!answer.succeeded());
        // It harms nobody else.
        assert_eq!(start_and_stop(&host), ["mtty-1 a"]);
    }
    host.assert_ledger_empty();
}

fn start_and_stop(host: &Host) -> Vec<String> {
    let places = start(host, 2, &["good"]);
    host.release(&vm(2, &["good"])).done();
    places
}

#[test]
fn what_is_no_file_of_text() {
    let host = Host::new();
    host.ports("a", 4);
    host.folder("etc/automdev/pools.d/folder.toml");
    refused(
        &host,
        "folder",
        "its pool cannot be used: /etc/automdev/pools.d/folder.toml cannot be read: it is not a file; mend the file",
    );
    fs::write(
        host.at("etc/automdev/pools.d/bytes.toml"),
        b"# \xff\n[[member]]\n",
    )
    .expect("a file");
    refused(
        &host,
        "bytes",
        "its pool cannot be used: /etc/automdev/pools.d/bytes.toml: line 1, column 3: the file is not UTF-8; mend the \
         file",
    );
    host.pool("long", &"#".repeat((1 << 20) + 1));
    refused(
        &host,
        "long",
        "its pool cannot be used: /etc/automdev/pools.d/long.toml cannot be read: it is larger than 1048576 bytes; \
         mend the file",
    );
}

#[test]
fn a_pool_that_is_not_there() {
    let host = Host::new();
    host.ports("a", 4).pool("vgpu-4g", &of_type("mtty-1"));
    refused(
        &host,
        "vgpu-8g",
        "this host has no pool vgpu-8g (did you mean vgpu-4g?); describe it in /etc/automdev/pools.d/vgpu-8g.toml",
    );
    let xml = vm(1, &["x"]).xml().replace("pool=\"x\"", "pool=\"../x\"");
    let answer = host.event("vm1", "prepare", "begin", &xml);
    assert!(
        answer
            .stderr
            .contains("\"../x\" is not a pool's name: a slash may not be in it"),
        "{}",
        answer.stderr
    );
}

/// A driver may still come, so that is waited for first; then it is told.
#[test]
fn patterns_that_mean_nothing_here() {
    let host = Host::new();
    host.timeouts("parent = 0.05");
    host.ports("a", 4);
    host.pool(
        "p",
        "[[member]]\ntype = 'mtty-1'\nparents = ['0000:41:*']\n[[member]]\ntype = 'nvidia-63'\n",
    );
    refused(
        &host,
        "p",
        "pool p has no place for it: mtty-1 on 0000:41:* (/etc/automdev/pools.d/p.toml: line 3, column 12: 0000:41:* \
         means no parent of this host), nvidia-63 (no parent offers it); give it a member that can be had here \
         (/etc/automdev/pools.d/p.toml)",
    );
    // One that comes late is found.
    host.timeouts("parent = 20");
    let domain = vm(1, &["p"]);
    let child = host.start(&["vm1", "prepare", "begin", "-"], domain.xml().as_bytes());
    std::thread::sleep(std::time::Duration::from_millis(300));
    host.ports("0000:41:00.0", 4);
    host.finish(child).done();
    assert_eq!(places(&host, 1), ["mtty-1 0000:41:00.0"]);
}

/// A definition that is missing or broken, a device that is not there, a model that does not fit: each is told of its
/// member, and another member is taken where there is one.
#[test]
fn each_member_says_why_not() {
    const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
    const B: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
    let host = Host::new();
    host.timeouts("parent = 0");
    host.ports("a", 1).matrix();
    host.file(&format!("etc/mdevctl.d/a/{B}"), "{");
    let members = format!(
        "[[member]]\ndefinition = '{A}'\n[[member]]\ndefinition = '{B}'\n\
         [[member]]\ndevice = '{}'\n[[member]]\ntype = 'vfio_ap-passthrough'\n",
        device(77)
    );
    host.pool("p", &members);
    refused(
        &host,
        "p",
        &format!(
            "pool p has no place for it: definition {A} (not defined), definition {B} (a /etc/mdevctl.d/a/{B} is \
             broken), device {} (it is not there), vfio_ap-passthrough (matrix vfio-ap, not what the domain says); \
             stop a domain that uses the pool (automdev pools p lists them), or give it another member",
            device(77)
        ),
    );
    host.pool("p", &format!("{members}[[member]]\ntype = 'mtty-1'\n"));
    assert_eq!(start(&host, 1, &["p"]), ["mtty-1 a"]);
}
