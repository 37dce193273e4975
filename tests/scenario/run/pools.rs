//! `pool=NAME` on QEMU's command line.

use super::*;

/// Tells its arguments, and what there is while it runs.
const TELLS: &str =
    "for argument; do echo \"$argument\"; done\nls $ROOT/sys/bus/mdev/devices\nls $ROOT/run/automdev/claims";

fn pool(host: &Host, text: &str) {
    host.file("etc/automdev/pools.d/p.toml", text);
}

#[test]
fn a_device_is_made_and_gone_afterwards() {
    let host = defined();
    pool(
        &host,
        "[[member]]\ntype = 'mtty-1'\nattributes = [['power/control', 'on']]\n",
    );
    let before = host.snapshot().without(&["scripts"]);
    let mut seen = Vec::new();
    for form in [
        "vfio-pci,pool=p,id=x",
        r#"{"driver":"vfio-pci","pool":"p","id":"x"}"#,
    ] {
        let answer = host.run(TELLS, &["-device", form]).ended(0);
        let lines: Vec<&str> = answer.stdout.lines().collect();
        let [_, device, uuid, claimed] = lines[..] else {
            panic!("{answer:?}");
        };
        let expected = if form.starts_with('{') {
            format!(r#"{{"driver":"vfio-pci","sysfsdev":"/sys/bus/mdev/devices/{uuid}","id":"x"}}"#)
        } else {
            format!("vfio-pci,sysfsdev=/sys/bus/mdev/devices/{uuid},id=x")
        };
        assert_eq!((device, claimed), (expected.as_str(), uuid));
        seen.push(uuid.to_owned());
        host.assert_clean();
    }
    assert_ne!(seen[0], seen[1], "each run has its own");
    before.assert_unchanged(&host.snapshot().without(&["run/automdev", "scripts"]));
}

/// An idle device is used itself, and left standing; one that is in use is not handed out twice.
#[test]
fn an_idle_device_is_handed_out() {
    let host = defined();
    host.active("mtty", "mtty-1", A);
    pool(&host, &format!("[[member]]\ndevice = '{A}'\n"));
    let before = host.snapshot().without(&["scripts"]);
    let script = format!("{TELLS}\n{WAITS}\nexit 7");
    let running = host.start(&script, &["-device", "vfio-pci,pool=p"]);
    host.wait_for("pid");
    let second = host.run("touch $ROOT/ran", &["-device", "vfio-pci,pool=p"]);
    assert!(
        second.stderr.contains("pool p has no place for it: device") && second.stderr.contains("in use by"),
        "{second:?}"
    );
    assert_eq!(second.status, Some(125));
    assert!(!host.at("ran").exists());
    host.file("end", "");
    let answer = running.end().ended(7);
    let lines: Vec<&str> = answer.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "-device",
            &format!("vfio-pci,sysfsdev=/sys/bus/mdev/devices/{A}"),
            A,
            A
        ]
    );
    assert_eq!(host.devices(), [A]);
    assert_eq!(host.claims(A), Vec::<String>::new());
    let after = host
        .snapshot()
        .without(&["run/automdev", "scripts", "end", "pid"]);
    before.assert_unchanged(&after);
}

#[test]
fn one_from_a_pool_beside_one_of_its_own() {
    let host = defined();
    pool(&host, "[[member]]\ntype = 'mdpy-xga'\n");
    let answer = host
        .run(
            "ls $ROOT/sys/class/mdev_bus/mdpy | grep -c -- '-.*-'; ls $ROOT/sys/class/mdev_bus/mtty | grep -- '-.*-'",
            &["-device", &device(A), "-device", "vfio-pci,pool=p", "-device", "vfio-pci,pool=p"],
        )
        .ended(0);
    assert_eq!(answer.stdout, format!("2\n{A}\n"));
    host.assert_clean();
}

#[test]
fn what_cannot_be_had_is_told() {
    let host = defined();
    let before = host.snapshot().without(&["scripts"]);
    let answer = host.run("touch $ROOT/ran", &["-device", "vfio-pci,pool=small"]);
    assert!(
        answer
            .stderr
            .ends_with(": this host has no pool small; describe it in /etc/automdev/pools.d/small.toml\n"),
        "{answer:?}"
    );
    assert_eq!((answer.status, answer.stderr.lines().count()), (Some(125), 1));
    before.assert_unchanged(&host.snapshot().without(&["run/automdev", "scripts"]));
    host.assert_clean();
}
