//! Every reason for which a start would be refused, with its stable word.

use super::*;

const DEFINE: &str = "make one with automdev define --uuid UUID --parent PARENT --type TYPE";

#[test]
fn no_definition_and_the_nearest_ones() {
    let host = defined();
    let off = |from: &str, to: &str| A.replacen(from, to, 1);
    for (uuid, near) in [
        (C.to_owned(), String::new()),
        // A digit that is another one, and two that have changed places.
        (off("c2177883", "c2177885"), format!(" (did you mean {A}?)")),
        (off("c217", "c271"), format!(" (did you mean {A}?)")),
    ] {
        refused(
            &host,
            &vm().with(&uuid).with(B),
            &[
                (
                    "no-definition",
                    &format!("this host has no definition of it{near}; {DEFINE}"),
                ),
                ("create", "mdpy-hd on mdpy"),
            ],
        );
    }
}

#[test]
fn a_definition_that_is_broken() {
    let host = defined();
    host.file(&format!("etc/mdevctl.d/mtty/{C}"), "{\"mdev_type\":");
    refused(
        &host,
        &vm().with(C),
        &[(
            "definition-broken",
            &format!(
                "its definition /etc/mdevctl.d/mtty/{C} is broken: line 1, column 13: the JSON ends too early; \
                 mend the file"
            ),
        )],
    );
    // It harms nobody else.
    assert_eq!(ask_json(&host, &vm().with(A))["startable"], "yes");
}

#[test]
fn a_parent_that_is_not_there() {
    let host = defined();
    host.definition("mttty", C, "mtty-1", &[]);
    refused(
        &host,
        &vm().with(C),
        &[(
            "parent-absent",
            "this host has no device mttty (did you mean mtty?); load its driver, or move the definition to another \
             parent",
        )],
    );
}

#[test]
fn a_parent_with_no_mediated_devices() {
    let host = defined();
    let folder = "sys/devices/pci0000:00/0000:00:02.0";
    host.file(&format!("{folder}/vendor"), "0x8086\n")
        .link("sys/bus/pci/devices/0000:00:02.0", folder)
        .definition("0000:00:02.0", C, "i915-GVTg_V5_4", &[]);
    refused(
        &host,
        &vm().with(C),
        &[(
            "not-mdev",
            "0000:00:02.0 is there, but its driver offers no mediated devices; load the driver that does",
        )],
    );
}

#[test]
fn a_virtual_function_of_nvidia_that_has_left_mdev() {
    let host = defined();
    let folder = "sys/devices/pci0000:80/0000:81:00.4";
    host.file(&format!("{folder}/nvidia/current_vgpu_type"), "0\n")
        .link("sys/bus/pci/devices/0000:81:00.4", folder)
        .definition("0000:81:00.4", C, "nvidia-1133", &[]);
    refused(
        &host,
        &vm().with(C),
        &[(
            "nvidia-vfio",
            "the driver of 0000:81:00.4 no longer offers mediated devices: on this kernel NVIDIA's driver sets the \
             type of the virtual function itself (nvidia/current_vgpu_type); give the function to the domain as \
             <hostdev type='pci'>",
        )],
    );
}

#[test]
fn a_type_that_is_not_offered() {
    let host = defined();
    host.definition("mtty", C, "mtty-3", &[]);
    refused(
        &host,
        &vm().with(C),
        &[(
            "type-unknown",
            "mtty offers no type mtty-3, only mtty-1, mtty-2; correct the definition",
        )],
    );
}

/// Who holds a full parent: which devices, of which types, for which domains.
#[test]
fn no_instance_left() {
    let host = Host::new();
    let unclaimed = "f0000000-0000-4000-8000-00000000000f";
    host.mdpy_of(3)
        .definition("mdpy", A, "mdpy-hd", &[])
        .definition("mdpy", B, "mdpy-vga", &[])
        .definition("mdpy", C, "mdpy-xga", &[]);
    running(&host, "render01", 2, &[B]);
    running(&host, "render02", 3, &[C]);
    host.active("mdpy", "mdpy-hd", unclaimed);
    refused(
        &host,
        &vm().with(A),
        &[(
            "no-instance",
            &format!(
                "no instance of mdpy-hd is left on mdpy (there: mdpy-vga {B} for render01, mdpy-xga {C} for render02, \
                 mdpy-hd {unclaimed}); stop one of them or move this definition to another parent"
            ),
        )],
    );
}

#[test]
fn two_devices_of_one_domain_that_do_not_fit_together() {
    let host = Host::new();
    host.mdpy_of(2)
        .definition("mdpy", A, "mdpy-hd", &[])
        .definition("mdpy", B, "mdpy-hd", &[])
        .definition("mdpy", C, "mdpy-vga", &[]);
    running(&host, "render01", 2, &[C]);
    refused(
        &host,
        &vm().with(A).with(B),
        &[
            ("create", "mdpy-hd on mdpy"),
            (
                "no-instance",
                &format!(
                    "this domain wants 2 of mdpy-hd on mdpy, where 1 can be had; move one of these definitions to \
                     another parent (there: mdpy-vga {C} for render01)"
                ),
            ),
        ],
    );
}

#[test]
fn two_types_on_one_gpu_of_nvidias() {
    let host = Host::new();
    host.nvidia("0000:41:00.0")
        .definition("0000:41:00.0", A, "nvidia-222", &[])
        .definition("0000:41:00.0", B, "nvidia-231", &[]);
    refused(
        &host,
        &vm().with(A).with(B),
        &[
            ("create", "nvidia-222 on 0000:41:00.0"),
            (
                "other-type",
                &format!(
                    "this domain's {A} needs nvidia-222 on the same GPU, which holds one type at a time; move one of \
                     the two definitions to another GPU"
                ),
            ),
        ],
    );
    running(&host, "render01", 2, &[A]);
    refused(
        &host,
        &vm().with(B),
        &[(
            "other-type",
            "the GPU is running nvidia-222 for render01; stop it or move this definition to another parent",
        )],
    );
}

/// Each function says that it can take one; the GPU as a whole takes no more than its description says.
#[test]
fn more_virtual_functions_than_the_gpu_has_room_for() {
    let host = Host::new();
    host.nvidia_sriov("0000:43:00.0", 12);
    let functions: Vec<String> = (4..16)
        .map(|number| format!("0000:43:{:02x}.{}", number / 8, number % 8))
        .collect();
    // Eight of nvidia-231 in all: seven are there.
    for (number, function) in functions.iter().take(7).enumerate() {
        let uuid = format!("f0000000-0000-4000-8000-0000000000{number:02}");
        host.active(function, "nvidia-231", &uuid);
    }
    host.definition(&functions[7], A, "nvidia-231", &[])
        .definition(&functions[8], B, "nvidia-231", &[]);
    assert_eq!(ask_json(&host, &vm().with(A))["startable"], "yes");
    let both = vm().with(A).with(B);
    let reason = "this domain wants 2 of nvidia-231 on 0000:43:00.0, where 1 can be had; move one of these \
                  definitions to another parent (there: nvidia-231 f0000000-0000-4000-8000-000000000000, \
                  nvidia-231 f0000000-0000-4000-8000-000000000001, \
                  nvidia-231 f0000000-0000-4000-8000-000000000002, \
                  nvidia-231 f0000000-0000-4000-8000-000000000003 and 3 more)";
    let first = format!("nvidia-231 on {}", functions[7]);
    refused(&host, &both, &[("create", &first), ("no-instance", reason)]);
    host.prepare(&both).refused(&format!(
        "vm1: cannot create {B} (nvidia-231 on {}): {reason}",
        functions[8]
    ));
}

#[test]
fn another_interface_than_the_guest_expects() {
    let host = defined();
    host.subchannel("0.0.0052")
        .definition("0.0.0052", C, "vfio_ccw-io", &[]);
    refused(
        &host,
        &vm().with(C).with(A).model("vfio-ap"),
        &[
            (
                "model-mismatch",
                "the domain says model=\"vfio-pci\", but vfio_ccw-io is vfio-ccw; correct the domain's model or the \
                 definition's type",
            ),
            (
                "model-mismatch",
                "the domain says model=\"vfio-ap\", but mtty-2 is vfio-pci; correct the domain's model or the \
                 definition's type",
            ),
        ],
    );
}

#[test]
fn a_device_that_is_active_as_something_else() {
    let host = defined();
    host.active("mtty", "mtty-1", A);
    refused(
        &host,
        &vm().with(A),
        &[(
            "active-mismatch",
            "it is active as mtty-1 on mtty, which automdev did not make and will not remove; remove it or correct \
             its definition, which says mtty-2 on mtty",
        )],
    );
}

#[test]
fn another_domains_device() {
    let host = defined();
    running(&host, "other", 2, &[A]);
    refused(
        &host,
        &vm().with(A),
        &[(
            "claimed",
            "it belongs to other, which is running; stop that one first or give this domain another device",
        )],
    );
    // Its QEMU is gone, and its release still to come: the start would wait for that.
    host.kill(4002);
    host.age(30);
    refused(
        &host,
        &vm().with(A),
        &[(
            "claimed",
            "it belongs to other, which is starting or has just ended; try again in a minute, or give this domain another device",
        )],
    );
    host.age(30);
    assert_eq!(ask_json(&host, &vm().with(A))["devices"][0]["action"], "adopt");
}

#[test]
fn a_device_that_is_still_being_removed() {
    let host = defined();
    // What goes on in the background would be seen as a change.
    host.timeouts("idle = 0.1\nclaim = 0.1\nretry = 0");
    let other = Domain::new("other", 2).with(A);
    host.prepare(&other).done();
    let group = host.group(A).expect("the device is active");
    host.link_text("proc/hidden/fd/0", &format!("/dev/vfio/{group}"));
    host.release(&other).refused(&format!(
        "other: cannot remove {A} on mtty: the driver did not answer in time"
    ));
    refused(
        &host,
        &vm().with(A),
        &[(
            "removing",
            "it is still being removed from mtty, because something holds it open; end that first",
        )],
    );
}

#[test]
fn a_device_that_has_to_be_made_anew_and_is_used() {
    let host = defined();
    host.prepare(&vm().with(A)).done();
    host.definition("mtty", A, "mtty-1", &[])
        .process(4711, "qemu-system-x86", &["qemu"], 1)
        .open_device(4711, A);
    refused(
        &host,
        &vm().with(A),
        &[(
            "in-use",
            "it is there half made, or not as it is defined now, and cannot be made anew while it is used by \
             qemu-system-x86 (4711); end that first",
        )],
    );
}

#[test]
fn none_of_several_definitions() {
    let host = defined();
    host.definition("a", C, "x-1", &[])
        .definition("mtty", C, "mtty-3", &[]);
    refused(
        &host,
        &vm().with(C),
        &[(
            "parent-absent",
            "none of its definitions can be used: under a, this host has no device a; load its driver, or move the \
             definition to another parent; under mtty, mtty offers no type mtty-3, only mtty-1, mtty-2; correct the \
             definition",
        )],
    );
}

#[test]
fn a_pool_that_is_not_there() {
    let host = defined();
    let xml = vm().with(A).xml().replace(
        &format!("mdev uuid=\"{A}\""),
        &format!("mdev uuid=\"{A}\" pool=\"vgpu\""),
    );
    let asked = ask(&host, &["--format", "json"], &xml);
    let value: serde_json::Value = serde_json::from_str(&asked.stdout).expect("JSON");
    assert_eq!(
        (value["devices"][0]["code"].as_str(), asked.status),
        (Some("no-pool"), Some(3))
    );
}

/// What the hook would refuse for is a reason here, too.
#[test]
fn a_ledger_that_is_broken() {
    let host = defined();
    host.prepare(&vm().with(A).with(B)).done();
    let record = format!("run/automdev/devices/{A}");
    fs::write(host.at(&record), "{").expect("a record");
    let reason = format!(
        "{} is broken: EOF while parsing an object at line 1 column 1",
        host.at(&record).display()
    );
    refused(
        &host,
        &vm().with(A).with(B),
        &[("unreadable", &reason), ("adopt", "mdpy-hd on mdpy")],
    );
    host.prepare(&vm().with(A).with(B))
        .refused(&format!("vm1: {reason}"));
}
