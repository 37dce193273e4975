//! The playbook for Ansible among the samples, run in the near host for both, with nothing but Debian's ansible-core.

use super::side::{Side, sides};
use crate::support::{A, B, DomainXml};

/// The playbook and its templates, as they are.
const FILES: [(&str, &str); 4] = [
    ("site.yml", include_str!("../../../samples/ansible/site.yml")),
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

/// Runs it; what it says of each host at last: `changed=4 …`.
fn run(near: &Side, options: &str) -> Vec<String> {
    let told = near.sh(&format!(
        "cd /root/hosts && LC_ALL=C.UTF-8 ANSIBLE_PIPELINING=1 ansible-playbook -i inventory.yml site.yml {options}"
    ));
    println!("{told}");
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

#[test]
#[ignore = "takes a quarter of an hour"]
fn the_playbook_makes_hosts_alike_and_a_second_run_changes_nothing() {
    let (near, far) = sides();
    for side in [&near, &far] {
        side.sh("rm -rf /etc/automdev /root/hosts && mkdir /root/hosts");
    }
    for (name, text) in FILES.iter().chain([&("inventory.yml", INVENTORY)]) {
        near.put(&format!("/root/hosts/{name}"), text);
    }

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
