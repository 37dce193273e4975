//! Many at once: domains, wrappers, people with `echo` and mdevctl, `reconcile`, and deaths among them, while an
//! observer holds what may never be.

mod calls;
mod cast;
mod domains;
mod hands;
mod observer;
mod stage;
mod wrappers;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::random::Random;
use crate::run::qemu::all_of;
use crate::support::{Called, Host, Left, within};
use calls::{call, some_time};
use stage::{Stage, there};

/// Names the process as libvirt's daemon as long as it lives: hooks look for that among their ancestors.
struct Daemon {
    name: String,
}

impl Daemon {
    const NAME: &'static str = "/proc/self/comm";

    fn begin() -> Self {
        let name = fs::read_to_string(Self::NAME).expect("a name");
        fs::write(Self::NAME, "libvirtd").expect("a name");
        Daemon { name }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(fs::write(Self::NAME, self.name.trim_end()));
    }
}

fn reconcile(stage: &Stage, arguments: &[&str], kill_after: Option<Duration>) -> Called {
    let mut command = Command::new("/usr/bin/automdev");
    let called = call(stage, command.args(arguments), b"", kill_after);
    let told = format!("{arguments:?}: {called:?}");
    stage.tell(&told);
    let is_odd = !matches!(called.status, Some(0 | 1)) && kill_after.is_none();
    if is_odd || called.stderr.contains("panicked") {
        stage.fault(told);
    }
    called
}

fn reconciles(stage: &Stage, random: &mut Random) {
    while stage.goes_on() {
        thread::sleep(some_time(random, 1500));
        let kill_after = random.once_in(4).then(|| some_time(random, 500));
        match random.below(4) {
            0 => {
                stage.count("dry reconcile");
                reconcile(stage, &["reconcile", "--dry-run"], None);
            }
            1 => {
                stage.count("list");
                reconcile(stage, &["list"], None);
            }
            _ => {
                stage.count("reconcile");
                if kill_after.is_some() {
                    stage.count("of them killed");
                }
                reconcile(stage, &["reconcile"], kill_after);
            }
        }
    }
}

fn observes(stage: &Stage) {
    while stage.goes_on() {
        for fault in observer::look(stage) {
            stage.fault(fault);
        }
        stage.count("observations");
        thread::sleep(Duration::from_millis(5));
    }
}

type Part<'a> = Box<dyn FnOnce(&mut Random) + Send + 'a>;

/// All take part for that time.
fn round(host: &Host, seed: u64, duration: Duration) {
    println!("seed {seed}");
    let before = Left::now();
    let stage = Stage::new(duration);
    let daemon = Daemon::begin();
    let stage = &stage;
    let mut parts: Vec<Part<'_>> = vec![
        Box::new(|_| observes(stage)),
        Box::new(|random| reconciles(stage, random)),
        Box::new(|random| hands::take_part(stage, random)),
    ];
    for number in 0..domains::NAMES.len() {
        parts.push(Box::new(move |random| domains::take_part(stage, random, number)));
    }
    for number in 0..cast::WRAPPED.len() {
        parts.push(Box::new(move |random| wrappers::take_part(stage, random, number)));
    }
    thread::scope(|scope| {
        for (part, number) in parts.into_iter().zip(1..) {
            scope.spawn(move || {
                let mut random = Random::new(seed.wrapping_add(number));
                if catch_unwind(AssertUnwindSafe(|| part(&mut random))).is_err() {
                    stage.fault("somebody who takes part panicked".to_owned());
                }
            });
        }
    });
    drop(daemon);
    println!("{}", stage.report());
    let faults = stage.faults();
    assert!(faults.is_empty(), "seed {seed}: {faults:#?}");
    // What works on in the background comes to its end.
    within(Duration::from_secs(120), "nothing of automdev's runs", || {
        all_of("automdev").is_empty()
    });
    let reconciled = reconcile(stage, &["reconcile"], None);
    assert_eq!(reconciled.status, Some(0), "seed {seed}: {reconciled:?}");
    before.assert_unchanged(&format!("seed {seed}, after {reconciled:?}"));
    host.assert_clean();
}

/// Another one each time; it is told.
fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    now.as_secs()
}

#[test]
fn many_at_once_for_a_minute() {
    round(&cast::set_up(), seed(), Duration::from_secs(60));
}

#[test]
#[ignore = "long: twelve minutes; cargo xtask test --full runs it"]
fn many_at_once_for_long() {
    let host = cast::set_up();
    for number in 0..6 {
        round(&host, seed() + 1000 * number, Duration::from_secs(120));
    }
}

/// The observer finds a fault of that kind, and none before.
#[track_caller]
fn assert_seen(stage: &Stage, words: &str, wrong: impl FnOnce()) {
    assert_eq!(observer::look(stage), Vec::<String>::new(), "before: {words}");
    wrong();
    let faults = observer::look(stage);
    assert!(
        faults.iter().any(|fault| fault.contains(words)),
        "{words}: {faults:?}"
    );
    println!("{}", faults.join("\n"));
}

/// Without this, that it sees nothing would say nothing.
#[test]
fn the_observer_sees_what_is_wrong() {
    let host = cast::set_up();
    let create = |device: cast::Device, mdev_type: &str| {
        host.create_by_hand(device.parent, mdev_type, device.uuid);
        there(device.uuid).expect("it was made")
    };
    let stage = Stage::new(Duration::ZERO);
    let [hand, _] = cast::BY_HAND;
    let made = create(hand, hand.mdev_type);
    stage.known().hands.insert(hand.uuid, made);
    stage.known().ever.insert(made.inode);
    assert_seen(&stage, "was made by hand", || host.remove_by_hand(hand.uuid));

    let stage = Stage::new(Duration::ZERO);
    let [own, ..] = cast::OWN;
    assert_seen(&stage, "it has no record", || _ = create(own, own.mdev_type));
    fs::create_dir_all("/run/automdev/devices").expect("a folder");
    let note = |device: cast::Device| {
        fs::write(format!("/run/automdev/devices/{}", device.uuid), "").expect("a record");
    };
    note(own);
    stage
        .known()
        .hold("somebody", own.uuid, there(own.uuid).expect("it is there"));
    assert_seen(&stage, "lives, but its device is", || {
        // What comes after it is another one.
        host.remove_by_hand(own.uuid);
        create(own, own.mdev_type);
    });
    host.remove_by_hand(own.uuid);

    let stage = Stage::new(Duration::ZERO);
    assert_seen(&stage, "mtty-2", || _ = create(own, "mtty-2"));
    host.remove_by_hand(own.uuid);

    cast::POOLED.into_iter().for_each(note);
    let [first, second, third] = cast::POOLED;
    create(first, first.mdev_type);
    create(second, second.mdev_type);
    assert_seen(&stage, "more of the pool", || _ = create(third, third.mdev_type));
    for device in cast::POOLED {
        host.remove_by_hand(device.uuid);
    }
    fs::remove_dir_all("/run/automdev").expect("a folder");
    host.assert_clean();
}
