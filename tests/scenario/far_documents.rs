//! What docs/how-to.md shows of several hosts is what is printed, where a stand-in for ssh gets to them.

use std::process::{Command, Stdio};

use crate::far::Far;
use crate::hook::host::{Host, program};
use crate::support::Tree;

#[path = "../documents/blocks.rs"]
mod blocks;

/// The mark of the blocks that are run here.
const MARK: &str = "run by tests/scenario/far_documents.rs";

/// A domain, its XML as people write it.
fn xml(name: &str, source: &str) -> String {
    format!(
        "<domain type='kvm'>\n  <name>{name}</name>\n  <devices>\n    <hostdev mode='subsystem' type='mdev' \
         model='vfio-pci' autocreate='yes'>\n      <source{source}</source>\n    </hostdev>\n  </devices>\n</domain>\n"
    )
}

#[test]
fn the_page_about_several_hosts_shows_what_is_printed() {
    let (gpu1, gpu2, gpu3, here) = (Host::new(), Host::new(), Host::new(), Host::new());
    let pool = "[[member]]\ntype = \"nvidia-222\"\n";
    gpu1.nvidia("0000:41:00.0")
        .file("etc/automdev/pools.d/vgpu.toml", pool);
    gpu2.nvidia("0000:81:00.0")
        .file("etc/automdev/pools.d/vgpu.toml", pool);
    gpu3.mtty();
    here.mtty()
        .definition("mtty", "c2177883-f1bb-47f0-914d-32a22e3a8804", "mtty-2", &[]);
    let folder = Tree::new();
    let device = "><address uuid='5d2d1f7a-2b0e-4f3a-9c57-0f6e8d1c4b2a'/>";
    folder.file("render.xml", &xml("render", device)).file(
        "pool.xml",
        &xml("design", " pool='vgpu'>").replace("></source>", "/>"),
    );
    let far = Far::new();
    far.host("gpu1", &gpu1)
        .host("gpu2", &gpu2)
        .host("gpu3", &gpu3)
        .script(
            "gpu4",
            "echo 'ssh: connect to host gpu4 port 22: No route to host' >&2\nexit 255",
        );

    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/how-to.md"));
    let text = text.expect("the page");
    let examples = blocks::blocks(&text);
    let examples = examples
        .iter()
        .filter(|block| block.mark.as_deref() == Some(MARK) && block.language == "console");
    let (mut count, mut wrong) = (0, Vec::new());
    for example in examples.flat_map(blocks::Block::examples) {
        assert_eq!(example.prompt, '#', "{}", example.command);
        let printed = run(&far, &here, &folder, &example.command);
        if !example.prints(&printed) {
            wrong.push(format!(
                "docs/how-to.md:{}: # {}\nshown:\n{}\nprinted:\n{printed}",
                example.line, example.command, example.output
            ));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 4, "only {count} examples");
}

/// Runs a line as root would on a host; what is printed on either output.
fn run(far: &Far, here: &Tree, folder: &Tree, line: &str) -> String {
    let function = format!(
        "automdev() {{ '{}' --root '{}' \"$@\"; }}",
        program().display(),
        here.path().display()
    );
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{function}\n{line}")])
        .current_dir(folder.path())
        .env_clear()
        .envs([("LC_ALL", "C.UTF-8"), ("TERM", "xterm")])
        .env("PATH", format!("{}:/usr/bin:/bin", far.at("").display()))
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    String::from_utf8(output.stdout).expect("UTF-8")
}
