//! Starts and stops in no order at all, some of which die: whatever happens, there is never one too many, and when all
//! have stopped the host is as before.

use super::*;

#[path = "../../rewrite/random.rs"]
mod numbers;

use numbers::Random;

const IDLE: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

fn host() -> Host {
    let host = Host::new();
    host.timeouts("claim = 0\nparent = 0");
    host.ports("a", 3).ports("b", 2);
    host.definition("b", IDLE, "mtty-1", &[("power/control", "on")])
        .active("b", "mtty-1", IDLE)
        .file(&format!("sys/bus/mdev/devices/{IDLE}/power/control"), "on\n");
    host.pool("any", &format!("placement = 'spread'\n{}", of_type("mtty-1")))
        .pool("large", "[[member]]\ntype = 'mtty-2'\nlimit = 1\n")
        .pool(
            "own",
            &format!("[[member]]\ndevice = '{IDLE}'\nreplace = true\n[[member]]\ntype = 'mtty-1'\nparents = ['a']\n"),
        );
    host
}

fn ports(host: &Host) -> usize {
    let devices = host.devices();
    let large = devices.iter().filter(|line| line.contains("mtty-2")).count();
    devices.len() + large
}

#[test]
fn whatever_happens_nothing_is_left_over() {
    const WANTS: [&str; 5] = ["any", "any own", "large", "own", "large any own"];
    let (mut started, mut refused, mut died) = (0, 0, 0);
    for seed in 0..6 {
        let mut random = Random::new(seed);
        let host = host();
        // The numbers of what was made anew are others by then.
        let state = |host: &Host| {
            let made_anew = format!("sys/devices/virtual/mtty/b/{IDLE}");
            let numbered = [
                "dev/vfio",
                "sys/kernel/iommu_groups",
                "sys/class/vfio-dev",
                &made_anew,
            ];
            let control = host.read(format!("sys/bus/mdev/devices/{IDLE}/power/control"));
            (host.state().without(&numbered), host.devices(), control)
        };
        let before = state(&host);
        // What each had when it started last.
        let mut had: [Vec<&str>; 4] = Default::default();
        for step in 0..40 {
            let number = random.below(4);
            let which = u32::try_from(number).expect("small");
            if random.once_in(3) {
                host.kernel()
                    .fault(1 + random.below(14) as u64, FaultKind::KillBefore);
            }
            let is_start = !random.once_in(3);
            let answer = if is_start {
                had[number] = random.pick(&WANTS).split(' ').collect();
                host.prepare(&vm(which, &had[number]))
            } else {
                host.release(&vm(which, &had[number]))
            };
            host.kernel().reset();
            match (answer.signal, is_start) {
                (Some(9), _) => died += 1,
                (_, true) if answer.succeeded() => started += 1,
                (_, true) => refused += 1,
                (_, false) => {}
            }
            assert!(
                ports(&host) <= 5,
                "seed {seed}, step {step}: {:?}",
                host.devices()
            );
            let large = host
                .devices()
                .iter()
                .filter(|line| line.contains("mtty-2"))
                .count();
            assert!(large <= 1, "seed {seed}, step {step}: {:?}", host.devices());
        }
        for (which, had) in (0..).zip(had) {
            host.release(&vm(which, &had)).done();
        }
        let after = state(&host);
        before.0.assert_unchanged(&after.0);
        assert_eq!((before.1, before.2), (after.1, after.2), "seed {seed}");
        assert_eq!(host.ledger(), Vec::<String>::new(), "seed {seed}");
        assert_eq!(
            host.names("run/automdev/swaps"),
            Vec::<String>::new(),
            "seed {seed}"
        );
    }
    println!("{started} started, {refused} refused, {died} died");
    assert!(
        started > 40 && refused > 5 && died > 10,
        "{started} {refused} {died}"
    );
}
