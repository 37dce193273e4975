//! Large, deep and hostile documents: time grows with their size and no faster, and nothing crashes.

use std::fmt::Write;
use std::time::Duration;

use automdev::model::domain::MOST_BYTES;
use automdev::model::rewrite::{PoolUuids, rewrite};
use nix::time::{ClockId, clock_gettime};

use super::{Folder, Outcome, run};

const WRITTEN: &str = "a string takes all";

/// So many devices, every third of a pool, half of them listed already.
fn devices(count: usize) -> String {
    let mut text = String::from(
        "<domain>\n  <name>vm</name>\n  <metadata>\n    <a:devices xmlns:a='urn:automdev:domain:1'>\n",
    );
    let uuid = |number: usize| format!("00000000-0000-4000-8000-{number:012x}");
    for number in (0..count).step_by(2) {
        writeln!(text, "      <a:mdev uuid='{}'/>", uuid(number)).expect(WRITTEN);
    }
    text += "    </a:devices>\n  </metadata>\n  <devices>\n";
    for number in 0..count {
        let source = match number % 3 {
            0 => "<source pool='p'/>".to_owned(),
            _ => format!("<source><address uuid='{}'/></source>", uuid(number)),
        };
        let mark = match number % 4 {
            0 if number % 3 != 0 => " autocreate='no'",
            1 | 3 => " autocreate='yes'",
            _ => "",
        };
        writeln!(
            text,
            "    <hostdev type='mdev' model='vfio-pci'{mark}>\n      {source}\n    </hostdev>"
        )
        .expect(WRITTEN);
    }
    text + "  </devices>\n</domain>\n"
}

/// The processor's time that this thread has had: others do not count, however busy they keep the machine.
fn used() -> Duration {
    let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
    clock_gettime(clock).expect("every thread has one").into()
}

/// The least of several runs, which is what the work itself takes.
fn least(mut act: impl FnMut()) -> Duration {
    let time = |()| {
        let start = used();
        act();
        used().saturating_sub(start)
    };
    [(); 3].map(time).into_iter().min().expect("three")
}

/// Checks that eight times as much takes no more than so many times as long.
fn check_linear(what: &str, of: impl Fn(usize) -> String, size: usize) {
    let (small, large) = (of(size), of(8 * size));
    assert!(large.len() <= MOST_BYTES, "{what}: {}", large.len());
    let short = least(|| drop(rewrite(&small, PoolUuids::Keep)));
    let long = least(|| drop(rewrite(&large, PoolUuids::Keep)));
    eprintln!(
        "{what}: {} bytes in {short:?}, {} in {long:?}",
        small.len(),
        large.len()
    );
    // Quadratic would be 64.
    assert!(
        long < 24 * short + Duration::from_millis(20),
        "{what}: {short:?}, {long:?}"
    );
}

#[test]
fn time_grows_with_the_size() {
    check_linear("devices", devices, 500);
    let nested = |levels: usize| {
        format!(
            "<domain><name>d</name>{}{}<devices/></domain>",
            "<a>".repeat(levels),
            "</a>".repeat(levels)
        )
    };
    check_linear("levels", nested, 4_000);
    check_linear(
        "flat",
        |count| format!("<domain>{}</domain>", "<a b='c'>d</a>".repeat(count)),
        6_000,
    );
    check_linear(
        "text",
        |count| format!("<domain><name>{}</name></domain>", "ä&amp;\r\n".repeat(count)),
        10_000,
    );
    check_linear(
        "comments",
        |count| format!("<domain>{}</domain>", "<!-- < ' -->\n".repeat(count)),
        6_000,
    );
    check_linear(
        "attributes",
        |count| {
            format!(
                "<domain>{}</domain>",
                format!("<a{}/>", attributes(200)).repeat(count)
            )
        },
        30,
    );
    check_linear(
        "namespaces",
        |count| {
            format!(
                "<domain{}>{}</domain>",
                namespaces(60),
                "<a xmlns:x='x'/>".repeat(count)
            )
        },
        2_500,
    );
    check_linear(
        "wrong values",
        |count| {
            format!(
                "<domain><devices>{}</devices></domain>",
                "<hostdev autocreate='x'/>".repeat(count)
            )
        },
        1_000,
    );
    check_linear(
        "wrong entries",
        |count| {
            format!(
                "<domain><metadata><devices xmlns='urn:automdev:domain:1'>{}</devices></metadata></domain>",
                "<mdev/>".repeat(count)
            )
        },
        12_000,
    );
    check_linear("never closed", |count| "<domain>".repeat(count), 12_500);
    check_linear(
        "the same pool",
        |count| {
            format!(
                "<domain><name>d</name><devices>{}</devices></domain>",
                "<hostdev type='mdev' model='vfio-ap'><source pool='p'/></hostdev>".repeat(count)
            )
        },
        1_000,
    );
    check_linear(
        "lists",
        |count| {
            format!(
            "<domain><metadata>{}</metadata></domain>",
            "<devices xmlns='urn:automdev:domain:1'><mdev uuid='00000000-0000-0000-0000-000000000000'/></devices>".repeat(count)
        )
        },
        1_000,
    );
}

fn attributes(count: usize) -> String {
    (0..count)
        .map(|number| [" a", &number.to_string(), "=''"].concat())
        .collect()
}

fn namespaces(count: usize) -> String {
    (0..count)
        .map(|number| [" xmlns:n", &number.to_string(), "='u'"].concat())
        .collect()
}

#[test]
fn ten_thousand_devices_become_ten_thousand_entries() {
    let text = devices(10_000);
    let folder = Folder::new();
    folder.write("vm.xml", &text);
    let outcome = run(&folder.0, &["vm.xml"], b"");
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    let listed: usize = outcome.stdout.matches("<a:mdev ").count();
    let unlisted = (0..10_000)
        .filter(|number| number % 4 == 0 && number % 3 != 0)
        .count();
    let new = (0..10_000)
        .filter(|number| number % 2 == 1 || number % 3 == 0)
        .count();
    assert_eq!(listed, 5_000 - unlisted + new);
    assert_eq!(outcome.stdout.matches("autocreate").count(), 0);
    let again = run(&folder.0, &["--check"], outcome.stdout.as_bytes());
    assert_eq!((again.stdout.as_str(), again.status), ("", 0));
    let diff = run(&folder.0, &["vm.xml", "--diff"], b"");
    assert_eq!(diff.status, 3);
}

#[test]
fn a_hundred_thousand_levels_are_read() {
    let folder = Folder::new();
    let levels = 100_000;
    let inner = format!("{}{}", "<a>".repeat(levels), "</a>".repeat(levels));
    let text = super::raw().replace("  <devices>", &format!("  {inner}\n  <devices>"));
    let expected = super::lowered().replace("  <devices>", &format!("  {inner}\n  <devices>"));
    assert_eq!(
        run(&folder.0, &[], text.as_bytes()),
        Outcome::new(&expected, "", 0)
    );
    // As they are found, where they are the domain's own, or never end.
    let outcome = run(&folder.0, &[], "<domain>".repeat(levels).as_bytes());
    assert_eq!((outcome.stdout.as_str(), outcome.status), ("", 1));
    assert!(outcome.stderr.contains("never closed"), "{}", outcome.stderr);
}

#[test]
fn the_largest_is_read_and_a_larger_one_is_refused() {
    let folder = Folder::new();
    let text = |length: usize| {
        let filler = length - super::lowered().len();
        super::lowered().replace("</name>", &format!("</name>{}", " ".repeat(filler)))
    };
    let largest = text(MOST_BYTES);
    assert_eq!(largest.len(), 8 << 20);
    assert_eq!(
        run(&folder.0, &[], largest.as_bytes()),
        Outcome::new(&largest, "", 0)
    );
    for larger in [text(MOST_BYTES + 1), text(5 * MOST_BYTES)] {
        let outcome = run(&folder.0, &[], larger.as_bytes());
        assert_eq!((outcome.stdout.as_str(), outcome.status), ("", 1));
        assert!(
            outcome.stderr.contains("the XML is larger than 8 MiB\n"),
            "{}",
            outcome.stderr
        );
        assert!(outcome.stderr.len() < 400, "{}", outcome.stderr);
    }
}
