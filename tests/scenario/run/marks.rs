//! Which devices are automdev's to see to: the command line says so, or a domain.

use super::host::{Host, answer};
use super::{A, B, defined, device};

const SEES: &str = "ls $ROOT/sys/bus/mdev/devices";

fn hostdev(uuid: &str, attributes: &str) -> String {
    format!(
        "<hostdev mode='subsystem' type='mdev' model='vfio-pci'{attributes}><source><address uuid='{uuid}'/></source></hostdev>"
    )
}

fn domain(host: &Host, metadata: &str, hostdevs: &str) -> String {
    let xml = format!("<domain><name>render01</name>{metadata}<devices>{hostdevs}</devices></domain>");
    host.file("domain.xml", &xml);
    host.at("domain.xml").display().to_string()
}

#[test]
fn a_domain_says_what_is_to_be_made() {
    let host = defined();
    let list = format!(
        "<metadata><automdev:devices xmlns:automdev='urn:automdev:domain:1'><automdev:mdev uuid='{A}'/></automdev:devices></metadata>"
    );
    let yes = " autocreate='yes'";
    for (metadata, hostdevs, seen) in [
        ("", hostdev(A, yes) + &hostdev(B, ""), format!("{A}\n")),
        (list.as_str(), hostdev(A, "") + &hostdev(B, ""), format!("{A}\n")),
        ("", hostdev(A, "") + &hostdev(B, yes), format!("{B}\n")),
        ("", hostdev(A, yes) + &hostdev(B, yes), format!("{A}\n{B}\n")),
        ("", hostdev(A, ""), String::new()),
    ] {
        let file = domain(&host, metadata, &hostdevs);
        let qemu = host.qemu(SEES);
        let mut command = host.command();
        command.args(["--domain", &file, "--"]).arg(&qemu);
        command.args(["-device", &device(A), "-device", &device(B)]);
        assert_eq!(answer(&mut command).ended(0).stdout, seen, "{metadata}{hostdevs}");
        host.assert_clean();
    }
}

#[test]
fn a_domain_that_cannot_be_used_is_told() {
    let host = defined();
    let qemu = host.qemu("");
    let run = |file: &str| {
        let mut command = host.command();
        command.args(["--domain", file, "--"]).arg(&qemu);
        answer(command.args(["-device", &device(A)]))
    };
    run("/nowhere.xml")
        .refused("cannot read the domain /nowhere.xml: No such file or directory (os error 2)");
    let file = domain(&host, "", &hostdev(A, " autocreate='perhaps'"));
    run(&file).refused(&format!(
        "the domain {file}: line 1, column 106: autocreate is \"yes\" or \"no\", not \"perhaps\""
    ));
    let pool = "<hostdev mode='subsystem' type='mdev' model='vfio-pci' autocreate='yes'><source pool='x'/></hostdev>";
    let file = domain(&host, "", pool);
    run(&file).refused("a device of a pool has no UUID yet; run the domain's XML through automdev rewrite");
}

#[test]
fn a_path_of_any_kind_leads_to_the_device() {
    let host = defined();
    let link = host.at("scripts/gpu");
    std::os::unix::fs::symlink(format!("/sys/bus/mdev/devices/{A}"), &link).expect("a link");
    std::os::unix::fs::symlink("gpu", host.at("scripts/other")).expect("a link");
    for path in [
        format!("/sys/bus/mdev/devices/{A}"),
        format!("/sys/class/mdev_bus/mtty/{A}"),
        format!("/sys/devices/virtual/mtty/mtty/{A}"),
        format!("/sys/class/mdev_bus/../mdev_bus/mtty/{A}/"),
        "/scripts/gpu".to_owned(),
        "/scripts/other".to_owned(),
        "gpu".to_owned(),
    ] {
        let qemu = host.qemu(SEES);
        let mut command = host.command();
        command.current_dir(host.at("scripts"));
        command
            .arg("--")
            .arg(qemu)
            .args(["-device", &format!("vfio-pci,sysfsdev={path}")]);
        assert_eq!(answer(&mut command).ended(0).stdout, format!("{A}\n"), "{path}");
        host.assert_clean();
    }
}

#[test]
fn the_parent_on_the_command_line_is_the_one_that_is_taken() {
    let host = Host::new();
    // Their driver is given no time of its own: the next one is at once.
    host.file("etc/automdev/automdev.toml", "[timeouts]\ngone = 0\n");
    host.nvidia("0000:41:00.0").nvidia("0000:42:00.0");
    host.definition("0000:41:00.0", A, "nvidia-222", &[])
        .definition("0000:42:00.0", A, "nvidia-231", &[]);
    let see = "basename $(realpath $ROOT/sys/bus/mdev/devices/*/..)";
    for parent in ["0000:41:00.0", "0000:42:00.0"] {
        let path = format!("vfio-pci,sysfsdev=/sys/class/mdev_bus/{parent}/{A}");
        let answer = host.run(see, &["-device", &path]).ended(0);
        assert_eq!(answer.stdout, format!("{parent}\n"));
        host.assert_clean();
    }
    assert_eq!(
        host.run(see, &["-device", &device(A)]).ended(0).stdout,
        "0000:41:00.0\n"
    );
    // It is there already, below another one.
    host.active("0000:41:00.0", "nvidia-222", A);
    let path = format!("vfio-pci,sysfsdev=/sys/class/mdev_bus/0000:42:00.0/{A}");
    host.run("", &["-device", &path]).refused(&format!(
        "cannot use {A}: it is looked for below 0000:42:00.0, but belongs below 0000:41:00.0; write sysfsdev=/sys/bus/mdev/devices/UUID, which is right wherever it is"
    ));
}
