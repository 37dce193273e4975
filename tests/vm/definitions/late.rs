//! A driver that registers while the hook waits for it.

use std::thread;
use std::time::Duration;

use super::*;

fn modprobe(arguments: &[&str]) {
    let status = Command::new("modprobe").args(arguments).status();
    assert!(status.expect("modprobe").success(), "{arguments:?}");
}

#[test]
fn a_start_waits_for_a_driver_that_is_loaded_two_seconds_later() {
    let host = Host::without_libvirt();
    host.define(A, &Definition::new("mtty", "mtty-2"));
    let xml = DomainXml::new("late").with(A).xml();
    modprobe(&["-r", "mtty"]);
    assert!(
        !Path::new("/sys/class/mdev_bus/mtty").exists(),
        "it is still loaded"
    );
    let loads = thread::spawn(|| {
        thread::sleep(Duration::from_secs(2));
        modprobe(&["mtty"]);
    });
    let called = hook("late", "prepare begin", &xml);
    loads.join().expect("it is loaded");
    called.assert_fine();
    host.assert_device(A, "mtty", "mtty-2");
    let journal = || {
        let output = Command::new("journalctl")
            .args(["-t", "automdev", "-o", "cat"])
            .output();
        String::from_utf8(output.expect("journalctl").stdout).expect("UTF-8")
    };
    eventually("the journal says what was waited for", || {
        journal().lines().any(|line| {
            line.starts_with("late: waiting up to ")
                && line.ends_with(&format!(
                    " s for mtty-2 on mtty, which this host does not offer yet, for {A}"
                ))
        })
    });
    hook("late", "release end", &xml).assert_fine();
    host.assert_clean();
}
