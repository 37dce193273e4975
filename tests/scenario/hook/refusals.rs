//! Every reason for which a start is refused: the one line that the person who started the domain sees, and
//! that nothing has changed.

use super::*;

/// Refuses the start of a domain that wants A, leaving the host as it was.
#[track_caller]
fn refuse(host: &Host, line: &str) {
    refuse_domain(host, &Domain::new("vm1", 1).with(A), line);
}

#[track_caller]
fn refuse_domain(host: &Host, vm: &Domain, line: &str) {
    if host.read("etc/automdev/automdev.toml").is_none() {
        // What is missing does not come.
        host.timeouts("parent = 0");
    }
    let (before, ledger) = (host.state(), host.ledger());
    let writes = host.kernel().effects();
    let line = format!("vm1: {line}");
    let answer = host.prepare(vm).refused(&line);
    let last = answer.log.last().expect("a refusal is logged");
    assert_eq!(
        (last.field("PRIORITY"), last.field("MESSAGE")),
        ("3", line.as_str())
    );
    before.assert_unchanged(&host.state());
    assert_eq!(host.ledger(), ledger);
    assert_eq!(host.kernel().effects(), writes, "something was written");
    // libvirt calls it after a failed start, too.
    host.release(vm).done().logged(&[]);
    before.assert_unchanged(&host.state());
    assert_eq!(host.ledger(), ledger);
}

#[test]
fn without_a_definition() {
    let host = Host::new();
    host.mtty();
    let advice = "make one with automdev define --uuid UUID --parent PARENT --type TYPE";
    refuse(
        &host,
        &format!("cannot create {A}: this host has no definition of it; {advice}"),
    );
    let near = A.replace("c21", "c12");
    host.definition("mtty", &near, "mtty-2", &[])
        .definition("mtty", B, "mtty-2", &[]);
    refuse(
        &host,
        &format!("cannot create {A}: this host has no definition of it (did you mean {near}?); {advice}"),
    );
}

#[test]
fn with_a_broken_definition() {
    for (text, why) in [
        ("", "there is nothing in it"),
        ("{\"mdev_type\":", "line 1, column 13: the JSON ends too early"),
        (
            "{\"mdev_type\":7}",
            "line 1, column 14: this is the number 7, where a string is needed",
        ),
        (
            "{\"start\":\"auto\"}",
            "line 1, column 16: the member mdev_type is missing",
        ),
        (
            "{\"mdev_type\":\"../mtty-2\"}",
            "line 1, column 25: \"../mtty-2\" is not a type's name: a slash may not be in it",
        ),
        (
            "{\"mdev_type\":\"..\"}",
            "line 1, column 18: \"..\" is not a type's name: it would be another folder",
        ),
        (
            "{\"mdev_type\":\"mtty-2\",\"attrs\":[{\"../../x\":\"1\"}]}",
            "line 1, column 41: \"../../x\" is not an attribute's path: it would be another folder",
        ),
        (
            "{\"mdev_type\":\"\\u001b[31m\"}",
            "line 1, column 26: \"\\u{1b}[31m\" is not a type's name: a control character may not be in it",
        ),
    ] {
        let host = Host::new();
        host.mtty().file(&format!("etc/mdevctl.d/mtty/{A}"), text);
        refuse(
            &host,
            &format!(
                "cannot create {A}: its definition /etc/mdevctl.d/mtty/{A} is broken: {why}; mend the file"
            ),
        );
    }
}

#[test]
fn with_a_definition_that_is_no_file() {
    let host = Host::new();
    host.mtty().folder(&format!("etc/mdevctl.d/mtty/{A}"));
    refuse(
        &host,
        &format!(
            "cannot create {A}: its definition /etc/mdevctl.d/mtty/{A} is broken: it is not a file; mend the file"
        ),
    );
}

#[test]
fn without_its_parent() {
    let host = Host::new();
    host.nvidia("0000:41:00.0")
        .definition("0000:14:00.0", A, "nvidia-222", &[]);
    refuse(
        &host,
        &format!(
            "cannot create {A} (nvidia-222 on 0000:14:00.0): this host has no device 0000:14:00.0 (did you mean \
             0000:41:00.0?); load its driver, or move the definition to another parent"
        ),
    );
}

#[test]
fn with_a_parent_that_offers_no_mediated_devices() {
    let host = Host::new();
    let folder = "sys/devices/pci0000:00/0000:00:04.0";
    host.file(&format!("{folder}/vendor"), "0x1234\n")
        .link("sys/bus/pci/devices/0000:00:04.0", folder)
        .definition("0000:00:04.0", A, "x-1", &[]);
    refuse(
        &host,
        &format!(
            "cannot create {A} (x-1 on 0000:00:04.0): 0000:00:04.0 is there, but its driver offers no mediated \
             devices; load the driver that does"
        ),
    );
}

#[test]
fn with_a_function_of_nvidia_that_is_no_parent_any_more() {
    let host = Host::new();
    let folder = "sys/devices/pci0000:40/0000:41:00.4";
    host.file(&format!("{folder}/nvidia/current_vgpu_type"), "0\n")
        .link("sys/bus/pci/devices/0000:41:00.4", folder)
        .definition("0000:41:00.4", A, "nvidia-63", &[]);
    refuse(
        &host,
        &format!(
            "cannot create {A} (nvidia-63 on 0000:41:00.4): the driver of 0000:41:00.4 no longer offers mediated \
             devices: on this kernel NVIDIA's driver sets the type of the virtual function itself \
             (nvidia/current_vgpu_type); give the function to the domain as <hostdev type='pci'>"
        ),
    );
}

#[test]
fn with_a_type_that_the_parent_does_not_offer() {
    let host = Host::new();
    host.mtty().definition("mtty", A, "mtty-3", &[]);
    refuse(
        &host,
        &format!(
            "cannot create {A} (mtty-3 on mtty): mtty offers no type mtty-3, only mtty-1, mtty-2; correct the \
             definition"
        ),
    );
}

#[test]
fn without_room() {
    let host = Host::new();
    host.mdpy_of(2)
        .definition("mdpy", A, "mdpy-hd", &[])
        .definition("mdpy", B, "mdpy-vga", &[])
        .active("mdpy", "mdpy-xga", C);
    let other = Domain::new("other", 2).with(B);
    host.prepare(&other).done();
    host.domain("other", &other.uuid, 4711);
    refuse(
        &host,
        &format!(
            "cannot create {A} (mdpy-hd on mdpy): no instance of mdpy-hd is left on mdpy (there: mdpy-vga {B} for \
             other, mdpy-xga {C}); stop one of them or move this definition to another parent"
        ),
    );
}

#[test]
fn where_the_domain_alone_wants_too_much() {
    let host = Host::new();
    host.mdpy_of(1)
        .definition("mdpy", A, "mdpy-hd", &[])
        .definition("mdpy", B, "mdpy-hd", &[]);
    refuse_domain(
        &host,
        &Domain::new("vm1", 1).with(A).with(B),
        &format!(
            "cannot create {B} (mdpy-hd on mdpy): this domain wants 2 of mdpy-hd on mdpy, where 1 can be had; move \
             one of these definitions to another parent"
        ),
    );
}

#[test]
fn where_the_gpu_holds_another_type() {
    let host = Host::new();
    host.nvidia("0000:41:00.0")
        .definition("0000:41:00.0", A, "nvidia-231", &[])
        .definition("0000:41:00.0", B, "nvidia-222", &[]);
    let other = Domain::new("render01", 2).with(B);
    host.prepare(&other).done();
    host.domain("render01", &other.uuid, 4711);
    refuse(
        &host,
        &format!(
            "cannot create {A} (nvidia-231 on 0000:41:00.0): the GPU is running nvidia-222 for render01; stop it or \
             move this definition to another parent"
        ),
    );
}

#[test]
fn where_the_domains_own_devices_are_of_two_types_on_one_gpu() {
    let host = Host::new();
    host.nvidia_sriov("0000:43:00.0", 2)
        .definition("0000:43:00.4", A, "nvidia-222", &[])
        .definition("0000:43:00.5", B, "nvidia-231", &[]);
    refuse_domain(
        &host,
        &Domain::new("vm1", 1).with(A).with(B),
        &format!(
            "cannot create {B} (nvidia-231 on 0000:43:00.5): this domain's {A} needs nvidia-222 on the same GPU, \
             which holds one type at a time; move one of the two definitions to another GPU"
        ),
    );
}

#[test]
fn where_the_guest_expects_another_interface() {
    let host = Host::new();
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    let vm = Domain::new("vm1", 1).with(A).model("vfio-ccw");
    let why = "the domain says model=\"vfio-ccw\", but mtty-2 is vfio-pci; correct the domain's model or the \
               definition's type";
    refuse_domain(&host, &vm, &format!("cannot create {A} (mtty-2 on mtty): {why}"));
    // One that is there already is not what the guest expects, either.
    host.active("mtty", "mtty-2", A);
    refuse_domain(&host, &vm, &format!("cannot create {A}: {why}"));
}

#[test]
fn where_the_device_is_active_as_something_else() {
    for (parent, type_name) in [("mtty", "mtty-1"), ("mdpy", "mdpy-hd")] {
        let host = Host::new();
        host.mtty()
            .mdpy()
            .definition("mtty", A, "mtty-2", &[])
            .active(parent, type_name, A);
        refuse(
            &host,
            &format!(
                "cannot use {A}: it is active as {type_name} on {parent}, which automdev did not make and will not \
                 remove; remove it or correct its definition, which says mtty-2 on mtty"
            ),
        );
    }
}

#[test]
fn where_the_device_is_active_and_its_only_definition_broken() {
    let host = Host::new();
    host.mtty()
        .active("mtty", "mtty-2", A)
        .file(&format!("etc/mdevctl.d/mtty/{A}"), "{}");
    refuse(
        &host,
        &format!(
            "cannot create {A}: its definition /etc/mdevctl.d/mtty/{A} is broken: line 1, column 2: the \
             member mdev_type is missing; mend the file"
        ),
    );
}

#[test]
fn where_another_domain_has_the_device() {
    let host = Host::new();
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    let other = Domain::new("other", 2).with(A);
    host.prepare(&other).done();
    host.domain("other", &other.uuid, 4711);
    refuse(
        &host,
        &format!(
            "cannot use {A}: it belongs to other, which is running; stop that one first or give this domain another \
             device"
        ),
    );
}

#[test]
fn where_the_device_is_still_being_removed() {
    let host = Host::new();
    host.timeouts("idle = 0.1\nclaim = 0.1")
        .mtty()
        .definition("mtty", A, "mtty-2", &[]);
    let other = Domain::new("other", 2).with(A);
    host.prepare(&other).done();
    hold(&host, A);
    host.release(&other).refused(&format!(
        "other: cannot remove {A} on mtty: the driver did not answer in time"
    ));
    refuse(
        &host,
        &format!(
            "cannot use {A}: it is still being removed from mtty, because something holds it open; end that first"
        ),
    );
}

#[test]
fn where_none_of_several_definitions_can_be_used() {
    let host = Host::new();
    host.mtty()
        .file(&format!("etc/mdevctl.d/a/{A}"), "[]")
        .definition("b", A, "x-1", &[])
        .definition("mtty", A, "mtty-3", &[]);
    refuse(
        &host,
        &format!(
            "cannot create {A}: none of its definitions can be used: under a, its definition /etc/mdevctl.d/a/{A} is \
             broken: it is a list, not an object; mend the file; \
             under b, this host has no device b; load its driver, or move the definition to another parent; under \
             mtty, mtty offers no type mtty-3, only mtty-1, mtty-2; correct the definition"
        ),
    );
}

#[test]
fn with_a_pool() {
    let host = Host::new();
    host.mtty().definition("mtty", A, "mtty-2", &[]);
    let vm = Domain::new("vm1", 1).with(A);
    let xml = vm.xml().replace(
        &format!("mdev uuid=\"{A}\""),
        &format!("mdev uuid=\"{A}\" pool=\"vgpu\""),
    );
    host.event("vm1", "prepare", "begin", &xml).refused(&format!(
        "vm1: cannot create {A}: this host has no pool vgpu; describe it in /etc/automdev/pools.d/vgpu.toml"
    ));
    let unnamed = xml.replace(&format!("<address uuid='{A}'/>"), "");
    let unnamed = unnamed.replace("<source>", "<source pool='vgpu'>");
    host.event("vm1", "prepare", "begin", &unnamed)
        .refused("vm1: a device of a pool has no UUID yet; run the domain's XML through automdev rewrite");
    assert!(host.devices().is_empty());
    host.assert_ledger_empty();
}

/// What the kernel says to `create` where the tree promised otherwise: the verdict is the kernel's.
#[test]
fn by_the_kernel() {
    let room = "mtty has no room left for mtty-2";
    let advice = "stop a domain that has a device there, or move this definition to another parent";
    for (errno, why) in [
        (
            nix::errno::Errno::ENOSPC,
            format!("{room} (No space left on device); {advice}"),
        ),
        (nix::errno::Errno::ENOMEM, format!("{room} (Out of memory); {advice}")),
        (nix::errno::Errno::EUSERS, format!("{room} (Too many users); {advice}")),
        (
            nix::errno::Errno::EPERM,
            format!("{room} (Operation not permitted); {advice}"),
        ),
        (
            nix::errno::Errno::EINVAL,
            "the driver of mtty refuses it (EINVAL): the GPU may hold another type now, or take no more of this one; \
             look at the kernel's log (dmesg)"
                .to_owned(),
        ),
        (
            nix::errno::Errno::EEXIST,
            "a device of this UUID is there already, or still on its way out; try again, or look with mdevctl list"
                .to_owned(),
        ),
        (
            nix::errno::Errno::ENODEV,
            "mtty is going away; is its driver being unloaded?".to_owned(),
        ),
        (
            nix::errno::Errno::EACCES,
            "no right to create devices on mtty (Permission denied); run automdev as root".to_owned(),
        ),
        (
            nix::errno::Errno::EIO,
            "the driver of mtty answers I/O error (EIO); look at the kernel's log (dmesg)".to_owned(),
        ),
    ] {
        let host = Host::new();
        host.mtty().definition("mtty", A, "mtty-2", &[]);
        host.kernel().configure(|config| {
            config.errors.insert("mtty-2/create".to_owned(), errno as i32);
        });
        let before = host.state();
        let line = format!("vm1: cannot create {A} (mtty-2 on mtty): {why}");
        host.prepare(&Domain::new("vm1", 1).with(A))
            .refused(&line)
            .logged(&[&format!("3 {line}")]);
        before.assert_unchanged(&host.state());
        host.assert_ledger_empty();
    }
}

#[test]
fn by_a_device_that_never_gets_its_node() {
    let host = Host::new();
    host.timeouts("node = 0.05")
        .mtty()
        .definition("mtty", A, "mtty-2", &[]);
    host.kernel().configure(|config| config.nodes = false);
    let before = host.state();
    host.prepare(&Domain::new("vm1", 1).with(A)).refused(&format!(
        "vm1: cannot create {A} (mtty-2 on mtty): it was made, but /dev/vfio/0 did not appear; is the module \
         vfio_mdev or vfio loaded, and does udev run?"
    ));
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}
