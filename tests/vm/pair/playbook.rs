//! The playbook for Ansible among the samples, run in the near host for both, with nothing but Debian's ansible-core.

use serde_json::Value;

use super::side::{Side, sides};
use crate::support::{A, B, DomainXml};

/// The playbook, its templates and its inventory, as they are.
const FILES: [(&str, &str); 5] = [
    ("site.yml", include_str!("../../../samples/ansible/site.yml")),
    (
        "shipped.yml",
        include_str!("../../../samples/ansible/inventory.yml"),
    ),
    (
        "automdev.toml.j2",
        include_str!("../../../samples/ansible/automdev.toml.j2"),
    ),
    (
        "definition.json.j2",
        include_str!("../../../samples/ansible/definition.json.j2"),
    ),
    (
        "pool.toml.j2",
        include_str!("../../../samples/ansible/pool.toml.j2"),
    ),
];

/// Two hosts that have the program already, and differ in what they define.
const INVENTORY: &str = r#"
vgpu:
  hosts:
    near:
      automdev_definitions:
        - {uuid: aaaaaaaa-0000-4000-8000-000000000001, parent: mtty, type: mtty-2}
    far:
      automdev_definitions:
        - {uuid: aaaaaaaa-0000-4000-8000-000000000001, parent: mdpy, type: mdpy-vga, attributes: [[power/control, "on"]]}
  vars:
    ansible_user: root
    automdev_package: ""
    automdev_settings: {log_level: debug, timeouts: {parent: 1}}
    automdev_pools:
      - name: vgpu
        placement: pack
        members:
          - type: mtty-1
            attributes: [["power/control", "on"]]
            limit: 4
"#;

/// Runs one of Ansible's programs among the files.
fn ansible(near: &Side, line: &str) -> String {
    let told = near.sh(&format!(
        "cd /root/hosts && LC_ALL=C.UTF-8 ANSIBLE_PIPELINING=1 {line}"
    ));
    println!("{told}");
    told
}

/// Runs it; what it says of each host at last: `changed=4 …`.
fn run(near: &Side, options: &str) -> Vec<String> {
    let told = ansible(
        near,
        &format!("ansible-playbook -i inventory.yml site.yml {options}"),
    );
    let (_, recap) = told.split_once("PLAY RECAP").expect("a recap");
    let counts = |line: &str| {
        let mut counts = line.split_whitespace();
        let changed = counts.find(|count| count.starts_with("changed="))?;
        Some(changed.to_owned())
    };
    recap.lines().filter_map(counts).collect()
}

/// What is below the folders that it fills, and what is in it.
fn files(side: &Side) -> String {
    side.sh("cd /etc && find automdev mdevctl.d/m* -type f | sort | xargs -r grep .")
}

/// Both hosts, without anything that the playbook makes, and its files on the near one.
fn prepared() -> (Side, Side) {
    let (near, far) = sides();
    for side in [&near, &far] {
        side.sh("rm -rf /etc/automdev /root/hosts && mkdir /root/hosts");
    }
    for (name, text) in FILES.iter().chain([&("inventory.yml", INVENTORY)]) {
        near.put(&format!("/root/hosts/{name}"), text);
    }
    (near, far)
}

/// A host without automdev, which is given back to the other tests as they know it.
struct Fresh<'a>(&'a Side);

impl<'a> Fresh<'a> {
    fn new(side: &'a Side) -> Self {
        side.sh("rm /usr/bin/automdev /etc/libvirt/hooks/qemu.d/50-automdev");
        Fresh(side)
    }
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        let purge = "DEBIAN_FRONTEND=noninteractive dpkg --purge automdev; rm -f /root/automdev.deb";
        self.0.call(purge, "");
        self.0
            .call("install -m 0755 /automdev/automdev /usr/bin/automdev", "");
    }
}

/// With the inventory that comes with it, whose hosts nobody has here.
#[test]
fn ansible_reads_the_playbook_and_its_inventory() {
    let (near, _far) = prepared();
    let told = ansible(&near, "ansible-inventory -i shipped.yml --list");
    let read: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(read["vgpu"]["hosts"], serde_json::json!(["gpu1", "gpu2", "gpu3"]));
    let of = &read["_meta"]["hostvars"];
    // What YAML would take for a number is an address all the same.
    for (host, parent) in [("gpu1", "0000:41:00.0"), ("gpu2", "0000:81:00.0")] {
        assert_eq!(of[host]["automdev_definitions"][0]["parent"], parent);
    }
    assert_eq!(of["gpu3"]["automdev_pools"][0]["members"][0]["limit"], 4);
    ansible(&near, "ansible-playbook -i shipped.yml site.yml --syntax-check");
}

/// One host, which has never seen automdev: the playbook installs the package, and the host is looked over by it.
#[test]
#[ignore = "takes some minutes"]
fn the_package_is_installed_by_the_playbook() {
    let (near, far) = prepared();
    let _fresh = Fresh::new(&far);
    near.sh("cp /automdev/automdev.deb /root/hosts/");
    let with_package = "--limit far -e automdev_package=automdev.deb";
    let changed = run(&near, with_package);
    let version =
        far.sh("dpkg-query -W -f '${Status} ' automdev; readlink /etc/libvirt/hooks/qemu.d/50-automdev");
    let again = run(&near, with_package);
    // The copy, the package, and what a host that has it gets.
    assert_eq!(
        (changed, again),
        (vec!["changed=6".to_owned()], vec!["changed=0".to_owned()])
    );
    assert_eq!(version, "install ok installed /usr/bin/automdev\n");
}

#[test]
#[ignore = "takes a quarter of an hour"]
fn the_playbook_makes_hosts_alike_and_a_second_run_changes_nothing() {
    let (near, far) = prepared();

    run(&near, "--check --diff");
    for side in [&near, &far] {
        assert_eq!(side.call("ls /etc/automdev /etc/mdevctl.d/m*/*", "").stdout, "");
    }

    assert_eq!(run(&near, ""), ["changed=4", "changed=4"]);
    let both = [files(&near), files(&far)];
    assert_eq!(run(&near, ""), ["changed=0", "changed=0"]);
    assert_eq!([files(&near), files(&far)], both);

    let domain = DomainXml::new("alike").with(A).of_pool(B, "vgpu");
    near.put("/tmp/alike.xml", domain.xml());
    assert_eq!(
        near.sh("automdev plan --host near --host far --all /tmp/alike.xml"),
        "HOST  DOMAIN  STARTS  WHERE\n\
         near  alike   may     mtty-2 on mtty, and 1 more\n\
         far   alike   yes     mdpy-vga on mdpy, and 1 more\n\
         alike can start on 2 of 2 hosts\n"
    );
    near.assert_clean(&[]);
    far.assert_clean(&[]);
}
