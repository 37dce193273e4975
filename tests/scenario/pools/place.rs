//! Which place is taken.

use super::*;

/// Three whole GPUs, on each of which there is room for 8 of 2 GB.
fn gpus() -> Host {
    let host = Host::new();
    // NVIDIA's driver is given no time to take its devices away itself.
    host.timeouts("gone = 0\nretry = 0");
    for name in ["0000:41:00.0", "0000:42:00.0", "0000:43:00.0"] {
        host.nvidia(name);
    }
    host
}

fn starts(host: &Host, count: u32, pool: &str) -> Vec<String> {
    (1..=count)
        .map(|domain| {
            let place = start(host, domain, &[pool]).remove(0);
            place.split_once(' ').expect("TYPE PARENT").1[5..7].to_owned()
        })
        .collect()
}

#[test]
fn in_the_order_of_the_file() {
    let host = gpus();
    host.pool(
        "vgpu",
        "[[member]]\ntype = 'nvidia-231'\nparents = ['0000:43:*', '0000:41:*']\nlimit = 3\n\
         [[member]]\ntype = 'nvidia-231'\nparents = ['0000:42:*']\n",
    );
    let before = host.state();
    assert_eq!(starts(&host, 4, "vgpu"), ["43", "43", "43", "42"]);
    for domain in 1..=4 {
        host.release(&vm(domain, &["vgpu"])).done();
    }
    before.assert_unchanged(&host.state());
    host.assert_ledger_empty();
}

#[test]
fn every_parent_that_offers_the_type_by_its_name() {
    let host = gpus();
    host.mtty();
    host.pool("vgpu", &of_type("nvidia-231"));
    let taken = starts(&host, 10, "vgpu");
    assert_eq!(taken[..8], ["41"; 8]);
    assert_eq!(taken[8..], ["42"; 2]);
}

#[test]
fn packed_onto_the_fullest() {
    let host = gpus();
    host.pool("vgpu", &format!("placement = 'pack'\n{}", of_type("nvidia-231")));
    // Somebody else's, on the last.
    host.active(
        "0000:43:00.0",
        "nvidia-231",
        "c2177883-f1bb-47f0-914d-32a22e3a8804",
    );
    let taken = starts(&host, 9, "vgpu");
    assert_eq!(taken[..7], ["43"; 7]);
    assert_eq!(taken[7..], ["41"; 2]);
}

#[test]
fn spread_over_the_emptiest() {
    let host = gpus();
    host.pool(
        "vgpu",
        &format!("placement = 'spread'\n{}", of_type("nvidia-231")),
    );
    host.active(
        "0000:41:00.0",
        "nvidia-231",
        "c2177883-f1bb-47f0-914d-32a22e3a8804",
    );
    assert_eq!(starts(&host, 6, "vgpu"), ["42", "43", "41", "42", "43", "41"]);
}

/// One domain's devices are spread as several domains' are.
#[test]
fn spread_within_a_domain() {
    let host = gpus();
    host.pool(
        "vgpu",
        &format!("placement = 'spread'\n{}", of_type("nvidia-231")),
    );
    assert_eq!(
        start(&host, 1, &["vgpu", "vgpu", "vgpu"]),
        [
            "nvidia-231 0000:41:00.0",
            "nvidia-231 0000:42:00.0",
            "nvidia-231 0000:43:00.0"
        ]
    );
}

/// VFs of one physical GPU are one GPU: they count together, and hold one type.
#[test]
fn virtual_functions_are_one_gpu() {
    let host = Host::new();
    host.timeouts("gone = 0\nretry = 0");
    host.nvidia_sriov("0000:61:00.0", 4)
        .nvidia_sriov("0000:62:00.0", 4);
    host.pool(
        "spread",
        &format!("placement = 'spread'\n{}", of_type("nvidia-231")),
    )
    .pool("pack", &format!("placement = 'pack'\n{}", of_type("nvidia-231")))
    .pool("other", &of_type("nvidia-222"));
    let before = host.state();
    assert_eq!(
        start(&host, 1, &["spread", "spread", "spread"]),
        [
            "nvidia-231 0000:61:00.4",
            "nvidia-231 0000:62:00.4",
            "nvidia-231 0000:61:00.5"
        ]
    );
    // The fullest of the two.
    assert_eq!(start(&host, 2, &["pack"]), ["nvidia-231 0000:61:00.6"]);
    // Both hold another type.
    let refused = host.prepare(&vm(3, &["other"]));
    assert_eq!(
        refused.stderr,
        format!(
            "automdev: vm3: cannot create {}: pool other has no place for it: nvidia-222 (0000:61:00.4, 0000:61:00.5, \
             0000:61:00.6, 0000:61:00.7 running nvidia-231 for vm1, vm2; 0000:62:00.4, 0000:62:00.5, 0000:62:00.6, \
             0000:62:00.7 running nvidia-231 for vm1); stop a domain that uses the pool (automdev pools other lists them), or \
             give it another member\n",
            device(48)
        )
    );
    host.release(&vm(1, &["spread", "spread", "spread"])).done();
    // One of them is empty again.
    assert_eq!(start(&host, 3, &["other"]), ["nvidia-222 0000:62:00.4"]);
    host.release(&vm(2, &["pack"])).done();
    host.release(&vm(3, &["other"])).done();
    before.assert_unchanged(&host.state());
}

/// What runs another type is neither the fullest nor the emptiest: on whole GPUs, and on those of several functions.
#[test]
fn packed_and_spread_around_what_runs_another_type() {
    type Name<'a> = &'a dyn Fn(usize, usize) -> String;
    let whole = |number: usize, _: usize| format!("0000:4{number}:00.0");
    let function = |number: usize, which: usize| format!("0000:6{number}:00.{}", 4 + which);
    for name in [&whole as Name<'_>, &function] {
        for (placement, expected) in [
            ("pack", [(1, 0), (2, 0), (1, 1), (2, 1)]),
            ("spread", [(1, 0), (2, 0), (3, 0), (2, 1)]),
        ] {
            let host = gpus();
            for gpu in ["0000:61:00.0", "0000:62:00.0", "0000:63:00.0"] {
                host.nvidia_sriov(gpu, 4);
            }
            let parents = format!("parents = ['{}*']", &name(1, 0)[..6]);
            for (pool, mdev_type) in [("small", "nvidia-222"), ("large", "nvidia-231")] {
                let text = format!("placement = '{placement}'\n{}{parents}\n", of_type(mdev_type));
                host.pool(pool, &text);
            }
            let before = host.state();
            for ((number, pool), (gpu, which)) in
                (1..).zip(["small", "large", "small", "large"]).zip(expected)
            {
                let mdev_type = if pool == "small" {
                    "nvidia-222"
                } else {
                    "nvidia-231"
                };
                assert_eq!(
                    start(&host, number, &[pool]),
                    [format!("{mdev_type} {}", name(gpu, which))],
                    "{placement} {number}"
                );
            }
            for number in 1..=4 {
                let pool = if number % 2 == 1 { "small" } else { "large" };
                host.release(&vm(number, &[pool])).done();
            }
            before.assert_unchanged(&host.state());
            host.assert_ledger_empty();
        }
    }
}

/// A GPU holds one type at a time: two pools need a GPU each.
#[test]
fn two_types_need_two_gpus() {
    let host = gpus();
    host.pool("small", &of_type("nvidia-222"))
        .pool("large", &of_type("nvidia-231"));
    assert_eq!(
        start(&host, 1, &["small", "large", "small"]),
        [
            "nvidia-222 0000:41:00.0",
            "nvidia-231 0000:42:00.0",
            "nvidia-222 0000:41:00.0"
        ]
    );
}

/// The first choice of the one is the only one of the other.
#[test]
fn one_makes_way_for_another_of_the_same_domain() {
    let host = Host::new();
    host.ports("a", 1).ports("b", 1);
    host.pool("any", &of_type("mtty-1"))
        .pool("only-a", "[[member]]\ntype = 'mtty-1'\nparents = ['a']\n");
    assert_eq!(start(&host, 1, &["any", "only-a"]), ["mtty-1 b", "mtty-1 a"]);
    // Likewise where a definition leaves a choice.
    host.release(&vm(1, &["any", "only-a"])).done();
    let plain = device(999);
    host.definition("a", &plain, "mtty-1", &[])
        .definition("b", &plain, "mtty-1", &[]);
    let domain = Domain::new("vm2", 2).with(&plain).of_pool(&device(1), "only-a");
    host.prepare(&domain).done();
    assert_eq!(
        host.devices(),
        [format!("{} mtty-1 a", device(1)), format!("{plain} mtty-1 b")]
    );
}

/// The second start of a domain that never began finds its device, wherever the pool would put it by now.
#[test]
fn a_second_prepare_keeps_the_place() {
    let host = gpus();
    host.pool("vgpu", &format!("placement = 'pack'\n{}", of_type("nvidia-231")));
    assert_eq!(start(&host, 1, &["vgpu"]), ["nvidia-231 0000:41:00.0"]);
    host.active(
        "0000:42:00.0",
        "nvidia-231",
        "c2177883-f1bb-47f0-914d-32a22e3a8804",
    )
    .active(
        "0000:42:00.0",
        "nvidia-231",
        "c2177883-f1bb-47f0-914d-32a22e3a8805",
    );
    host.kernel().reset();
    assert_eq!(start(&host, 1, &["vgpu"]), ["nvidia-231 0000:41:00.0"]);
    assert_eq!(host.writes(), Vec::<String>::new());
    assert_eq!(start(&host, 2, &["vgpu"]), ["nvidia-231 0000:42:00.0"]);
    // Nor does it need the file any more.
    fs::remove_file(host.at("etc/automdev/pools.d/vgpu.toml")).expect("a pool");
    assert_eq!(start(&host, 1, &["vgpu"]), ["nvidia-231 0000:41:00.0"]);
    host.release(&vm(1, &["vgpu"])).done();
    assert_eq!(places(&host, 1), Vec::<String>::new());
}

/// What the pool says of a device is written into it, byte for byte.
#[test]
fn with_the_members_attributes() {
    let host = gpus();
    host.pool(
        "vgpu",
        "[[member]]\ntype = 'nvidia-231'\nattributes = [['power/control', 'on'], ['nvidia/vgpu_params', \"a=1\\n\"]]\n",
    );
    host.kernel().reset();
    host.prepare(&vm(1, &["vgpu"])).done();
    let uuid = device(16);
    assert_eq!(
        host.writes(),
        [
            format!("0000:41:00.0/mdev_supported_types/nvidia-231/create {uuid:?}: done"),
            format!("0000:41:00.0/{uuid}/power/control \"on\": done"),
            format!("0000:41:00.0/{uuid}/nvidia/vgpu_params \"a=1\\n\": done"),
        ]
    );
}

/// A definition is the pattern of one device: its attributes, at one of its parents.
#[test]
fn as_a_definition_says() {
    const LIKE: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
    let host = Host::new();
    host.matrix().definition(
        "matrix",
        LIKE,
        "vfio_ap-passthrough",
        &[("assign_adapter", "5"), ("assign_domain", "0xab")],
    );
    host.pool("crypto", &format!("[[member]]\ndefinition = '{LIKE}'\n"));
    let ap = |number| {
        Domain::new(&format!("vm{number}"), number)
            .of_pool(&device(number * 16), "crypto")
            .model("vfio-ap")
    };
    let before = host.state();
    host.kernel().reset();
    host.prepare(&ap(1)).done();
    let uuid = device(16);
    assert_eq!(
        host.writes(),
        [
            format!("matrix/mdev_supported_types/vfio_ap-passthrough/create {uuid:?}: done"),
            format!("matrix/{uuid}/assign_adapter \"5\": done"),
            format!("matrix/{uuid}/assign_domain \"0xab\": done"),
        ]
    );
    host.prepare(&ap(2)).refused(&format!(
        "vm2: cannot create {}: pool crypto has no place for it: definition {LIKE} (matrix in use by vm1); stop a \
         domain that uses the pool (automdev pools crypto lists them), or give it another member",
        device(32)
    ));
    // Nor beside the device that it defines.
    host.release(&ap(1)).done();
    before.assert_unchanged(&host.state());
    host.prepare(&Domain::new("plain", 9).with(LIKE).model("vfio-ap"))
        .done();
    assert!(!host.prepare(&ap(2)).succeeded());
    host.release(&Domain::new("plain", 9).with(LIKE)).done();
    host.prepare(&ap(2)).done();
}
