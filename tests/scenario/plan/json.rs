//! What programs get: one object a domain, one a line, exactly these keys in exactly this order.

use super::*;

#[test]
fn each_kind_of_device() {
    let host = defined();
    host.definition("mtty", C, "mtty-1", &[])
        .active("mdpy", "mdpy-hd", B);
    let skipped = "f0000000-0000-4000-8000-00000000000f";
    host.file(
        "vm.xml",
        &vm()
            .with(A)
            .with(B)
            .unmarked(skipped)
            .with(C)
            .model("vfio-ccw")
            .xml(),
    );
    let uuid = vm().uuid;
    let adopted = "it is active already, as defined, and is left standing";
    let not_there = format!(
        "it is not there, and the domain does not mark it, so that automdev will not make it; mark it \
         (autocreate='yes', or its UUID in the metadata), or make it beforehand (mdevctl start --uuid {skipped})"
    );
    let mismatch = "the domain says model=\\\"vfio-ccw\\\", but mtty-1 is vfio-pci; correct the domain's model or \
                    the definition's type";
    let devices = [
        format!(
            r#"{{"uuid":"{A}","action":"create","parent":"mtty","type":"mtty-2","model":"vfio-pci","attributes":[["power/control","on"]],"source":{{"kind":"definition","name":"/etc/mdevctl.d/mtty/{A}"}},"code":null,"reason":null}}"#
        ),
        format!(
            r#"{{"uuid":"{B}","action":"adopt","parent":"mdpy","type":"mdpy-hd","model":"vfio-pci","attributes":null,"source":{{"kind":"active","name":"/sys/bus/mdev/devices/{B}"}},"code":null,"reason":"{adopted}"}}"#
        ),
        format!(
            r#"{{"uuid":"{skipped}","action":"skip","parent":null,"type":null,"model":"vfio-pci","attributes":null,"source":null,"code":"not-there","reason":"{not_there}"}}"#
        ),
        format!(
            r#"{{"uuid":"{C}","action":"refuse","parent":"mtty","type":"mtty-1","model":"vfio-ccw","attributes":null,"source":null,"code":"model-mismatch","reason":"{mismatch}"}}"#
        ),
    ];
    let line = format!(
        r#"{{"schema":1,"file":"vm.xml","domain":{{"name":"vm1","uuid":"{uuid}"}},"startable":"no","devices":[{}]}}"#,
        devices.join(",")
    );
    ask(&host, &["--format", "json", "vm.xml"], "").answered(3, &format!("{line}\n"), "");
}

#[test]
fn a_device_with_no_attributes_has_an_empty_list_and_a_domain_with_no_devices_too() {
    let host = defined();
    let value = ask_json(&host, &vm().with(B));
    assert_eq!(value["devices"][0]["attributes"], serde_json::json!([]));
    let asked = ask(
        &host,
        &["--format", "json"],
        "<domain><name>a &amp; b</name><devices/></domain>",
    );
    asked.answered(
        0,
        "{\"schema\":1,\"file\":\"standard input\",\"domain\":{\"name\":\"a & b\",\"uuid\":null},\"startable\":\"yes\",\"devices\":[]}\n",
        "",
    );
}

#[test]
fn a_device_of_a_pool_that_has_no_uuid_yet() {
    let host = defined();
    let xml = vm().with(A).xml().replace(
        &format!("<address uuid='{A}'/>"),
        "<address uuid='f0000000-0000-4000-8000-00000000000f'/>",
    );
    let xml = xml.replace(
        "<source>\n        <address uuid='f0000000-0000-4000-8000-00000000000f'/>\n      </source>",
        "<source pool='vgpu'/>",
    );
    let xml = xml.replace("type='mdev'", "type='mdev' autocreate='yes'");
    let first = |xml: &str| {
        let asked = ask(&host, &["--format", "json"], xml);
        let value: serde_json::Value = serde_json::from_str(&asked.stdout).expect("JSON");
        assert_eq!(asked.status, Some(3), "{value}");
        value["devices"][0].clone()
    };
    // It has the one that rewrite gives it.
    let device = first(&xml);
    assert_eq!(
        (&device["uuid"], &device["action"], &device["code"]),
        (
            &"77dc8360-8c4a-5e9d-8226-36c9e731ae88".into(),
            &"refuse".into(),
            &"no-pool".into()
        ),
        "{device}"
    );
    // Which is made of the domain's name or UUID.
    let nameless = xml
        .replace("<name>vm1</name>", "")
        .replace("<uuid>", "<!-- ")
        .replace("</uuid>", " -->");
    let device = first(&nameless);
    assert_eq!(
        (&device["uuid"], &device["action"], &device["code"]),
        (&serde_json::Value::Null, &"refuse".into(), &"no-uuid".into()),
        "{device}"
    );
}
