//! What comes on standard input and on the command line, whoever wrote it.

use super::*;
use std::os::unix::ffi::OsStringExt;
use std::process::Stdio;

use super::host::arguments;

fn a_host() -> Host {
    let host = Host::new();
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    host
}

/// Refuses the start with this line and does nothing at a stop.
#[track_caller]
fn refuse(host: &Host, input: &[u8], line: &str) {
    let before = host.snapshot();
    host.hook(&["vm1", "prepare", "begin", "-"], input)
        .refused(&format!("vm1: {line}"));
    host.hook(&["vm1", "release", "end", "-"], input).done();
    before.assert_unchanged(&host.snapshot());
}

#[test]
fn what_is_no_domain_refuses_the_start() {
    let vm = Domain::new("vm1", 1).with(A).xml();
    let host = a_host();
    for (input, line) in [
        (
            "",
            "domain XML: line 1, column 1: there is no XML, only an empty text",
        ),
        (
            " \n\t",
            "domain XML: line 1, column 1: there is no XML, only an empty text",
        ),
        (
            "garbage",
            "domain XML: line 1, column 1: the XML is not well-formed: unknown token",
        ),
        (
            "<network/>",
            "domain XML: line 1, column 1: the root element is \"network\", not \"domain\"",
        ),
        (
            "<!DOCTYPE domain [<!ENTITY a \"b\">]><domain/>",
            "domain XML: line 1, column 1: a document type may not be in a domain's XML",
        ),
        (
            "<?xml version='1.0' encoding='latin1'?><domain/>",
            "domain XML: line 1, column 31: the encoding is \"latin1\", not UTF-8",
        ),
    ] {
        refuse(&host, input.as_bytes(), line);
    }
    // Cut off anywhere: refused, by one line, without a crash.
    for length in (1..vm.trim_end().len()).step_by(37) {
        let answer = host.hook(&["vm1", "prepare", "begin", "-"], &vm.as_bytes()[..length]);
        assert!(!answer.succeeded(), "cut at {length}");
    }
    assert!(host.devices().is_empty());
}

#[test]
fn what_is_wrong_in_a_domain_is_told_with_its_place() {
    let host = a_host();
    let vm = Domain::new("vm1", 1).with(A).xml();
    let bad = vm.replace(&format!("mdev uuid=\"{A}\""), "mdev uuid=\"1\\u{1b}[31m\"");
    refuse(
        &host,
        bad.as_bytes(),
        "domain XML: line 6, column 28: \"1\\u{1b}[31m\" is not a UUID: it must be 32 hexadecimal digits",
    );
    let newer = vm.replace("<automdev:mdev ", "<automdev:mdev later='1' ");
    refuse(
        &host,
        newer.as_bytes(),
        "domain XML: line 6, column 7: the attribute \"later\" of urn:automdev:domain:1 is not known here: this domain \
         needs a newer automdev",
    );
    let nameless = vm.replace("<uuid>d0000000-0000-4000-8000-000000000001</uuid>", "");
    host.event("vm1", "prepare", "begin", &nameless)
        .refused("vm1: the domain's XML has no <uuid>");
    assert!(host.devices().is_empty());
}

#[test]
fn what_is_not_text_refuses_the_start() {
    let host = a_host();
    refuse(
        &host,
        b"<domain>\n<name>\xff\xfe</name></domain>",
        "the domain's XML is not UTF-8 at line 2, column 7, after \"<domain>\\n<name>\"",
    );
    refuse(
        &host,
        b"\xff",
        "the domain's XML is not UTF-8 at line 1, column 1, after \"\"",
    );
}

#[test]
fn what_is_too_large_refuses_the_start() {
    let host = a_host();
    let line = "the domain's XML on standard input is larger than 8 MiB";
    let vm = Domain::new("vm1", 1).with(A).xml();
    let most = 8 << 20;
    let padding = " ".repeat(most - vm.len());
    host.event("vm1", "prepare", "begin", &format!("{vm}{padding}"))
        .done();
    host.event("vm1", "release", "end", &format!("{vm}{padding}"))
        .done();
    host.assert_ledger_empty();
    refuse(&host, format!("{vm}{padding} ").as_bytes(), line);
    refuse(&host, &vec![b'<'; 16 << 20], line);
}

#[test]
fn what_is_nested_deep_neither_crashes_nor_is_believed() {
    let host = a_host();
    let deep = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    for xml in [
        deep(100_000),
        "<a>".repeat(100_000),
        format!("<domain>{}</domain>", deep(100_000)),
        format!("<domain><metadata>{}</metadata></domain>", deep(100_000)),
    ] {
        let answer = host.event("vm1", "prepare", "begin", &xml);
        answer.succeeded();
        host.event("vm1", "release", "end", &xml).done();
        host.event("vm1", "reconnect", "begin", &xml).done();
    }
    // Where all is well but for the depth, the devices are made.
    let vm = Domain::new("vm1", 1).with(A).xml();
    let vm = vm.replace("<memballoon model='none'/>", &deep(1000));
    host.event("vm1", "prepare", "begin", &vm).done();
    assert_eq!(host.devices().len(), 1);
    host.event("vm1", "release", "end", &vm).done();
}

#[test]
fn a_start_whose_xml_nobody_ends_is_refused_in_time() {
    // The time that is allowed is not ours to spend: the tracer says that it has passed, and how much it was.
    let host = a_host();
    let trace = host.at("fake/trace");
    fs::create_dir_all(host.at("fake")).expect("a folder");
    for (operation, sub_operation) in [("prepare", "begin"), ("release", "end")] {
        let mut command = std::process::Command::new("strace");
        // The first one is the Rust runtime's, which looks whether its standard streams are open.
        command.args([
            "-qq",
            "-e",
            "trace=poll",
            "-e",
            "inject=poll:retval=0:when=2+",
            "-o",
        ]);
        command
            .arg(&trace)
            .arg(host::program())
            .arg("--root")
            .arg(host.path());
        command.args(["hook", "vm1", operation, sub_operation, "-"]);
        let (_open, pipe) = std::os::unix::net::UnixStream::pair().expect("a pair");
        command.stdin(Stdio::from(std::os::fd::OwnedFd::from(pipe)));
        if operation == "release" {
            host.prepare(&Domain::new("vm1", 1).with(A)).done();
        }
        let Ok(output) = command.output() else {
            eprintln!("strace is not there; time-outs of standard input are not tried");
            return;
        };
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        if operation == "prepare" {
            assert_eq!(
                stderr,
                "automdev: vm1: nobody ends the domain's XML on standard input\n"
            );
            assert_eq!(output.status.code(), Some(1));
        } else {
            // By its name, then.
            assert_eq!((stderr.as_str(), output.status.code()), ("", Some(0)));
            assert!(host.devices().is_empty());
            host.assert_ledger_empty();
        }
        let trace = fs::read_to_string(&trace).expect("a trace");
        // At the first one it asks how long a call may take.
        let mut polls = trace
            .lines()
            .filter(|line| line.contains("[{fd=0, events=POLLIN}]"));
        let first = polls.nth(1).expect("it polls its input");
        let timeout = first.split("1, ").nth(1).and_then(|rest| rest.split(')').next());
        let timeout: u32 = timeout.and_then(|number| number.parse().ok()).expect(first);
        assert!((29_000..=30_000).contains(&timeout), "{first}");
    }
}

#[test]
fn a_domains_name_may_be_anything() {
    let names: [&[u8]; 9] = [
        b"a b",
        b"--version",
        b"-",
        b"",
        b"../../etc/passwd",
        b"a\nb\x1b[31m",
        "\u{202e}gpj.exe".as_bytes(),
        b"\xff\xfe",
        &[b'x'; 5000],
    ];
    for name in names {
        let host = a_host();
        let before = host.state();
        let name = std::ffi::OsString::from_vec(name.to_vec());
        let vm = Domain::new("vm1", 1).with(A);
        host.hook(&arguments(&name, ["prepare", "begin", "-"]), vm.xml().as_bytes())
            .done();
        assert_eq!(host.devices().len(), 1, "{name:?}");
        // By the name alone.
        host.hook(&arguments(&name, ["release", "end", "-"]), b"").done();
        before.assert_unchanged(&host.state());
        host.assert_ledger_empty();
        // Nothing in it gets through to a terminal.
        let answer = host.hook(&arguments(&name, ["prepare", "begin", "-"]), b"");
        assert_eq!(answer.stderr.lines().count(), 1, "{name:?}");
        let shown = answer.stderr.trim_end();
        assert!(
            !shown.chars().any(|c| c.is_control() || c == '\u{202e}'),
            "{shown:?}"
        );
        assert!(!answer.succeeded());
    }
}

#[test]
fn what_is_called_wrongly_says_how() {
    let host = a_host();
    let usage = "usage: automdev hook DOMAIN OPERATION SUBOPERATION EXTRA <DOMAIN.xml\n\
                 libvirt calls it so; see its documentation of hooks. To see what a start would do, use automdev plan.\n";
    for arguments in [&[][..], &["vm1"], &["vm1", "prepare"]] {
        host.hook(arguments, b"").ended(2, usage);
    }
}

/// A link to the program is the hook by its name alone.
#[test]
fn the_program_is_the_hook_by_its_name() {
    let host = a_host();
    host.folder("hooks/qemu.d");
    for name in ["hooks/qemu", "hooks/qemu.d/50-automdev"] {
        let link = host.at(name);
        std::os::unix::fs::symlink(host::program(), &link).expect("a link");
        let call = |arguments: &[&str], input: &[u8]| {
            let mut command = std::process::Command::new(&link);
            host.finish(host::spawn(command.args(arguments), input))
        };
        call(&["vm1", "reconnect", "begin", "-"], b"garbage").done();
        call(&["vm1", "started", "begin", "-"], b"").done();
        call(
            &["vm1", "prepare", "begin", "-"],
            Domain::new("vm1", 1).xml().as_bytes(),
        )
        .done();
        call(&["vm1", "prepare", "begin", "-"], b"<network/>")
            .refused("vm1: domain XML: line 1, column 1: the root element is \"network\", not \"domain\"");
        // These are a domain's name here, and no options.
        call(&["--version", "reconnect", "begin", "-"], b"").done();
        call(&["--help", "prepare", "begin", "-"], b"")
            .refused("--help: domain XML: line 1, column 1: there is no XML, only an empty text");
        assert_eq!(call(&["--version"], b"").status, Some(2));
    }
}

/// What standard input has taken is not there for the rest a second time.
#[test]
fn a_call_has_one_budget() {
    use std::io::Write;
    use std::time::{Duration, Instant};
    const BUDGET: Duration = Duration::from_secs(8);
    let host = Host::new();
    host.timeouts("hook = 8")
        .mtty()
        .definition("mtty", A, "mtty-2", &[]);
    let vm = Domain::new("vm1", 1).with(A);
    host.prepare(&vm).done();
    let held = host.lock(&vm.claimant());
    let began = Instant::now();
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let mut command = host.command();
    command
        .args(["vm1", "prepare", "begin", "-"])
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().expect("the program starts");
    drop(command);
    std::thread::sleep(BUDGET * 3 / 4);
    ours.write_all(vm.xml().as_bytes()).expect("it reads");
    drop(ours);
    assert!(!host.finish(child).succeeded());
    let took = began.elapsed();
    // Two budgets would be 14 seconds.
    assert!((BUDGET..Duration::from_secs(13)).contains(&took), "{took:?}");
    drop(held);
}

/// A budget of a call's own counts for standard input, too.
#[test]
fn a_small_budget_is_not_waited_beyond() {
    use std::time::{Duration, Instant};
    let host = Host::new();
    host.timeouts("hook = 0.5")
        .mtty()
        .definition("mtty", A, "mtty-2", &[]);
    let (_open, pipe) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let mut command = host.command();
    command
        .args(["vm1", "prepare", "begin", "-"])
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(pipe)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let began = Instant::now();
    let child = command.spawn().expect("the program starts");
    host.finish(child)
        .refused("vm1: nobody ends the domain's XML on standard input");
    // Thirty seconds, if it were not asked for.
    assert!(began.elapsed() < Duration::from_secs(20));
}
