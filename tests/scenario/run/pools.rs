//! `pool=NAME` on QEMU's command line.

use super::*;
use crate::support::parents::Type;

use automdev::host::ledger::Spares;
use automdev::host::root::Root;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

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
    // Lock files stay, so that there must be no more of them with each run.
    let namespace = uuid::uuid!("cefaeefc-6b9c-5b23-9a91-92f88ef5685d");
    let all = (0..4096)
        .map(|number: u32| uuid::Uuid::new_v5(&namespace, number.to_string().as_bytes()).to_string());
    let all: Vec<String> = all.collect();
    assert!(seen.iter().all(|uuid| all.contains(uuid)), "{seen:?}");
    before.assert_unchanged(&host.snapshot().without(&["run/automdev", "scripts"]));
}

/// None that anybody has is used again.
#[test]
fn a_uuid_is_nobody_elses() {
    let host = defined();
    let (root, kernel) = (Root::new(host.path()), host.kernel());
    let mut first = Spares::new(&root, &kernel, 7);
    let mut second = Spares::new(&root, &kernel, 7 + 256);
    let uuids = [first.next_uuid(), second.next_uuid(), first.next_uuid()];
    assert!(
        uuids[0] != uuids[1] && uuids[1] != uuids[2] && uuids[2] != uuids[0],
        "{uuids:?}"
    );
    // Let go of, the first is had again, unless there is such a device, a claim of it, or a definition.
    drop(first);
    let next = || Spares::new(&root, &kernel, 7).next_uuid();
    assert_eq!(next(), uuids[0]);
    host.active("mtty", "mtty-1", &uuids[0].to_string());
    assert_eq!(next(), uuids[2]);
    host.file(&format!("run/automdev/claims/{}/process-4711-9", uuids[2]), "{}");
    let fourth = next();
    assert!(!uuids.contains(&fourth), "{fourth}");
    host.definition("mtty", &fourth.to_string(), "mtty-1", &[]);
    assert!(next() != fourth && !uuids.contains(&next()));
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

/// Who names one of them is seen by those who ask the pool.
#[test]
fn one_of_a_pools_own_that_is_named_is_claimed() {
    let host = defined();
    host.active("mtty", "mtty-1", A);
    let claimed = "ls $ROOT/run/automdev/claims";
    assert_eq!(
        host.run(&format!("{claimed} 2>&1 | grep -c {A}"), &["-device", &device(A)])
            .stdout,
        "0\n"
    );
    pool(&host, &format!("[[member]]\ndevice = '{A}'\n"));
    assert_eq!(
        host.run(claimed, &["-device", &device(A)]).ended(0).stdout,
        format!("{A}\n")
    );
    assert_eq!(host.devices(), [A]);
    assert_eq!(host.claims(A), Vec::<String>::new());
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

/// Parents on four nodes, the last of them by its name on the first one; the machine's processor 0 is on node 1, 1 on
/// node 2.
fn on_nodes() -> Host {
    let host = defined();
    for (name, node) in [("n0", 3), ("n1", 2), ("n2", 1), ("n3", 0)] {
        host.parent(
            &format!("sys/devices/virtual/mtty/{name}"),
            "vfio-pci",
            &[Type {
                name: "mtty-9",
                pretty: "mtty-9",
                description: None,
                available: 8,
            }],
        );
        host.file(
            &format!("sys/class/mdev_bus/{name}/numa_node"),
            &format!("{node}\n"),
        );
    }
    for (node, cpus) in [(0, "\n"), (1, "0\n"), (2, "1\n"), (3, "2-4095\n")] {
        host.file(&format!("sys/devices/system/node/node{node}/cpulist"), cpus);
    }
    pool(&host, "numa = 'require'\n[[member]]\ntype = 'mtty-9'\n");
    host
}

/// What binds the process binds QEMU, and what QEMU is told of its memory counts before.
#[test]
fn near_the_memory_that_qemu_is_bound_to() {
    let host = on_nodes();
    let place = |arguments: &[&str]| {
        let all = [&["-device", "vfio-pci,pool=p"], arguments].concat();
        let answer = host
            .run("ls -d $ROOT/sys/class/mdev_bus/n*/*-*-*-*-*", &all)
            .ended(0);
        let line = answer.stdout.lines().next().expect("a device").to_owned();
        let parent = line.rsplit('/').nth(1).expect("a parent").to_owned();
        host.assert_clean();
        parent
    };
    let memory = |nodes: &str| format!("memory-backend-ram,id=m,size=1M,host-nodes={nodes},policy=bind");
    assert_eq!(place(&[]), "n0");
    assert_eq!(place(&["-object", &memory("0-1")]), "n2");
    assert_eq!(
        place(&[
            "-object",
            r#"{"qom-type":"memory-backend-ram","id":"m","size":1048576,"host-nodes":[0],"policy":"bind"}"#
        ]),
        "n3"
    );
    // As by taskset: this thread's children inherit it.
    let all = sched_getaffinity(Pid::from_raw(0)).expect("the processors of this thread");
    let mut first = CpuSet::new();
    first.set(0).expect("there is one");
    sched_setaffinity(Pid::from_raw(0), &first).expect("it may run there");
    let bound = |host: &Host, online: &str| {
        host.file("sys/devices/system/cpu/online", online);
        (place(&[]), place(&["-object", &memory("0")]))
    };
    let of_two = bound(&host, "0-1\n");
    let of_one = bound(&host, "0\n");
    sched_setaffinity(Pid::from_raw(0), &all).expect("it did before");
    assert_eq!(of_two, ("n2".to_owned(), "n3".to_owned()));
    assert_eq!(
        of_one,
        ("n0".to_owned(), "n3".to_owned()),
        "it is bound to all that there are"
    );
}
