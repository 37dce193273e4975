//! Which functions stand first in the program, side by side: those that starts and stops call. A function is there once its page
//! is, and the kernel brings sixteen pages at a time; strewn all over the program they cost several times as many as together.
//!
//! Which ones these are was seen when they were called, and is written down in `first.txt`, by their names as the compiler has
//! them. Behind them stand those that differ from one of them by what a compiler or a release has anew: another type's copy
//! of a generic one, or the same one since then. `cargo xtask dist --order` writes them down anew.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::{Libc, folder, program, run};
use crate::vm::{self, Temporary, workspace};

/// The names, a line each.
const NAMES: &str = "xtask/src/dist/first.txt";

/// The section that has them.
const SECTION: &str = ".text.first";

/// The section behind it, with those that are like one of them.
const ALIKE: &str = ".text.alike";

/// How much of the program they are at least, in bytes: four fifths of what they were when they were written down. Where it
/// is less, many names are not what they were.
const LEAST: u64 = 330_000;

/// What is called on another processor than valgrind's.
const ELSEWHERE: &str = "_ZN6memchr6memmem8searcher18searcher_kind_sse217h0E";

/// A device, its definition, and a domain that has it.
const DEVICE: &str = "d0000000-0000-4000-8000-000000000001";
const DEFINITION: &str = r#"{"mdev_type":"mbochs-small","start":"manual","attrs":[]}"#;
const DOMAIN: &str = "<domain type='kvm'><name>order</name><uuid>b0000000-0000-4000-8000-000000000001</uuid>
<metadata><automdev:devices xmlns:automdev='urn:automdev:domain:1'><automdev:mdev uuid='d0000000-0000-4000-8000-000000000001'/></automdev:devices></metadata>
<devices><hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='d0000000-0000-4000-8000-000000000001'/></source></hostdev></devices></domain>
";

/// A script for the linker that puts them there. Its name is another one with each content, by which cargo sees that it has
/// changed.
pub(super) fn script() -> Result<PathBuf> {
    let names = fs::read_to_string(workspace().join(NAMES)).context(NAMES)?;
    let mut text = String::from("SECTIONS\n{\n");
    let (patterns, whole): (Vec<&str>, Vec<&str>) = names.lines().partition(|name| name.ends_with('*'));
    let alike = patterns.into_iter().map(str::to_owned);
    put(&mut text, SECTION, whole.iter().map(|name| (*name).to_owned()));
    put(
        &mut text,
        ALIKE,
        alike.chain(whole.iter().filter_map(|name| lasting(name))),
    );
    text.push_str("}\nINSERT BEFORE .text;\n");
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    fs::create_dir_all(folder())?;
    let path = folder().join(format!("order-{:016x}.ld", hasher.finish()));
    if !path.exists() {
        // Another build may be reading it.
        let fresh = path.with_extension(std::process::id().to_string());
        fs::write(&fresh, text)?;
        fs::rename(&fresh, &path)?;
    }
    Ok(path)
}

/// A section that has the functions of these names, as far as they do not stand in one before.
fn put(text: &mut String, section: &str, names: impl Iterator<Item = String>) {
    writeln!(text, "  {section} :\n  {{").expect("a String takes it");
    for name in names {
        for kind in [".text.", ".text.hot.", ".text.unlikely."] {
            writeln!(text, "    *({kind}{})", pattern(&name)).expect("a String takes it");
        }
    }
    text.push_str("  }\n");
}

/// A name as the linker's pattern: what else than a word's characters stands in it would mean something there.
fn pattern(name: &str) -> String {
    let is_plain = |mark: char| mark.is_ascii_alphanumeric() || matches!(mark, '_' | '.' | '*');
    name.chars()
        .map(|mark| if is_plain(mark) { mark } else { '?' })
        .collect()
}

/// Whether they stand there in a program.
pub(super) fn check(program: &Path) -> Result<()> {
    let sections = run(Command::new("readelf")
        .args(["--wide", "--section-headers"])
        .arg(program))?;
    let size = size_of(SECTION, &sections).unwrap_or_default();
    if size < LEAST {
        bail!("{SECTION} has {size} bytes: {NAMES} is out of date; cargo xtask dist --order writes it anew");
    }
    Ok(())
}

/// `[10] .text.first PROGBITS ADDRESS OFFSET SIZE …`, in hexadecimal digits.
fn size_of(section: &str, listing: &str) -> Option<u64> {
    let words = listing.lines().find_map(|line| {
        let (_, words) = line.split_once(']')?;
        let mut words = words.split_ascii_whitespace();
        (words.next()? == section).then_some(words)
    });
    u64::from_str_radix(words?.nth(3)?, 16).ok()
}

/// Looks which functions are called, and writes them down.
pub(super) fn record() -> Result<()> {
    vm::ensure_packages(&["valgrind"])?;
    let into = workspace().join("target/order");
    // With their names, which the program as it is handed out has no more. Another profile would give other ones, and so would
    // what only examples are built with.
    let flags = [Libc::Musl.flags()?, vec!["-Cstrip=none".into()]].concat();
    let real = program::cargo(Libc::Musl, &into, &flags, &["--bin", "automdev"])?.join("automdev");
    let example = ["--example", "automdev-on-fake"];
    let on_fake = program::cargo(Libc::Musl, &into.join("on-fake"), &flags, &example)?;
    let on_fake = on_fake.join("examples/automdev-on-fake");
    let work = Temporary::new("order")?;
    let host = work.path().join("host");
    let domain = work.path().join("domain.xml");
    fs::write(&domain, DOMAIN)?;
    run(Command::new(&on_fake)
        .arg("make-host")
        .arg(&host)
        .args(["1", "0", DEVICE]))?;
    // Where a journal listens, more is called.
    let journal = host.join("run/systemd/journal");
    fs::create_dir_all(&journal)?;
    let _journal = UnixDatagram::bind(journal.join("socket"))?;
    // So is it where it knows its caller, and of a definition as mdevctl writes it.
    let parent = host.join(format!("proc/{}", std::process::id()));
    fs::create_dir_all(&parent)?;
    fs::write(parent.join("stat"), fs::read("/proc/self/stat")?)?;
    fs::write(host.join(format!("etc/mdevctl.d/mbochs0/{DEVICE}")), DEFINITION)?;
    // What stays undone is not tried again in the background, beside what comes next.
    let settings = host.join("etc/automdev");
    fs::create_dir_all(&settings)?;
    fs::write(settings.join("automdev.toml"), "[timeouts]\nretry = 0\n")?;
    let (mut names, mut of_writer, mut over_fake) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    // Under the program itself the folder does not react: that what it has written comes to nothing it finds only at the end.
    for (program, operation, end) in [
        (&real, "started", "begin"),
        (&real, "prepare", "begin"),
        (&on_fake, "prepare", "begin"),
        (&real, "release", "end"),
        (&on_fake, "release", "end"),
    ] {
        let reports = work.path().join("reports");
        fs::create_dir(&reports)?;
        let mut out = OsString::from("--callgrind-out-file=");
        out.push(reports.join("%p"));
        let mut child = Command::new("valgrind")
            .args(["--quiet", "--tool=callgrind", "--demangle=no"])
            .arg(out)
            .arg(program)
            .arg("--root")
            .arg(&host)
            .args(["hook", "order", operation, end, "-"])
            .stdin(fs::File::open(&domain)?)
            .stderr(Stdio::null())
            // What it costs to tell where an error comes from is not what a start costs.
            .env_remove("RUST_BACKTRACE")
            .spawn()?;
        if !child.wait()?.success() && (program == &on_fake || operation == "started") {
            bail!("{operation} {end} fails");
        }
        // The process that writes has a report of its own, which begins with what its parent has called until then.
        let own = OsString::from(child.id().to_string());
        for report in fs::read_dir(&reports)? {
            let report = report?;
            let text = fs::read_to_string(report.path())?;
            let called = text.lines().filter_map(called).filter(|name| is_ours(name));
            let names = match report.file_name() == own {
                _ if program == &on_fake => &mut over_fake,
                true => &mut names,
                false => &mut of_writer,
            };
            names.extend(called.map(str::to_owned));
        }
        fs::remove_dir_all(&reports)?;
    }
    let symbols = run(Command::new("nm").arg(&real))?;
    over_fake.insert(ELSEWHERE.to_owned());
    names.extend(over_fake.iter().map(|name| counterpart(name, &symbols)));
    // It finds few pages of its own, as it is started anew each time.
    let names: Vec<&str> = of_writer
        .iter()
        .chain(names.difference(&of_writer))
        .map(String::as_str)
        .collect();
    fs::write(workspace().join(NAMES), names.join("\n") + "\n")?;
    println!("{NAMES}: {} functions", names.len());
    Ok(())
}

/// The function that a line of callgrind's report names: `fn=(12) NAME`, or `cfn=…`, with `'2` where it calls itself.
fn called(line: &str) -> Option<&str> {
    let (_, name) = line
        .strip_prefix('c')
        .unwrap_or(line)
        .strip_prefix("fn=(")?
        .split_once(") ")?;
    Some(name.split_once('\'').map_or(name, |(name, _)| name))
}

/// The program's name for a function that another one has called so, where it has one that is the same but for what each
/// build has anew; else what they have in common.
fn counterpart(name: &str, symbols: &str) -> String {
    let Some(lasting_part) = lasting(name) else {
        return name.to_owned();
    };
    let all = symbols
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().last());
    let mut same = all.filter(|symbol| lasting(symbol).as_ref() == Some(&lasting_part));
    match (same.next(), same.next()) {
        (Some(only), None) => only.to_owned(),
        _ => lasting_part,
    }
}

/// Whether a name is one of the program's.
fn is_ours(name: &str) -> bool {
    let is_name = |mark: char| mark.is_ascii_alphanumeric() || matches!(mark, '_' | '.' | '$');
    !name.contains("automdev_on_fake") && !name.starts_with("0x") && name.chars().all(is_name)
}

/// What stays of a name from one build to the next; none where that is all of it.
fn lasting(name: &str) -> Option<String> {
    // A copy that the compiler has made has a number.
    let name = name
        .rsplit_once('.')
        .filter(|(_, number)| number.bytes().all(|digit| digit.is_ascii_digit()))
        .map_or(name, |(name, _)| name);
    // The old way of mangling has a hash at the end, the new one before the name of each crate.
    if let Some((name, _)) = name.rsplit_once("17h").filter(|_| name.starts_with("_ZN")) {
        return Some(format!("{name}17h*"));
    }
    if !name.starts_with("_R") {
        return None;
    }
    let mut parts = name.split("Cs");
    let mut lasting = parts.next()?.to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|mark: char| mark.is_ascii_alphanumeric());
        lasting.push_str("Cs");
        lasting.push_str(if rest.starts_with('_') { "*" } else { part });
        lasting.push_str(if rest.starts_with('_') { rest } else { "" });
    }
    Some(lasting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_what_each_build_has_anew() {
        for (line, name) in [
            (
                "fn=(12) _ZN8automdev3cmd4hook3run17h0123456789abcdefE",
                Some("_ZN8automdev3cmd4hook3run17h*"),
            ),
            ("cfn=(7) memcpy'2", None),
            (
                "fn=(3) _RNvCsfLfy6EI15iL_7___rustc12___rust_alloc",
                Some("_RNvCs*_7___rustc12___rust_alloc"),
            ),
            (
                "fn=(5) _RNvNtCs7BliBxkEZsN_4core3ptrNtCsaz6eC2DG7lh_3std4path",
                Some("_RNvNtCs*_4core3ptrNtCs*_3std4path"),
            ),
            (
                "fn=(6) _ZN5Error4kind17h0123456789abcdefE.52",
                Some("_ZN5Error4kind17h*"),
            ),
            ("fn=(6) (below main)", None),
            ("fn=(3)", None),
            ("16 3", None),
        ] {
            assert_eq!(called(line).and_then(lasting).as_deref(), name, "{line}");
        }
    }

    #[test]
    fn the_same_function_of_another_build() {
        let symbols = "0000000000464c78 t _ZN3one17h00000000000000aaE
0000000000464c79 t _ZN3two17h00000000000000bbE
0000000000464c80 t _ZN3two17h00000000000000ccE
                 U other
";
        for (name, own) in [
            ("_ZN3one17h0123456789abcdefE", "_ZN3one17h00000000000000aaE"),
            ("_ZN3two17h0123456789abcdefE", "_ZN3two17h*"),
            ("memcpy", "memcpy"),
        ] {
            assert_eq!(counterpart(name, symbols), own);
        }
    }

    #[test]
    fn names_that_are_the_programs() {
        for (line, is_one) in [
            ("cfn=(7) memcpy'2", true),
            ("fn=(12) _ZN8automdev3cmd4hook3run17h0123456789abcdefE", true),
            ("fn=(9) _ZN16automdev_on_fake4main17h0123456789abcdefE", false),
            ("fn=(4) 0x000000000001a5c1", false),
            ("fn=(6) (below main)", false),
        ] {
            assert_eq!(called(line).is_some_and(is_ours), is_one, "{line}");
        }
    }

    #[test]
    fn a_name_as_a_pattern() {
        assert_eq!(pattern("_ZN4core$LT$T$GT$..x17h*"), "_ZN4core?LT?T?GT?..x17h*");
    }

    #[test]
    fn the_size_of_a_section() {
        let listing =
            "  [10] .text.first       PROGBITS        0000000000001040 001040 07d91c 00  AX  0   0 16\n";
        assert_eq!(size_of(SECTION, listing), Some(0x7_d91c));
        assert_eq!(size_of(".text", listing), None);
    }
}
