//! Whole command lines.

use super::*;

const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
const C: &str = "90c6c135-ad44-41d0-b1b7-bae47de48627";
const D: &str = "9063cba3-ecef-47b6-abcf-3fef4fdcad85";

/// Arguments apart by blanks; `@A` and `@B` are the paths of two devices.
fn arguments(line: &str) -> Vec<OsString> {
    let line = line
        .replace("@A", &format!("/sys/bus/mdev/devices/{A}"))
        .replace("@B", &format!("/sys/bus/mdev/devices/{B}"));
    line.split_ascii_whitespace().map(OsString::from).collect()
}

fn read(line: &str) -> CommandLine {
    CommandLine::parse(arguments(line)).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn mdev(uuid: &str) -> Source {
    Source::Mdev {
        uuid: uuid.parse().expect("it is a UUID"),
        parent: None,
    }
}

fn pool(name: &str) -> Source {
    Source::Pool(name.parse().expect("it is a name"))
}

fn device(number: usize, source: Source) -> Device {
    Device {
        number,
        model: Model::VfioPci,
        source,
        mark: Mark::Absent,
    }
}

/// The choice of device B for every pool.
fn all_b(line: &CommandLine) -> BTreeMap<usize, MdevUuid> {
    let uuid: MdevUuid = B.parse().expect("it is a UUID");
    (0..line.devices.len()).map(|index| (index, uuid)).collect()
}

#[test]
fn every_mdev_is_found() {
    let path = |path: &str| Source::Path(path.into());
    for (line, expected) in [
        ("", vec![]),
        ("-version", vec![]),
        ("-device help", vec![]),
        ("-device vfio-pci,help", vec![]),
        ("-device vfio-pci,sysfsdev=@A,help", vec![]),
        ("-device vfio-pci,sysfsdev=@A,?", vec![]),
        ("-device vfio-pci,sysfsdev=@A", vec![device(2, mdev(A))]),
        ("--device vfio-pci,sysfsdev=@A", vec![device(2, mdev(A))]),
        (
            "x.img -device vfio-pci-nohotplug,id=a,sysfsdev=@A,ramfb=on",
            vec![device(3, mdev(A))],
        ),
        (
            "-device id=a,driver=vfio-pci,sysfsdev=@A",
            vec![device(2, mdev(A))],
        ),
        (
            "-device sysfsdev=@A,multifunction,driver=vfio-pci",
            vec![device(2, mdev(A))],
        ),
        (
            "-device virtio-net,driver=vfio-pci,sysfsdev=@A",
            vec![device(2, mdev(A))],
        ),
        ("-device vfio-pci,driver=virtio-net,sysfsdev=@A", vec![]),
        (
            "-device vfio-pci,sysfsdev=@A,sysfsdev=@B",
            vec![device(2, mdev(B))],
        ),
        ("-device vfio-pci,sysfsdev=/a,,b", vec![device(2, path("/a,b"))]),
        ("-device vfio-pci,,sysfsdev=@A", vec![]),
        ("-device vfio-pci,host=0000:01:00.0", vec![]),
        ("-device virtio-net,sysfsdev=@A", vec![]),
        ("-device VFIO-PCI,sysfsdev=@A", vec![]),
        (
            "-name -device -device vfio-pci,sysfsdev=@A",
            vec![device(4, mdev(A))],
        ),
        ("-append -device vfio-pci,sysfsdev=@A", vec![]),
        ("-device", vec![]),
        (
            r#"-device {"driver":"vfio-pci","sysfsdev":"@A"}"#,
            vec![device(2, mdev(A))],
        ),
        (
            r"-device {'driver':'vfio-pci','sysfsdev':'@A'}",
            vec![device(2, mdev(A))],
        ),
        (
            r#"-device {"driver":"vfio-pci","sysfs\u0064ev":"@A"}"#,
            vec![device(2, mdev(A))],
        ),
        (
            r#"-device {"driver":"vfio-pci","help":true,"sysfsdev":"@A"}"#,
            vec![device(2, mdev(A))],
        ),
        (r#"-device {"driver":"vfio-pci","host":"0000:01:00.0"}"#, vec![]),
        (r#"-device {"driver":"vfio-pci","sysfsdev":7}"#, vec![]),
        (r#"-device {"driver":"vfio-pci","sysfsdev":"@A""#, vec![]),
        (r#"-device {"a":{"driver":"vfio-pci","sysfsdev":"@A"}}"#, vec![]),
        ("-device vfio-pci,pool=p", vec![device(2, pool("p"))]),
        (
            r#"-device {"driver":"vfio-pci","pool":"p"}"#,
            vec![device(2, pool("p"))],
        ),
        (
            "-device vfio-pci,pool=p -device vfio-pci,pool=p -device vfio-pci,sysfsdev=@B",
            vec![device(2, pool("p")), device(4, pool("p")), device(6, mdev(B))],
        ),
    ] {
        assert_eq!(read(line).devices, expected, "{line}");
    }
}

#[test]
fn a_set_after_its_device_counts() {
    for (line, expected) in [
        (
            "-device vfio-pci,id=a,sysfsdev=@A -set device.a.sysfsdev=@B",
            vec![device(2, mdev(B))],
        ),
        (
            "-device vfio-pci,id=a -set device.a.sysfsdev=@B",
            vec![device(2, mdev(B))],
        ),
        (
            "-device vfio-pci,id=a,sysfsdev=@A -set device.a.driver=e1000e",
            vec![],
        ),
        (
            "-device vfio-pci,id=a,sysfsdev=@A -set device.b.sysfsdev=@B",
            vec![device(2, mdev(A))],
        ),
        (
            "-device vfio-pci,id=a,sysfsdev=@A -set drive.a.sysfsdev=@B",
            vec![device(2, mdev(A))],
        ),
        (
            "-set device.a.sysfsdev=@B -device vfio-pci,id=a,sysfsdev=@A",
            vec![device(4, mdev(A))],
        ),
        (
            r#"-device {"driver":"vfio-pci","id":"a","sysfsdev":"@A"} -set device.a.sysfsdev=@B"#,
            vec![device(2, mdev(A))],
        ),
    ] {
        assert_eq!(read(line).devices, expected, "{line}");
    }
}

#[test]
fn the_driver_tells_the_model() {
    for (driver, model) in [
        ("vfio-pci", Model::VfioPci),
        ("vfio-pci-nohotplug", Model::VfioPci),
        ("vfio-ccw", Model::VfioCcw),
        ("vfio-ap", Model::VfioAp),
    ] {
        for line in [
            format!("-device {driver},sysfsdev=@A"),
            format!(r#"-device {{"driver":"{driver}","sysfsdev":"@A"}}"#),
        ] {
            let models: Vec<_> = read(&line).devices.iter().map(|device| device.model).collect();
            assert_eq!(models, [model], "{line}");
        }
    }
}

/// The marks, and what QEMU gets.
#[test]
fn what_is_ours_is_read_and_taken_out() {
    use Mark::{Absent, No, Yes};
    for (line, marks, rendered) in [
        (
            "-device vfio-pci,sysfsdev=@A",
            vec![Absent],
            "-device vfio-pci,sysfsdev=@A",
        ),
        (
            "-device vfio-pci,autocreate=on,sysfsdev=@A",
            vec![Yes],
            "-device vfio-pci,sysfsdev=@A",
        ),
        (
            "-device vfio-pci,sysfsdev=@A,autocreate=off",
            vec![No],
            "-device vfio-pci,sysfsdev=@A",
        ),
        (
            "-device vfio-pci,sysfsdev=@A,autocreate=off,",
            vec![No],
            "-device vfio-pci,sysfsdev=@A,",
        ),
        (
            "-device vfio-pci,autocreate,sysfsdev=@A,x",
            vec![Yes],
            "-device vfio-pci,sysfsdev=@A,x",
        ),
        (
            "-device vfio-pci,noautocreate,sysfsdev=@A",
            vec![No],
            "-device vfio-pci,sysfsdev=@A",
        ),
        (
            "-device vfio-pci,autocreate=on,sysfsdev=@A,autocreate=off",
            vec![No],
            "-device vfio-pci,sysfsdev=@A",
        ),
        (
            "-device autocreate=on,driver=vfio-pci,sysfsdev=@A",
            vec![Yes],
            "-device driver=vfio-pci,sysfsdev=@A",
        ),
        (
            "-device vfio-pci,host=1:0.0,autocreate=off",
            vec![],
            "-device vfio-pci,host=1:0.0",
        ),
        (
            "-device vfio-pci,pool=p,id=a",
            vec![Absent],
            "-device vfio-pci,sysfsdev=@B,id=a",
        ),
        (
            "-device pool=p,driver=vfio-pci",
            vec![Absent],
            "-device sysfsdev=@B,driver=vfio-pci",
        ),
        (
            "-device vfio-pci,pool=q,id=a,,b,pool=p,autocreate=on",
            vec![Yes],
            "-device vfio-pci,id=a,,b,sysfsdev=@B",
        ),
        (
            r#"-device {"driver":"vfio-pci","autocreate":true,"sysfsdev":"@A"}"#,
            vec![Yes],
            r#"-device {"driver":"vfio-pci","sysfsdev":"@A"}"#,
        ),
        (
            r#"-device {"autocreate":"off","driver":"vfio-pci","sysfsdev":"@A"}"#,
            vec![No],
            r#"-device {"driver":"vfio-pci","sysfsdev":"@A"}"#,
        ),
        (
            r#"-device {"driver":"vfio-pci","sysfsdev":"@A","autocreate":false}"#,
            vec![No],
            r#"-device {"driver":"vfio-pci","sysfsdev":"@A"}"#,
        ),
        (
            r#"-device {"driver":"vfio-pci","p\u006fol":"p","autocreate":"on","id":"\u0061"}"#,
            vec![Yes],
            r#"-device {"driver":"vfio-pci","sysfsdev":"@B","id":"\u0061"}"#,
        ),
        (
            "-append autocreate=on,pool=p",
            vec![],
            "-append autocreate=on,pool=p",
        ),
        (
            "-device vfio-pci,pool=p,help",
            vec![],
            "-device vfio-pci,pool=p,help",
        ),
    ] {
        let read = read(line);
        let found: Vec<_> = read.devices.iter().map(|device| device.mark).collect();
        assert_eq!(found, marks, "{line}");
        assert_eq!(read.render(&all_b(&read)), arguments(rendered), "{line}");
    }
}

#[test]
fn white_space_in_json_stays_but_beside_what_is_ours() {
    let line = "{ \"driver\" : \"vfio-pci\" , \"autocreate\" : true , \"pool\" : \"p\" ,\n\"id\":\"a\" } ";
    let read = CommandLine::parse(vec!["-device".into(), line.into()]).expect("it is right");
    let expected = format!(
        "{{ \"driver\" : \"vfio-pci\" , \"sysfsdev\":\"/sys/bus/mdev/devices/{B}\" ,\n\"id\":\"a\" }} "
    );
    assert_eq!(
        read.render(&all_b(&read)),
        [OsString::from("-device"), expected.into()]
    );
}

#[test]
fn each_pool_gets_its_own_device() {
    let read = read(
        "-device vfio-pci,pool=p -device vfio-pci,sysfsdev=/x -device vfio-pci,pool=p -device vfio-pci,pool=q",
    );
    let chosen = [(0, B), (2, A), (1, C)]
        .into_iter()
        .map(|(index, uuid)| (index, uuid.parse().expect("it is a UUID")))
        .collect();
    let expected = "-device vfio-pci,sysfsdev=@B -device vfio-pci,sysfsdev=/x -device vfio-pci,sysfsdev=@A -device vfio-pci,pool=q";
    assert_eq!(read.render(&chosen), arguments(expected));
}

#[test]
fn what_is_wrong_is_refused_by_one_line_that_names_the_argument() {
    for (line, expected) in [
        (
            "-device vfio-pci,sysfsdev=@A,autocreate=yes",
            "autocreate is \"on\" or \"off\", not \"yes\"",
        ),
        ("-device vfio-pci,sysfsdev=@A,autocreate=", "not \"\""),
        ("-device vfio-pci,autocreate=ON,host=1", "not \"ON\""),
        (r#"-device {"driver":"vfio-pci","autocreate":1}"#, "not \"1\""),
        ("-device vfio-pci,autocreate=on", "needs sysfsdev="),
        ("-device vfio-pci,autocreate=on,host=1:0.0", "needs sysfsdev="),
        ("-device vfio-pci,pool=p,sysfsdev=@A", "both pool and sysfsdev"),
        (
            "-device vfio-pci,pool=p,id=a -set device.a.sysfsdev=@A",
            "argument 2, \"vfio-pci,pool=p",
        ),
        ("-device vfio-pci,pool=p,host=1:0.0", "both pool and host"),
        (
            r#"-device {"driver":"vfio-pci","pool":"p","fd":"7"}"#,
            "both pool and fd",
        ),
        (
            "-device vfio-pci,pool=p,autocreate=off",
            "both pool and autocreate=off",
        ),
        ("-device vfio-pci,pool=-p", "\"-p\" is not a pool's name"),
        ("-device vfio-pci,pool=", "\"\" is not a pool's name"),
        ("-device vfio-pci,pool=../p", "\"../p\" is not a pool's name"),
        ("-device vfio-pci,pool", "pool=NAME"),
        ("-device vfio-pci,nopool", "pool=NAME"),
        (r#"-device {"driver":"vfio-pci","pool":7}"#, "pool=NAME"),
        (
            "-device virtio-net,pool=p",
            "pool is for the drivers vfio-pci, vfio-pci-nohotplug, vfio-ccw and vfio-ap, not for \"virtio-net\"",
        ),
        (
            r#"-device {"driver":"virtio-net","autocreate":true}"#,
            "autocreate is for the drivers",
        ),
        ("-device pool=p", "not for \"\""),
        (
            "-device autocreate=on,multifunction,driver=vfio-pci,sysfsdev=@A",
            "write the driver first",
        ),
        (
            "-device vfio-pci,id=a -set device.a.pool=p",
            "argument 4, \"device.a.pool=p\": pool is understood in -device only",
        ),
        (
            "-device vfio-pci,sysfsdev=@A -device vfio-pci,sysfsdev=@A",
            "argument 4, ",
        ),
        (
            r#"-device vfio-pci,sysfsdev=@A -S -device {"driver":"vfio-pci","sysfsdev":"@A/"}"#,
            "the mdev c2177883-f1bb-47f0-914d-32a22e3a8804 is given by argument 2 already",
        ),
        (
            "-device vfio-pci,sysfsdev=/sys/bus/mdev/devices/C2177883-F1BB-47F0-914D-32A22E3A8804",
            "the kernel calls this device c2177883-f1bb-47f0-914d-32a22e3a8804",
        ),
    ] {
        let error = CommandLine::parse(arguments(line)).expect_err(line).to_string();
        assert!(error.contains(expected), "{line}: {error}");
        assert!(error.starts_with("QEMU's argument "), "{line}: {error}");
    }
    let text = OsString::from_vec(b"vfio-pci,\x1b[31m\n\xff,pool=".to_vec());
    let error = CommandLine::parse(vec!["-S".into(), "-device".into(), text]).expect_err("no pool");
    let expected = "QEMU's argument 3, \"vfio-pci,\\u{1b}[31m\\n\u{fffd},pool=\": \
        \"\" is not a pool's name: it is empty";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_device_that_is_not_to_be_made_may_have_any_path() {
    let line = format!(
        "-device vfio-pci,autocreate=off,sysfsdev=/sys/bus/mdev/devices/{}",
        A.to_uppercase()
    );
    assert_eq!(read(&line).devices, []);
}

#[test]
fn what_a_supervisor_must_know_is_noted() {
    let plain = read("");
    assert!(!plain.daemonize && !plain.paused);
    assert_eq!((plain.pidfile, plain.name, plain.uuid), (None, None, None));
    for (line, name) in [
        ("-name web", Some("web")),
        ("-name guest=web,debug-threads=on", Some("web")),
        ("-name debug-threads=on,guest=we,,b", Some("we,b")),
        ("-name debug-threads=on", None),
        ("-name web -name debug-threads=on", Some("web")),
        ("-name web -name db", Some("db")),
    ] {
        assert_eq!(read(line).name.as_deref(), name.map(OsStr::new), "{line}");
    }
    let all = read("--daemonize -pidfile /a -S -uuid 1 -pidfile /b -uuid 2");
    assert!(all.daemonize && all.paused);
    assert_eq!(all.pidfile, Some("/b".into()));
    assert_eq!(all.uuid, Some("2".into()));
    let hidden = read("-name -daemonize -append -S -kernel -pidfile x");
    assert!(!hidden.daemonize && !hidden.paused);
    assert_eq!(hidden.pidfile, None);
}

#[test]
fn what_was_not_looked_at_is_named() {
    let line = read("-readconfig a.cfg -global vfio-pci.sysfsdev=@A -global vfio-pci.x-no-mmap=on -set x -S");
    let expected = [
        Unseen::ReadConfig("a.cfg".into()),
        Unseen::Global(format!("vfio-pci.sysfsdev=/sys/bus/mdev/devices/{A}").into()),
    ];
    assert_eq!(line.unseen, expected);
}

/// One argument a line.
fn sample(text: &str) -> Vec<OsString> {
    text.lines().map(OsString::from).collect()
}

/// `libvirt-9.0` is what libvirt 9.0 writes for QEMU 7.2 (`virsh domxml-to-native qemu-argv`), `libvirt-probe`
/// how it runs QEMU to ask what it can do. The others have the shape of libvirt with a QEMU before 6.2, and
/// on s390.
#[test]
fn command_lines_of_libvirt_are_read_and_come_out_as_they_were() {
    let libvirt = include_str!("../../../tests/data/qemu/libvirt-9.0.argv");
    let probe = include_str!("../../../tests/data/qemu/libvirt-probe.argv");
    let key_value = include_str!("../../../tests/data/qemu/key-value.argv");
    let s390 = include_str!("../../../tests/data/qemu/s390.argv");
    let pci = Model::VfioPci;
    for (text, name, devices, daemonize) in [
        (libvirt, Some("render01"), vec![(pci, A), (pci, B)], false),
        (key_value, Some("render01"), vec![(pci, A), (pci, B)], false),
        (
            s390,
            Some("dasd01"),
            vec![(Model::VfioCcw, C), (Model::VfioAp, D)],
            false,
        ),
        (probe, None, vec![], true),
    ] {
        let line = CommandLine::parse(sample(text)).expect("libvirt writes no nonsense");
        let found: Vec<_> = line
            .devices
            .iter()
            .map(|device| (device.model, device.source.clone()))
            .collect();
        let expected: Vec<_> = devices
            .into_iter()
            .map(|(model, uuid)| (model, mdev(uuid)))
            .collect();
        assert_eq!(found, expected, "{text}");
        assert_eq!(line.name.as_deref(), name.map(OsStr::new), "{text}");
        assert_eq!(line.daemonize, daemonize, "{text}");
        assert_eq!(line.pidfile.is_some(), daemonize, "{text}");
        assert!(line.paused, "{text}");
        assert_eq!(line.unseen, [], "{text}");
        assert_eq!(line.render(&all_b(&line)), sample(text), "{text}");
    }
}

/// As `<qemu:override>` or a hand adds ours to what libvirt writes.
#[test]
fn ours_in_a_command_line_of_libvirt_leaves_no_trace() {
    let text = include_str!("../../../tests/data/qemu/libvirt-9.0.argv");
    let ours = text.replace(
        ",\"display\":\"off\"",
        ",\"autocreate\":\"on\",\"display\":\"off\"",
    );
    assert_ne!(ours, text);
    let line = CommandLine::parse(sample(&ours)).expect("it is right");
    assert_eq!(line.devices[1].mark, Mark::Yes);
    assert_eq!(line.render(&BTreeMap::new()), sample(text));
}
