//! A domain that asks automdev for nothing, and the events that are none of its business.

use super::*;
use std::process::{Command, Stdio};

use super::host::{Answer, program, spawn};

fn is_there(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--help")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    found.is_ok()
}

/// The system calls that name a path below the root, by the machine's own path, and those that poll.
fn traced(host: &Host, arguments: &[&str], input: &str) -> Option<(Answer, Vec<String>)> {
    if !is_there("strace") {
        eprintln!("strace is not there; what is read is not looked at");
        return None;
    }
    let trace = host.at("fake/trace");
    fs::create_dir_all(host.at("fake")).expect("a folder");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=%file", "-o"]);
    command.arg(&trace).arg(program()).arg("--root").arg(host.path());
    command.arg("hook").args(arguments);
    let answer = host.finish(spawn(&mut command, input.as_bytes()));
    let root = format!("{}/", host.path().display());
    let text = fs::read_to_string(trace).expect("a trace");
    let calls = text
        .lines()
        // Its own program's start, which has the root among its arguments.
        .filter(|line| !line.contains(" execve("))
        .filter_map(|line| {
            let (call, rest) = line.split_once(&root)?;
            let call = call.split_whitespace().nth(1)?.split('(').next()?;
            let path = rest.split('"').next()?;
            Some(format!("{call} {path}"))
        })
        .collect();
    Some((answer, calls))
}

#[test]
fn nothing_is_read_but_its_xml_and_nothing_written() {
    let host = Host::new();
    host.mtty()
        .definition("mtty", A, "mtty-2", &[])
        .file("etc/automdev/automdev.toml", "select = 'defined'");
    let vm = Domain::new("vm1", 1);
    let before = host.snapshot();
    for (operation, sub_operation) in [("prepare", "begin"), ("release", "end")] {
        host.event(&vm.name, operation, sub_operation, &vm.xml())
            .done()
            .logged(&[]);
        before.assert_unchanged(&host.snapshot());
        let arguments = [vm.name.as_str(), operation, sub_operation, "-"];
        let Some((answer, calls)) = traced(&host, &arguments, &vm.xml()) else {
            return;
        };
        answer.done();
        let looked_at = match operation {
            "prepare" => format!("statx run/automdev/claimants/{}", vm.claimant()),
            _ => "statx run/automdev/claimants".to_owned(),
        };
        assert_eq!(calls, [looked_at]);
    }
}

#[test]
fn where_a_device_is_there_that_nobody_marked_it_is_left_alone() {
    let host = Host::new();
    host.mtty()
        .definition("mtty", A, "mtty-2", &[])
        .active("mtty", "mtty-2", B);
    let before = host.snapshot();
    for vm in [
        Domain::new("vm1", 1).unmarked(A),
        Domain::new("vm1", 1).unmarked(B).managed(),
        Domain::new("vm1", 1).unmarked(B).listing(C),
    ] {
        host.prepare(&vm).done().logged(&[]);
        host.release(&vm).done().logged(&[]);
        before.assert_unchanged(&host.snapshot());
    }
}

#[test]
fn every_other_event_is_over_at_once() {
    let host = Host::new();
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    let vm = Domain::new("vm1", 1).with(A);
    // Nothing of it is looked at, however broken.
    host.file("etc/automdev/automdev.toml", "broken = ")
        .file("run/automdev", "no folder");
    let before = host.snapshot();
    for (operation, sub_operation) in [
        ("start", "begin"),
        ("started", "begin"),
        ("stopped", "end"),
        ("reconnect", "begin"),
        ("migrate", "begin"),
        ("restore", "begin"),
        ("attach", "begin"),
        ("prepare", "end"),
        ("release", "begin"),
        ("Prepare", "begin"),
        ("something", "new"),
        ("", ""),
        ("prepare\n", "begin"),
    ] {
        let vm_xml = vm.xml();
        for input in ["", "garbage", &vm_xml, &"<a>".repeat(100_000)] {
            host.event("vm1", operation, sub_operation, input)
                .done()
                .logged(&[]);
        }
        // Nobody ends it, and nobody has to.
        let mut command = host.command();
        let (_end, pipe) = std::os::unix::net::UnixStream::pair().expect("a pair");
        command
            .args(["vm1", operation, sub_operation, "-"])
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(pipe)));
        let output = command.output().expect("the program starts");
        assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty());
    }
    if let Some((answer, calls)) = traced(&host, &["vm1", "reconnect", "begin", "-"], "x") {
        answer.done();
        assert_eq!(calls, Vec::<String>::new());
    }
    before.assert_unchanged(&host.snapshot());
}
