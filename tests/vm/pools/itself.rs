//! Devices that are used themselves, under their own UUIDs, and devices that QEMU's command line takes from a pool.

use std::fs;
use std::process::Command;

use crate::run::qemu::{Qemu, wait_for_holder};
use crate::support::{A, Called, Definition, DomainXml, Host, call, files, virsh};

fn shell(line: &str) -> Called {
    call(Command::new("sh").args(["-c", line]), b"")
}

/// One that was made beforehand, by way of libvirt: refused, used itself, and replaced, as its pool and its user say.
#[test]
fn an_idle_device_under_libvirt() {
    let host = Host::new();
    host.define(A, &Definition::new("mtty", "mtty-1"));
    host.create_by_hand("mtty", "mtty-1", A);
    let inode = files::inode("mtty", A);
    let untouched = || {
        assert_eq!(files::inode("mtty", A), inode, "it is another one");
        assert_eq!(files::active(), [A]);
        assert_eq!(files::ledger(), Vec::<String>::new());
    };
    let member = format!("[[member]]\ndevice = '{A}'\n");
    host.pool("idle", &member);
    let written = DomainXml::new("idler").with_unmarked(A).xml();
    let written = written
        .replace("model='vfio-pci'", "model='vfio-pci' autocreate='yes'")
        .replace(&format!("<address uuid='{A}'/>"), "");
    let written = written.replace("<source></source>", "<source pool='idle'/>");
    assert!(written.contains("pool='idle'"), "{written}");
    fs::write("/tmp/idler.xml", written).expect("a file");

    let refused = shell("automdev rewrite /tmp/idler.xml | virsh create --validate /dev/stdin");
    let ways = format!(
        "let automdev run or automdev rewrite --pick use {A} itself, or give this member replace = true"
    );
    assert!(
        refused.status == Some(1) && refused.stderr.contains(&ways),
        "{refused:?}"
    );
    untouched();

    let started = shell("automdev rewrite --pick /tmp/idler.xml | virsh create /dev/stdin");
    assert_eq!((started.status, started.stderr.as_str()), (Some(0), ""));
    assert!(files::holds_open(files::qemu_pid("idler"), "mtty", A));
    assert_eq!(files::active(), [A]);
    let pools = call(Command::new("automdev").arg("pools"), b"").stdout;
    assert!(pools.contains(A) && pools.contains("idler"), "{pools}");
    let second = Command::new("automdev")
        .args(["run", "--", "qemu-system-x86_64", "-device", "vfio-pci,pool=idle"])
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(125), "{told}");
    assert!(told.contains("in use by idler"), "{told}");
    virsh(&["destroy", "idler"]);
    untouched();

    // By the hook, in the idle one's place.
    host.pool("idle", &format!("{member}replace = true\n"));
    let started = shell("automdev rewrite /tmp/idler.xml | virsh create --validate /dev/stdin");
    assert_eq!((started.status, started.stderr.as_str()), (Some(0), ""));
    let [own] = &files::active()[..] else {
        panic!("{:?}", files::active());
    };
    assert_ne!(own, A);
    assert!(files::holds_open(files::qemu_pid("idler"), "mtty", own));
    virsh(&["destroy", "idler"]);
    assert_ne!(files::inode("mtty", A), inode, "made anew");
    assert_eq!(files::active(), [A]);
    host.remove_by_hand(A);
    host.assert_clean();
}

/// QEMU gets a device under a UUID that nobody has, or an idle one that stays.
#[test]
fn a_command_line_that_names_a_pool() {
    let host = Host::without_libvirt();
    host.define(A, &Definition::new("mtty", "mtty-1"));
    host.create_by_hand("mtty", "mtty-1", A);
    let idle = format!("[[member]]\ndevice = '{A}'\n");
    host.pool("idle", &idle);
    host.pool(
        "new",
        "[[member]]\ntype = 'mdpy-hd'\n[[member]]\ntype = 'mtty-2'\n",
    );
    let inode = files::inode("mtty", A);
    let mut qemu = Qemu::start(&[
        "-monitor",
        "stdio",
        "-device",
        "vfio-pci,pool=idle,id=a",
        "-device",
        r#"{"driver":"vfio-pci","pool":"new","id":"b"}"#,
    ]);
    let pid = wait_for_holder(A);
    let made = files::of_type("mdpy", "mdpy-hd");
    let [made] = &made[..] else { panic!("{made:?}") };
    assert_eq!(wait_for_holder(made), pid);
    assert_eq!(files::active().len(), 2);
    qemu.type_in("quit\n");
    assert_eq!(qemu.end().status.code(), Some(0));
    assert_eq!(
        (files::inode("mtty", A), files::active()),
        (inode, vec![A.to_owned()])
    );
    host.remove_by_hand(A);
    host.assert_clean();
    // What QEMU does not get, nobody makes.
    host.pool("new", "[[member]]\ntype = 'nvidia-63'\n");
    let refused = Qemu::start(&["-device", "vfio-pci,pool=new"]).end();
    assert_eq!(refused.status.code(), Some(125), "{refused:?}");
    host.assert_clean();
}
