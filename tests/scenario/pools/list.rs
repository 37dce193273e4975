//! `automdev pools`.

use super::*;
use std::process::Command;

fn pools(host: &Host, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_automdev"));
    command
        .arg("--root")
        .arg(host.path())
        .arg("pools")
        .args(arguments);
    let output = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn json(host: &Host) -> Vec<serde_json::Value> {
    let (status, text, _) = pools(host, &["--format", "json"]);
    assert_eq!(status, Some(0));
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

const IDLE: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

#[test]
fn members_what_is_free_and_who_uses_what() {
    let host = Host::new();
    host.ports("a", 8)
        .ports("b", 4)
        .definition("b", IDLE, "mtty-1", &[]);
    host.active("b", "mtty-1", IDLE);
    host.pool(
        "serial",
        &format!(
            "numa = 'prefer'\n[[member]]\ntype = 'mtty-1'\nparents = ['a']\nlimit = 3\n\
             [[member]]\ndevice = '{IDLE}'\nreplace = true\n"
        ),
    );
    host.prepare(&vm(1, &["serial", "serial"])).done();
    host.domain("vm1", &vm(1, &[]).uuid, 4001);
    let (status, text, errors) = pools(&host, &[]);
    let line = |number: u32| format!("      {}  mtty-1 on a  vm1\n", device(number));
    assert_eq!(
        text,
        format!(
            "serial  order, near the domain's memory: prefer\n  mtty-1 on a: 2 used, 1 free, at most 3\n{}{}  \
             device {IDLE}: 0 used, 1 free\n",
            line(16),
            line(17)
        )
    );
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    let line = &json(&host)[0];
    assert_eq!(
        line["members"][0]["used"][0],
        serde_json::json!({"uuid": device(16), "parent": "a", "type": "mtty-1",
            "claims": [{"name": "vm1", "domain": vm(1, &[]).uuid, "pid": null, "state": "running"}]})
    );
    assert_eq!(
        line["members"][1],
        serde_json::json!({"kind": "device", "type": null, "uuid": IDLE, "parents": null, "limit": null,
            "replace": true, "free": 1, "used": [],
            "places": [{"parent": "b", "type": "mtty-1", "available": 3, "cordoned": false, "node": null}]})
    );
    // What makes way is used by whoever has its place.
    host.prepare(&vm(2, &["serial", "serial"])).done();
    let line = &json(&host)[0];
    assert_eq!(line["members"][0]["free"], 0);
    assert_eq!(line["members"][1]["used"][0]["uuid"], device(33), "{line}");
    assert_eq!(line["members"][1]["free"], 0);
    // A file that says something else now does not hide them.
    host.pool("serial", &of_type("mtty-2"));
    let line = &json(&host)[0];
    assert_eq!(line["others"].as_array().map(Vec::len), Some(4));
}

/// The functions of one GPU all tell of its last place.
#[test]
fn what_is_free_on_a_gpu_of_several_functions() {
    let host = Host::new();
    host.nvidia_sriov("0000:61:00.0", 12).nvidia("0000:41:00.0");
    host.pool("vgpu", &of_type("nvidia-231"));
    assert_eq!(json(&host)[0]["members"][0]["free"], 8 + 8);
    host.pool(
        "vgpu",
        "[[member]]\ntype = 'nvidia-231'\nparents = ['0000:61:*']\n",
    );
    host.prepare(&vm(1, &["vgpu", "vgpu"])).done();
    assert_eq!(json(&host)[0]["members"][0]["free"], 6);
    host.file("etc/automdev/automdev.toml", "cordon = ['0000:61:*']\n");
    assert_eq!(json(&host)[0]["members"][0]["free"], 0);
}

#[test]
fn what_is_wrong_is_said_and_harms_no_other() {
    let host = Host::new();
    host.ports("a", 4);
    host.pool("bad", "[[member]]\ntype = 'mtty-1'\nmore = 1\n")
        .pool(
            "lost",
            &format!("[[member]]\ntype = 'mtty-1'\nparents = ['0000:*', 'a']\n[[member]]\ntype = 'nvidia-63'\n[[member]]\ndevice = '{IDLE}'\n[[member]]\ndefinition = '{}'\n", device(9)),
        )
        .file("etc/automdev/pools.d/notes.txt", "")
        .file("etc/automdev/pools.d/.hidden.toml", "")
        .file("etc/automdev/pools.d/-x.toml", "");
    let (status, _, errors) = pools(&host, &[]);
    assert_eq!(status, Some(0));
    assert_eq!(
        errors,
        "automdev: warning: /etc/automdev/pools.d/-x.toml: \"-x\" is not a pool's name: it must start with a letter \
         or a digit\n\
         automdev: warning: /etc/automdev/pools.d/notes.txt: its name does not end in .toml; it is no pool\n"
    );
    let lines = json(&host);
    let codes = |line: &serde_json::Value| -> Vec<String> {
        let problems = line["problems"].as_array().into_iter().flatten();
        problems
            .filter_map(|problem| problem["code"].as_str().map(str::to_owned))
            .collect()
    };
    assert_eq!(codes(&lines[0]), ["pool-broken"]);
    assert!(
        lines[0]["problems"][0]["text"]
            .as_str()
            .is_some_and(|text| text.contains("bad.toml: line 3, column 1: there is no key more")),
        "{}",
        lines[0]
    );
    assert_eq!(
        codes(&lines[1]),
        ["parent-absent", "type-unknown", "not-there", "no-definition"]
    );
    assert_eq!(
        lines[1]["problems"][0]["text"],
        "/etc/automdev/pools.d/lost.toml: line 3, column 12: 0000:* means no parent of this host"
    );
    assert_eq!(lines[1]["members"][0]["free"], 4);
    // That no parent offers it, where no parent is meant, need not be said as well.
    host.pool("lost", "[[member]]\ntype = 'mtty-1'\nparents = ['0000:*']\n");
    assert_eq!(codes(&json(&host)[1]), ["parent-absent"]);
    let (status, text, errors) = pools(&host, &["last"]);
    assert_eq!((status, text.as_str()), (Some(1), ""));
    assert_eq!(
        errors,
        "automdev: this host has no pool last (did you mean lost?); describe it in /etc/automdev/pools.d/last.toml\n"
    );
}

/// A cordon of nothing, and a domain of libvirt's that names a pool which is not there.
#[test]
fn what_others_say_of_pools_is_looked_at_too() {
    let host = Host::new();
    host.ports("a", 4).pool("vgpu-4g", &of_type("mtty-1"));
    host.file(
        "etc/automdev/automdev.toml",
        "cordon = [\n  'a',\n  '0000:42:*',\n]\n",
    )
    .file(
        "etc/libvirt/qemu/vm1.xml",
        &vm(1, &["vgpu-4g", "vgpu-8g", "vgpu-8g"]).xml(),
    )
    .file("etc/libvirt/qemu/vm2.xml", &vm(2, &["vgpu-4g"]).xml())
    .file("etc/libvirt/qemu/vm3.xml", "<domain");
    let unmeant = "automdev: warning: /etc/automdev/automdev.toml: line 3, column 3: 0000:42:* means no parent of this \
                   host\n";
    let (status, text, errors) = pools(&host, &[]);
    assert_eq!(
        (status, text.as_str()),
        (Some(0), "vgpu-4g  order\n  mtty-1: 0 used, 0 free (a cordoned)\n")
    );
    assert_eq!(
        errors,
        format!(
            "automdev: warning: vm1: this host has no pool vgpu-8g (did you mean vgpu-4g?); describe it in \
             /etc/automdev/pools.d/vgpu-8g.toml\n{unmeant}"
        )
    );
    let (status, _, errors) = pools(&host, &["vgpu-4g"]);
    assert_eq!((status, errors.as_str()), (Some(0), unmeant));
}

#[test]
fn a_host_without_pools() {
    let host = Host::new();
    let (status, text, errors) = pools(&host, &[]);
    assert_eq!(
        (status, text.as_str(), errors.as_str()),
        (Some(0), "no pools in /etc/automdev/pools.d\n", "")
    );
}
