//! From the XML that people write, by way of a real libvirt, to a device and back.

use std::fs;
use std::process::{Command, Output};

use crate::support::{A, Called, Definition, DomainXml, Host, call, files, virsh, virsh_fails};

/// The sample domains.
macro_rules! samples {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!($path))),*]
    };
}

const SAMPLES: [(&str, &str); 17] = samples![
    "../../samples/domains/crlf.xml",
    "../../samples/domains/gvtg-mixed.xml",
    "../../samples/domains/gvtg-refused.xml",
    "../../samples/domains/gvtg.xml",
    "../../samples/domains/lowered.xml",
    "../../samples/domains/minimal.xml",
    "../../samples/domains/mtty-refused.xml",
    "../../samples/domains/mtty.xml",
    "../../samples/domains/nvidia-refused.xml",
    "../../samples/domains/nvidia.xml",
    "../../samples/domains/oneline.xml",
    "../../samples/domains/pool.xml",
    "../../samples/domains/s390x-refused.xml",
    "../../samples/domains/s390x.xml",
    "../../samples/domains/several.xml",
    "../../samples/domains/tabs.xml",
    "../../samples/domains/workstation.xml",
];

/// `automdev`, with that on standard input.
fn automdev(arguments: &[&str], input: &str) -> Called {
    let mut command = Command::new("/usr/bin/automdev");
    call(command.args(arguments), input.as_bytes())
}

fn validate(file: &str) -> Output {
    let mut command = Command::new("virt-xml-validate");
    command
        .args([file, "domain"])
        .output()
        .expect("virt-xml-validate")
}

#[test]
fn the_attribute_is_enough() {
    let host = Host::new();
    host.define(A, &Definition::new("mtty", "mtty-2"));
    let written = DomainXml::new("written").with_unmarked(A).xml();
    let written = written.replace(
        "type='mdev' model='vfio-pci'",
        "type='mdev' model='vfio-pci' autocreate='yes'",
    );
    assert!(written.contains("autocreate='yes'"));
    fs::write("/tmp/vm.xml", &written).expect("a file");
    virsh_fails(&["define", "--validate", "/tmp/vm.xml"]);
    let planned = format!("/tmp/vm.xml: written would start\n  create  {A}  mtty-2 on mtty\n");
    let done = Called {
        status: Some(0),
        stdout: planned,
        stderr: String::new(),
    };
    assert_eq!(automdev(&["plan", "/tmp/vm.xml"], ""), done);
    host.assert_no_device(A);

    let line = "automdev rewrite /tmp/vm.xml | virsh define --validate /dev/stdin && virsh start written";
    let started = call(Command::new("sh").args(["-c", line]), b"");
    assert_eq!(
        (started.status, started.stderr.as_str()),
        (Some(0), ""),
        "{started:?}"
    );
    host.assert_device(A, "mtty", "mtty-2");
    assert!(
        files::holds_open(files::qemu_pid("written"), "mtty", A),
        "QEMU does not hold the device open"
    );

    // What libvirt keeps has nothing left to rewrite: of the domain that runs, and as it is defined.
    for dump in [
        &["dumpxml", "written"][..],
        &["dumpxml", "--inactive", "written"],
        &["dumpxml", "--security-info", "written"],
    ] {
        let kept = virsh(dump);
        assert!(kept.contains(A), "{kept}");
        let silent = Called {
            status: Some(0),
            stdout: String::new(),
            stderr: String::new(),
        };
        assert_eq!(automdev(&["rewrite", "--check"], &kept), silent, "{dump:?}");
        let same = Called {
            status: Some(0),
            stdout: kept.clone(),
            stderr: String::new(),
        };
        assert_eq!(automdev(&["rewrite"], &kept), same, "{dump:?}");
    }

    virsh(&["destroy", "written"]);
    host.assert_no_device(A);
    host.assert_clean();
}

#[test]
fn every_sample_becomes_what_libvirts_schema_allows() {
    for (path, sample) in SAMPLES {
        let rewritten = automdev(&["rewrite"], sample);
        assert_eq!(
            (rewritten.status, rewritten.stderr.as_str()),
            (Some(0), ""),
            "{path}"
        );
        fs::write("/tmp/sample.xml", &rewritten.stdout).expect("a file");
        let output = validate("/tmp/sample.xml");
        assert!(output.status.success(), "{path}: {output:?}");
        println!("{path}: {}", String::from_utf8_lossy(&output.stdout).trim());
    }
    // The test can fail: libvirt's schema does not know the attribute.
    let (_, minimal) = SAMPLES
        .iter()
        .find(|(path, _)| path.ends_with("minimal.xml"))
        .expect("a sample");
    fs::write("/tmp/sample.xml", minimal).expect("a file");
    assert!(!validate("/tmp/sample.xml").status.success());
}

#[test]
fn a_mark_outlives_libvirt_wherever_its_namespace_is_declared() {
    let host = Host::new();
    host.define(A, &Definition::new("mtty", "mtty-2"));
    let written = DomainXml::new("written").with(A).xml();
    let declaration = " xmlns:automdev='urn:automdev:domain:1'";
    let undeclared = written.replace(declaration, "");
    assert_ne!(written, undeclared);
    for (from, to) in [
        ("<domain type", format!("<domain{declaration} type")),
        ("<metadata>", format!("<metadata{declaration}>")),
        ("<automdev:devices>", format!("<automdev:devices{declaration}>")),
    ] {
        let xml = undeclared.replacen(from, &to, 1);
        fs::write("/tmp/vm.xml", &xml).expect("a file");
        virsh(&["define", "--validate", "/tmp/vm.xml"]);
        let kept = virsh(&["dumpxml", "written"]);
        let planned = Called {
            status: Some(0),
            stdout: format!("standard input: written would start\n  create  {A}  mtty-2 on mtty\n"),
            stderr: String::new(),
        };
        assert_eq!(automdev(&["plan"], &kept), planned, "{to}: {kept}");
        assert_eq!(automdev(&["rewrite"], &kept).stdout, kept, "{to}");
        virsh(&["undefine", "written"]);
    }
    host.assert_clean();
}
