//! What `types`, `list` and `show` print.

use super::*;

const SAMPLES: [&str; 4] = ["gvtg", "mtty", "nvidia", "s390"];

#[test]
fn an_s390_host() {
    let host = Tree::of_sample("s390");
    assert_eq!(
        automdev(&host, "types").printed(),
        "\
0.0.0052
  vfio_ccw-io  vfio-ccw  1 free  I/O subchannel (Non-QDIO)
0.0.0053
  vfio_ccw-io  vfio-ccw  none free  I/O subchannel (Non-QDIO)
    8e7d6c5b-4a39-4281-8706-f5e4d3c2b1a0 claimed by zbackup
0.0.0054
  vfio_ccw-io  vfio-ccw  1 free  I/O subchannel (Non-QDIO)
matrix
  vfio_ap-passthrough  vfio-ap  65536 free  VFIO AP Passthrough Device
"
    );
    assert_eq!(
        automdev(&host, "list").printed(),
        "  UUID                                  TYPE                 DEFINED  MADE BY
0.0.0052
  9063cba3-ecef-47b6-abcf-3fef4fdcad85  vfio_ccw-io          manual   -
0.0.0053
  1c2d3e4f-5061-4728-8394-a5b6c7d8e9fa  vfio_ccw-io          manual   -
  8e7d6c5b-4a39-4281-8706-f5e4d3c2b1a0  vfio_ccw-io          manual   other
      claimed by zbackup
0.0.0060
  2d3e4f50-6172-4839-84a5-b6c7d8e9fa0b  vfio_ccw-io          manual   -
      ! 0.0.0060 is there, but its driver offers no mediated devices; load the
      driver that does
matrix
  669d9b23-fe1b-4ecb-be08-a2fabca99b71  vfio_ap-passthrough  auto     -
"
    );
    assert_eq!(
        automdev(&host, "show 669d9b23-fe1b-4ecb-be08-a2fabca99b71").printed(),
        "\
669d9b23-fe1b-4ecb-be08-a2fabca99b71
  defined  as vfio_ap-passthrough on matrix, start auto
             assign_adapter = \"5\"
             assign_adapter = \"6\"
             assign_domain = \"0xab\"
             assign_control_domain = \"0xab\"
           /etc/mdevctl.d/matrix/669d9b23-fe1b-4ecb-be08-a2fabca99b71
"
    );
    assert_eq!(
        automdev(&host, "show 8e7d6c5b-4a39-4281-8706-f5e4d3c2b1a0").printed(),
        "\
8e7d6c5b-4a39-4281-8706-f5e4d3c2b1a0
  defined  as vfio_ccw-io on 0.0.0053, start manual
           /etc/mdevctl.d/0.0.0053/8e7d6c5b-4a39-4281-8706-f5e4d3c2b1a0
  active   as vfio_ccw-io (vfio-ccw) on 0.0.0053, not made by automdev
           /sys/class/mdev_bus/0.0.0053/8e7d6c5b-4a39-4281-8706-f5e4d3c2b1a0
           /dev/vfio/3
  claimed  by zbackup
  open     in qemu-system-s39 (912)
"
    );
}

#[test]
fn a_terminal_of_80_columns_is_enough() {
    for sample in SAMPLES {
        let host = Tree::of_sample(sample);
        let mut text = automdev(&host, "types").printed() + &automdev(&host, "list").printed();
        for line in automdev(&host, "list --format json").printed().lines() {
            let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let uuid = row["uuid"].as_str().expect("a UUID");
            text += &automdev(&host, &format!("show {uuid}")).printed();
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{sample}: {line}");
            assert_eq!(line, line.trim_end(), "{sample}");
        }
    }
}

#[test]
fn nothing_is_changed_by_looking() {
    for sample in SAMPLES {
        let host = Tree::of_sample(sample);
        let before = host.snapshot();
        for line in ["types", "list", "types --format json", "list --format json"] {
            automdev(&host, line).printed();
        }
        before.assert_unchanged(&host.snapshot());
    }
}

#[test]
fn a_host_with_nothing_says_so() {
    let host = Tree::new();
    assert_eq!(
        automdev(&host, "types").printed(),
        "no device of this host offers mediated devices; is the driver loaded?\n"
    );
    assert_eq!(
        automdev(&host, "list").printed(),
        "nothing is defined and no mediated device is there\n"
    );
    assert_eq!(automdev(&host, "list --problems").printed(), "no problems\n");
    for line in ["types --format json", "list --format json"] {
        assert_eq!(automdev(&host, line).printed(), "");
    }
    assert_eq!(
        automdev(&host, &format!("show {A}")).failed(),
        format!("automdev: {A} is neither defined nor active on this host; automdev list shows what is\n")
    );
    assert_eq!(
        automdev(&host, "types --parent mtty").failed(),
        "automdev: mtty offers no mediated devices on this host; automdev types shows which parents do\n"
    );
}

#[test]
fn what_is_there_is_told_apart_by_who_made_it() {
    let host = Host::new();
    host.mtty()
        .mdpy()
        .definition("mtty", A, "mtty-2", &[("power/control", "on")])
        .definition("mdpy", B, "mdpy-hd", &[]);
    host.active("mtty", "mtty-1", B);
    host.prepare(&Domain::new("render01", 1).with(A)).done();
    let claimant = "d0000000-0000-4000-8000-000000000001";
    let line = |text: &str| text.to_owned() + "\n";
    assert_eq!(
        automdev(&host, "list --format json").printed(),
        line(&format!(
            r#"{{"schema":1,"uuid":"{B}","parent":"mdpy","type":"mdpy-hd","defined":{{"file":"/etc/mdevctl.d/mdpy/{B}","start":"manual","type":"mdpy-hd","attributes":[]}},"active":null,"claims":[],"problems":[]}}"#
        )) + &line(&format!(
            r#"{{"schema":1,"uuid":"{A}","parent":"mtty","type":"mtty-2","defined":{{"file":"/etc/mdevctl.d/mtty/{A}","start":"manual","type":"mtty-2","attributes":[["power/control","on"]]}},"active":{{"device_api":"vfio-pci","made_by":"automdev"}},"claims":[{{"name":"render01","domain":"{claimant}","pid":null,"state":"pending"}}],"problems":[]}}"#
        )) + &line(&format!(
            r#"{{"schema":1,"uuid":"{B}","parent":"mtty","type":"mtty-1","defined":null,"active":{{"device_api":"vfio-pci","made_by":"other"}},"claims":[],"problems":[{{"code":"active-mismatch","text":"it is active as mtty-1 on mtty, but defined as mdpy-hd on mdpy"}}]}}"#
        ))
    );
    assert_eq!(
        automdev(&host, "types --parent mtty --format json").printed(),
        line(&format!(
            r#"{{"schema":1,"parent":"mtty","libvirt_name":"mtty_mtty","gpu":"mtty","types":[{{"type":"mtty-1","name":"Single port serial","description":null,"device_api":"vfio-pci","available":21,"active":["{B}"]}},{{"type":"mtty-2","name":"Dual port serial","description":null,"device_api":"vfio-pci","available":10,"active":["{A}"]}}]}}"#
        ))
    );
    assert_eq!(
        automdev(&host, "list --parent mtty").printed(),
        format!(
            "  UUID                                  TYPE    DEFINED  MADE BY\nmtty\n  {A}  mtty-2  manual   automdev\n      \
             claimed by render01 (starting or just ended)\n  {B}  mtty-1  -        other\n      ! it is active as \
             mtty-1 on mtty, but defined as mdpy-hd on mdpy\n"
        )
    );
}

#[test]
fn what_somebody_left_is_marked() {
    let host = Host::without_libvirt();
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    host.prepare(&Domain::new("vm1", 1).with(A)).done();
    let listed = automdev(&host, "list").printed();
    assert!(
        listed.contains("claimed by vm1 (gone)\n      ! automdev made it, and nobody uses it any more; run automdev reconcile\n"),
        "{listed}"
    );
}
