//! The dry run.

use super::*;
use std::process::Command;

fn plan(host: &Host, domain: &Domain, json: bool) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_automdev"));
    command.arg("--root").arg(host.path()).arg("plan");
    if json {
        command.args(["--format", "json"]);
    }
    let child = crate::hook::host::spawn(&mut command, domain.xml().as_bytes());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (
        output.status.code(),
        String::from_utf8(output.stdout).expect("UTF-8"),
    )
}

#[test]
fn the_place_that_would_be_taken_now() {
    let host = Host::new();
    host.ports("a", 1).ports("b", 1).pool("p", &of_type("mtty-1"));
    let before = host.snapshot();
    let (status, text) = plan(&host, &vm(1, &["p", "p"]), false);
    let line = |uuid: String, parent: &str| {
        format!(
            "  create  {uuid}  mtty-1 on {parent}\n          a place of pool p now; another start may take it first\n"
        )
    };
    assert_eq!(
        text,
        format!(
            "standard input: vm1 would start\n{}{}",
            line(device(16), "a"),
            line(device(17), "b")
        )
    );
    assert_eq!(status, Some(0));
    let (_, text) = plan(&host, &vm(1, &["p"]), true);
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        value["devices"][0]["source"],
        serde_json::json!({"kind": "pool", "name": "p"})
    );
    before.assert_unchanged(&host.snapshot());
    // It holds, and what it says of one more holds, too.
    host.prepare(&vm(1, &["p", "p"])).done();
    let (status, text) = plan(&host, &vm(2, &["p"]), true);
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (status, value["devices"][0]["code"].as_str()),
        (Some(3), Some("no-place"))
    );
    assert!(!host.prepare(&vm(2, &["p"])).succeeded());
}
