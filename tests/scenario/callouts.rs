//! mdevctl's scripts around what a start makes and a stop removes.

mod fault;
mod order;
mod safety;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::hook::domain::Domain;
use crate::hook::host::Host;

/// Devices.
const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b";

/// The folders in which mdevctl looks.
const USR: &str = "usr/lib/mdevctl/scripts.d";
const ETC: &str = "etc/mdevctl.d/scripts.d";

/// What a script is given around a start of A.
const DEFINITION: &str =
    r#"{"mdev_type":"mtty-2","start":"auto","attrs":[{"power/control":"on"},{"power/control":"auto"}]}"#;

/// What a script is given around a stop of it.
const ACTIVE: &str = r#"{"mdev_type":"mtty-2","start":"manual","attrs":[]}"#;

/// What mdevctl says of itself.
const PROVIDES: &str = r#"{"provides":{"version":2,"actions":["start","stop","define","undefine","modify","attributes","capabilities"],"events":["pre","post","notify","get","live"]}}"#;

/// A host on which A is an mtty-2 with attributes and B an mtty-1.
fn host() -> Host {
    let host = Host::new();
    host.mtty()
        .file(&format!("etc/mdevctl.d/mtty/{A}"), DEFINITION)
        .definition("mtty", B, "mtty-1", &[]);
    host
}

/// A script that notes how it is called, and then does this.
fn script(host: &Host, path: &str, body: &str) {
    let calls = host.at("calls");
    let text = format!(
        "#!/bin/sh\nin=$(cat; echo x)\necho \"{path} $* <${{in%x}}>\" >>{}\n{body}\n",
        calls.display()
    );
    raw_script(host, path, &text);
}

/// Written by another process: what is open for writing, be it in a child that another test has just forked, cannot
/// be executed.
pub(crate) fn raw_script(host: &Host, path: &str, text: &str) {
    let file = host.at(path);
    fs::create_dir_all(file.parent().expect("a folder")).expect("the tree takes a folder");
    let mut writer = Command::new("/bin/sh")
        .args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(file)
        .stdin(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut pipe = writer.stdin.take().expect("a pipe");
    pipe.write_all(text.as_bytes()).expect("the shell reads");
    drop(pipe);
    assert!(writer.wait().expect("it ends").success());
}

/// The calls since the last time, without the questions what a script knows.
fn calls(host: &Host) -> Vec<String> {
    let mut calls = all_calls(host);
    calls.retain(|call| !call.contains(" -a capabilities "));
    calls
}

fn all_calls(host: &Host) -> Vec<String> {
    let path = host.at("calls");
    let text = fs::read_to_string(&path).unwrap_or_default();
    drop(fs::remove_file(path));
    text.lines().map(str::to_owned).collect()
}

fn call(script: &str, event: &str, act: &str, outcome: &str, input: &str) -> String {
    call_of("mtty-2", A, (script, event, act, outcome), input)
}

fn call_of(mdev_type: &str, uuid: &str, call: (&str, &str, &str, &str), input: &str) -> String {
    let (script, event, act, outcome) = call;
    format!("{script} -t {mdev_type} -e {event} -a {act} -s {outcome} -u {uuid} -p mtty <{input}>")
}

fn vm() -> Domain {
    Domain::new("vm1", 1).with(A)
}
