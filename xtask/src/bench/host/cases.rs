//! What is measured there, against what.

use std::path::Path;

use anyhow::Result;

use super::ground::{Ground, Ledger, PIECES, PORTS, Store};
use crate::bench::call::{Call, Case, Round, Step};
use crate::bench::tree::defined;

/// The program as its packages install it.
const PROGRAM: &str = "/usr/bin/automdev";

/// What makes a write that may block and does nothing else.
const BARE_WRITES: &str = "/automdev/bare-writes";

/// What makes it with the locks, the ledger and the journal beside.
const BARE_STEPS: &str = "/automdev/bare-steps";

/// Its goals beside others.
const BESIDE_NOTHING: f64 = 1.2;
const BESIDE_NOTHING_WITH_MUCH_XML: f64 = 1.5;
const BESIDE_MDEVCTL: f64 = 0.4;
const BESIDE_LIBVIRT: f64 = 0.2;
const BESIDE_A_SHELL_HOOK: f64 = 0.5;
/// That it does not matter how much there is.
const AS_FAST: f64 = 1.1;

/// What is measured while libvirt's daemon does not run.
pub(super) fn alone(ground: &Ground) -> Result<Vec<Case>> {
    let maker = Maker { ground };
    let mut cases = maker.event()?;
    cases.extend(maker.one_device()?);
    cases.extend(maker.several_devices()?);
    cases.push(maker.many_definitions()?);
    cases.push(maker.many_records()?);
    cases.extend(maker.at_once()?);
    Ok(cases)
}

/// What is measured while it does.
pub(super) fn beside_libvirt(ground: &Ground) -> Result<Vec<Case>> {
    let virsh = |verb: &str| {
        let words = ["--quiet", "--connect", "qemu:///system", verb, &node_device()];
        Step::new("/usr/bin/virsh", &words)
    };
    let peer = Call::in_turn("virsh", vec![virsh("nodedev-start"), virsh("nodedev-destroy")]);
    let maker = Maker { ground };
    let own = maker.own("automdev", &[0])?;
    let ready = |call: Call| call.after(maker.ready(Store::Usual, &node_device()));
    let case = Case::new("1 device, libvirtd running", ready(own), ready(peer.clone()));
    let floor = Case::new("the least, libvirtd running", ready(bare_writes()), ready(peer));
    Ok(vec![case.at_most(BESIDE_LIBVIRT).of_hook(), floor])
}

/// libvirt's name for the device that virsh starts and destroys.
pub(super) fn node_device() -> String {
    format!("mdev_{}_mtty", defined(0).replace('-', "_"))
}

struct Maker<'a> {
    ground: &'a Ground,
}

impl Maker<'_> {
    fn ready(&self, store: Store, node_device: &str) -> Round {
        let script = self.ground.at("ready.sh");
        vec![Step::new(script, &[store.name(), node_device])]
    }

    fn case(&self, name: &str, own: Call, peer: Call) -> Case {
        let ready = |call: Call| call.after(self.ready(Store::Usual, ""));
        Case::new(name, ready(own), ready(peer))
    }

    fn own(&self, name: &str, devices: &[usize]) -> Result<Call> {
        let domain = self.ground.domain(1, devices)?;
        let steps = hook(PROGRAM.as_ref(), &["hook"], &domain);
        Ok(Call::in_turn(name, steps.to_vec()))
    }

    /// The least that it costs, beside the least that a process costs.
    fn event(&self) -> Result<Vec<Case>> {
        let domain = self.ground.domain(1, &[0])?;
        let own = Step::new(PROGRAM, &["hook", "bench", "started", "begin", "-"]).reading(&domain);
        let own = Call::in_turn("automdev", vec![own]);
        let dynamic = Call::in_turn("/bin/true", vec![Step::new("/bin/true", &[])]);
        let fixed = Step::new("/bin/busybox", &["true"]);
        let fixed = Call::in_turn("busybox true", vec![fixed]);
        let name = "event: started";
        let mut cases = vec![
            self.case(name, own.clone(), dynamic.clone())
                .at_most(BESIDE_NOTHING)
                .of_hook(),
            self.case(name, own, fixed).of_hook(),
        ];
        // Domains that have nothing to do with it.
        for (name, bytes, most) in [
            ("prepare, no marks, 2 KB", 2_000, None),
            (
                "prepare, no marks, 100 KB",
                100_000,
                Some(BESIDE_NOTHING_WITH_MUCH_XML),
            ),
        ] {
            let plain = self.ground.plain_domain(bytes)?;
            let step = Step::new(PROGRAM, &["hook", "bench", "prepare", "begin", "-"]).reading(&plain);
            let mut case = self.case(name, Call::in_turn("automdev", vec![step]), dynamic.clone());
            case.goals.ratio = most;
            cases.push(case.of_hook());
        }
        Ok(cases)
    }

    fn one_device(&self) -> Result<Vec<Case>> {
        let name = "1 device";
        let own = || self.own("automdev", &[0]);
        let domain = self.ground.domain(1, &[0])?;
        let other = |name: &str, program: &str, file: &str| {
            let file = self.ground.at(file).display().to_string();
            Call::in_turn(name, hook(program.as_ref(), &[&file], &domain).to_vec())
        };
        // Hooks that people publish are bash's, as far as we have seen; Debian's sh starts sooner.
        let bash = || other("bash + xmllint", "/bin/bash", "hook.sh");
        let sh = || other("sh + xmllint", "/bin/sh", "hook.sh");
        // What no program with such a bound could be below, beside those that have none.
        let floor = "the least: 2 bounded writes";
        // What none could be below that keeps the promises, too.
        let with_ledger = "the least: with a ledger";
        // The same that looks before it writes, at what we look at.
        let with_looks = "the least: with all looks";
        Ok(vec![
            self.case(name, own()?, kernel()).of_hook(),
            self.case(name, own()?, bare_writes()).of_hook(),
            self.case(name, own()?, bare_steps(&domain, true)).of_hook(),
            self.case(floor, bare_writes(), sh()),
            self.case(floor, bare_writes(), mdevctl(1)),
            self.case(with_ledger, bare_steps(&domain, false), sh()),
            self.case(with_ledger, bare_steps(&domain, false), mdevctl(1)),
            self.case(with_looks, bare_steps(&domain, true), sh()),
            self.case(with_looks, bare_steps(&domain, true), mdevctl(1)),
            self.case(name, own()?, bash())
                .at_most(BESIDE_A_SHELL_HOOK)
                .of_hook(),
            self.case(name, own()?, sh())
                .at_most(BESIDE_A_SHELL_HOOK)
                .of_hook(),
            self.case(name, own()?, other("python", "/usr/bin/python3", "hook.py"))
                .of_hook(),
            self.case(name, own()?, mdevctl(1))
                .at_most(BESIDE_MDEVCTL)
                .of_hook(),
        ])
    }

    /// All of one domain.
    fn several_devices(&self) -> Result<Vec<Case>> {
        let case = |count| {
            let devices: Vec<usize> = (0..count).collect();
            let own = self.own("automdev", &devices)?;
            let case = self.case(&format!("{count} devices"), own, mdevctl(count));
            Ok(case.at_most(BESIDE_MDEVCTL).of_hook())
        };
        [4, 16].into_iter().map(case).collect()
    }

    fn many_definitions(&self) -> Result<Case> {
        let call = |name: &str, store| {
            let call = self.own(name, &[0])?;
            anyhow::Ok(call.after(self.ready(store, "")))
        };
        let case = Case::new(
            "1 device, 10,000 definitions",
            call("automdev", Store::Large)?,
            call("10 definitions", Store::Small)?,
        );
        Ok(case.at_most(AS_FAST).of_hook())
    }

    fn many_records(&self) -> Result<Case> {
        let call = |name: &str, ledger: Ledger| {
            let call = self.own(name, &[0])?;
            let mut ready = self.ready(Store::Usual, "");
            ready[0].arguments.push(ledger.name().into());
            anyhow::Ok(call.after(ready))
        };
        let case = Case::new(
            "1 device, 1,000 records",
            call("automdev", Ledger::Large)?,
            call("none", Ledger::Usual)?,
        );
        Ok(case.at_most(AS_FAST).of_hook())
    }

    /// Domains with a device each, all of them on one parent.
    fn at_once(&self) -> Result<Vec<Case>> {
        let case = |(count, first)| {
            let (mut prepare, mut release) = (Vec::new(), Vec::new());
            for number in 0..count {
                let domain = self.ground.domain(number + 1, &[first + number])?;
                let [first, last] = hook(PROGRAM.as_ref(), &["hook"], &domain);
                prepare.push(first);
                release.push(last);
            }
            let in_turn = Call::in_turn("in turn", [prepare.clone(), release.clone()].concat());
            let own = Call::rounds("automdev", vec![prepare, release]);
            Ok(self.case(&format!("{count} domains at once"), own, in_turn))
        };
        // mtty has no more than its ports, mbochs none but those of its memory.
        [(1, 0), (8, 0), (PORTS, 0), (PIECES, PORTS)]
            .into_iter()
            .map(case)
            .collect()
    }
}

/// What a domain's start and stop come to.
fn hook(program: &Path, words: &[&str], domain: &Path) -> [Step; 2] {
    [("prepare", "begin"), ("release", "end")].map(|(operation, end)| {
        let words = [words, &["bench", operation, end, "-"]].concat();
        Step::new(program, &words).reading(domain)
    })
}

/// mdevctl, for one device after the other.
fn mdevctl(count: usize) -> Call {
    let call = |verb: &str, number| Step::new("/usr/bin/mdevctl", &[verb, "-u", &defined(number)]);
    let starts = (0..count).map(|number| call("start", number));
    let stops = (0..count).map(|number| call("stop", number));
    Call::in_turn("mdevctl", starts.chain(stops).collect())
}

/// What it takes when nothing is looked at, and a driver that blocks is not waited for without an end.
fn bare_writes() -> Call {
    let uuid = defined(0);
    let create = "/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/create";
    let remove = format!("/sys/bus/mdev/devices/{uuid}/remove");
    let steps = [(create, uuid.as_str()), (&remove, "1")];
    let steps = steps.map(|(file, value)| Step::new(BARE_WRITES, &[file, value]));
    Call::in_turn("bare writes", steps.to_vec())
}

/// What it takes with the locks, the ledger and the journal, when all else is known beforehand, or is looked at, too.
fn bare_steps(domain: &Path, looks: bool) -> Call {
    let uuid = defined(0);
    let look: &[&str] = if looks { &["look"] } else { &[] };
    let steps = ["start", "stop"].map(|what| {
        let words = [&[what, uuid.as_str(), "mtty", "mtty-1"], look].concat();
        Step::new(BARE_STEPS, &words).reading(domain)
    });
    Call::in_turn(if looks { "bare looks" } else { "bare steps" }, steps.to_vec())
}

/// What it takes when nothing is looked at.
fn kernel() -> Call {
    let uuid = defined(0);
    let script = format!(
        "echo {uuid} > /sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/create; \
         echo 1 > /sys/bus/mdev/devices/{uuid}/remove"
    );
    Call::in_turn("sh, 2 writes", vec![Step::new("/bin/sh", &["-c", &script])])
}
