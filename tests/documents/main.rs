//! The documents say what is so: their examples print what they show, their lists are complete.

use std::fs;
use std::path::Path;
use std::process::Command;

mod blocks;
mod errors;
mod examples;
mod literals;
mod reference;

/// Each host has domains that fit and domains that do not.
#[test]
fn every_sample_host_takes_one_domain_and_refuses_another() {
    for (host, fits, refused) in [
        ("gvtg", "gvtg", "gvtg-refused"),
        ("mtty", "mtty", "mtty-refused"),
        ("nvidia", "nvidia", "nvidia-refused"),
        ("s390", "s390x", "s390x-refused"),
    ] {
        for (domain, status) in [(fits, 0), (refused, 3)] {
            let ended = Command::new(env!("CARGO_BIN_EXE_automdev"))
                .args(["--root", &format!("samples/hosts/{host}"), "plan"])
                .arg(format!("samples/domains/{domain}.xml"))
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .output()
                .expect("the program starts");
            assert_eq!(ended.status.code(), Some(status), "{host} {domain}: {ended:?}");
        }
    }
}

/// The sample pools are pools, and the one with every key is what the README shows.
#[test]
fn every_sample_pool_is_good() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in fs::read_dir(here.join("samples/pools")).expect("the samples") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a sample");
        let name = path.file_stem().expect("a name").to_string_lossy();
        let name = name.parse().expect("a pool's name");
        automdev::model::pool::Pool::parse(name, &text)
            .unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        count += 1;
    }
    assert!(count >= 3, "{count} samples");
    let readme = fs::read_to_string(here.join("README.md")).expect("a document");
    let sample = fs::read_to_string(here.join("samples/pools/vgpu-4g.toml")).expect("a sample");
    let (_, keys) = sample.split_once("\n\n").expect("a comment, then the keys");
    assert!(
        readme.contains(keys),
        "the README shows another file than samples/pools/vgpu-4g.toml"
    );
}

/// Who wants the hosts alike reads the inventory that the playbook has.
#[test]
fn the_page_about_several_hosts_shows_the_playbooks_inventory() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(here.join("docs/how-to.md")).expect("a document");
    let inventory = fs::read_to_string(here.join("samples/ansible/inventory.yml")).expect("a sample");
    assert!(
        page.contains(&format!("```yaml\n{inventory}```\n")),
        "docs/how-to.md shows another inventory than samples/ansible/inventory.yml"
    );
}

/// What the playbook's tasks have beside their module.
const NO_MODULES: [&str; 7] = [
    "name",
    "when",
    "block",
    "loop",
    "loop_control",
    "vars",
    "changed_when",
];

/// The playbook promises to need nothing but ansible-core. A task begins with its name; its other keys stand below that.
#[test]
fn the_playbook_uses_modules_of_ansible_core_alone() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(here.join("samples/ansible/site.yml")).expect("a sample");
    let (_, tasks) = text.split_once("\n  tasks:\n").expect("tasks");
    let lines: Vec<&str> = tasks.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut modules = 0;
    for (number, first) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.contains("- name: "))
    {
        let depth = indent(first) + 2;
        let rest = lines[number + 1..].iter();
        let rest = rest.take_while(|line| line.is_empty() || indent(line) >= depth);
        let keys = rest.filter(|line| indent(line) == depth && !line.trim_start().starts_with('#'));
        let keys: Vec<&str> = keys
            .filter_map(|line| Some(line.trim_start().split_once(':')?.0))
            .collect();
        let is_block = keys.contains(&"block");
        let of_task: Vec<&&str> = keys.iter().filter(|key| !NO_MODULES.contains(*key)).collect();
        assert_eq!(of_task.len(), usize::from(!is_block), "{first}: {keys:?}");
        assert!(
            of_task.iter().all(|key| key.starts_with("ansible.builtin.")),
            "{first}: {keys:?}"
        );
        modules += of_task.len();
    }
    assert!(modules >= 8, "only {modules} tasks");
}
