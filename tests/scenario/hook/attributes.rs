//! What a definition's attributes come to: written in order, byte for byte, and nowhere but into the device.

use super::*;

#[test]
fn they_are_written_in_order_byte_for_byte() {
    let host = Host::new();
    host.nvidia("0000:41:00.0").definition(
        "0000:41:00.0",
        A,
        "nvidia-222",
        &[
            ("nvidia/vgpu_params", "frame_rate_limiter=0\n"),
            ("power/control", "on"),
            ("nvidia/vgpu_params", "frame_rate_limiter=1\n"),
            ("power/control", "auto"),
        ],
    );
    let vm = Domain::new("vm1", 1).with(A);
    host.prepare(&vm).done();
    assert_eq!(
        host.writes(),
        [
            format!("0000:41:00.0/mdev_supported_types/nvidia-222/create {A:?}: done"),
            format!("0000:41:00.0/{A}/nvidia/vgpu_params \"frame_rate_limiter=0\\n\": done"),
            format!("0000:41:00.0/{A}/power/control \"on\": done"),
            format!("0000:41:00.0/{A}/nvidia/vgpu_params \"frame_rate_limiter=1\\n\": done"),
            format!("0000:41:00.0/{A}/power/control \"auto\": done"),
        ]
    );
    let device = format!("sys/bus/mdev/devices/{A}");
    let params = fs::read_to_string(host.at(format!("{device}/nvidia/vgpu_params"))).expect("a file");
    assert_eq!(params, "frame_rate_limiter=1\n");
    assert_eq!(
        host.read(format!("{device}/power/control")).as_deref(),
        Some("auto")
    );
}

#[test]
fn one_key_many_times_as_the_crypto_matrix_needs_it() {
    let host = Host::new();
    host.matrix().definition(
        "matrix",
        A,
        "vfio_ap-passthrough",
        &[
            ("assign_adapter", "5"),
            ("assign_adapter", "6"),
            ("assign_domain", "0xab"),
        ],
    );
    let vm = Domain::new("vm1", 1).with(A).model("vfio-ap");
    host.prepare(&vm).done();
    assert_eq!(
        host.writes()[1..],
        [
            format!("matrix/{A}/assign_adapter \"5\": done"),
            format!("matrix/{A}/assign_adapter \"6\": done"),
            format!("matrix/{A}/assign_domain \"0xab\": done"),
        ]
    );
    host.release(&vm).done();
    assert!(!host.is_below("matrix", A));
}

#[test]
fn one_that_is_not_taken_refuses_the_start_and_takes_the_device_away() {
    for (path, value, why) in [
        (
            "power/control",
            "maybe",
            "the driver answers Invalid argument (EINVAL)",
        ),
        (
            "power/autosuspend_delay_ms",
            "1",
            "the driver answers I/O error (EIO)",
        ),
        ("no/such", "1", "the device has no such attribute"),
        ("power", "1", "the driver answers Is a directory (EISDIR)"),
        ("power/control/x", "1", "the device has no such attribute"),
        ("vendor/sample_mdev_dev", "1", "the attribute cannot be written"),
    ] {
        let host = Host::new();
        host.mtty()
            .definition("mtty", A, "mtty-2", &[("power/control", "on"), (path, value)]);
        let before = host.state();
        host.prepare(&Domain::new("vm1", 1).with(A)).refused(&format!(
            "vm1: cannot create {A} (mtty-2 on mtty): its attribute {path} does not take {value:?}: {why}; correct the \
             definition"
        ));
        before.assert_unchanged(&host.state());
        host.assert_ledger_empty();
    }
}

#[test]
fn a_value_with_control_characters_is_told_on_one_line() {
    let host = Host::new();
    host.mtty().definition(
        "mtty",
        A,
        "mtty-2",
        &[("power/control", "a\n\u{1b}[31m\u{202e}b")],
    );
    host.prepare(&Domain::new("vm1", 1).with(A)).refused(&format!(
        "vm1: cannot create {A} (mtty-2 on mtty): its attribute power/control does not take \
         \"a\\n\\u{{1b}}[31m\\u{{202e}}b\": the driver answers Invalid argument (EINVAL); correct the definition"
    ));
}

/// A device's folder is full of links out of it: to its parent's type, its driver, its group.
#[test]
fn no_link_leads_out_of_the_device() {
    for path in [
        "mdev_type/create",
        "driver/x",
        "subsystem/drivers_probe",
        "iommu_group/type",
        "mdev_type",
        "mdev_type/devices",
    ] {
        let host = Host::new();
        host.mtty().definition("mtty", A, "mtty-2", &[(path, B)]);
        let before = host.state();
        let answer = host.prepare(&Domain::new("vm1", 1).with(A));
        answer.refused(&format!(
            "vm1: cannot create {A} (mtty-2 on mtty): its attribute {path} does not take {B:?}: the device has no such \
             attribute; correct the definition"
        ));
        before.assert_unchanged(&host.state());
        host.assert_ledger_empty();
    }
}
