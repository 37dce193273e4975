//! Near the domain's memory.

use super::*;

/// Four GPUs on four nodes of four processors each, one more that belongs to none.
fn host(numa: &str) -> Host {
    let host = Host::new();
    host.timeouts("gone = 0\nretry = 0");
    for node in 0..4 {
        let name = format!("0000:4{node}:00.0");
        host.nvidia(&name);
        host.file(
            &format!("sys/class/mdev_bus/{name}/numa_node"),
            &format!("{node}\n"),
        );
        let cpus = format!("{}-{}\n", node * 4, node * 4 + 3);
        host.file(&format!("sys/devices/system/node/node{node}/cpulist"), &cpus);
    }
    host.nvidia("0000:50:00.0");
    host.file("sys/class/mdev_bus/0000:50:00.0/numa_node", "-1\n");
    host.pool(
        "vgpu",
        &format!("numa = '{numa}'\n[[member]]\ntype = 'nvidia-231'\nlimit = 3\n"),
    );
    host
}

fn tuned(number: u32, tuning: &str) -> Domain {
    vm(number, &["vgpu"]).tuned(tuning)
}

fn gpu(host: &Host, domain: &Domain, number: u32) -> String {
    host.prepare(domain).done();
    let place = places(host, number).remove(0);
    host.release(domain).done();
    place
}

const NODE_2: &str = "  <numatune>\n    <memory mode='strict' nodeset='2'/>\n  </numatune>\n";

#[test]
fn where_the_memory_is() {
    let pinned = "  <cputune>\n    <vcpupin vcpu='0' cpuset='13'/>\n    <vcpupin vcpu='1' cpuset='14'/>\n  </cputune>\n";
    for (numa, tuning, expected) in [
        ("ignore", NODE_2, "0000:40:00.0"),
        ("prefer", NODE_2, "0000:42:00.0"),
        ("require", NODE_2, "0000:42:00.0"),
        ("require", pinned, "0000:43:00.0"),
        (
            "require",
            "  <numatune>\n    <memory nodeset='1,3'/>\n  </numatune>\n",
            "0000:41:00.0",
        ),
        // It is bound to none.
        ("require", "", "0000:40:00.0"),
        ("prefer", "", "0000:40:00.0"),
    ] {
        let host = host(numa);
        assert_eq!(
            gpu(&host, &tuned(1, tuning), 1),
            format!("nvidia-231 {expected}"),
            "{numa} {tuning}"
        );
    }
}

#[test]
fn a_far_place_is_taken_where_it_is_only_preferred() {
    // Full near by.
    let fill = |host: &Host, name: &str| {
        for number in 0..8 {
            host.active(
                name,
                "nvidia-231",
                &format!("b0000000-0000-4000-8000-{number:012x}"),
            );
        }
    };
    let preferring = host("prefer");
    fill(&preferring, "0000:42:00.0");
    // What belongs to no node is as near as anything.
    assert_eq!(gpu(&preferring, &tuned(1, NODE_2), 1), "nvidia-231 0000:50:00.0");
    let requiring = host("require");
    fill(&requiring, "0000:42:00.0");
    assert_eq!(gpu(&requiring, &tuned(1, NODE_2), 1), "nvidia-231 0000:50:00.0");
    requiring.file(
        "etc/automdev/automdev.toml",
        "cordon = ['0000:50:*']\n[timeouts]\ngone = 0\nretry = 0\n",
    );
    requiring.prepare(&tuned(1, NODE_2)).refused(&format!(
        "vm1: cannot create {}: pool vgpu has no place for it: nvidia-231 (0000:40:00.0 on NUMA node 0; 0000:41:00.0 \
         on NUMA node 1; 0000:42:00.0 full; 0000:43:00.0 on NUMA node 3; 0000:50:00.0 cordoned); stop a domain that \
         uses the pool (automdev pools vgpu lists them), or give it another member",
        device(16)
    ));
}
