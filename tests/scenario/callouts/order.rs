//! Which script is called when, with what.

use super::*;

#[test]
fn scripts_are_called_as_around_mdevctls_start_and_stop() {
    let host = host();
    let (first, second, third) = (
        format!("{USR}/callouts/10-a"),
        format!("{USR}/callouts/20-b"),
        format!("{ETC}/callouts/05-c"),
    );
    script(&host, &first, "exit 2");
    script(&host, &second, "");
    script(&host, &third, "");
    let (one, other) = (format!("{USR}/notifiers/50-n"), format!("{ETC}/notifiers/50-n"));
    script(&host, &one, "exit 1");
    script(&host, &other, "");
    for (act, input) in [("start", DEFINITION), ("stop", ACTIVE)] {
        if act == "start" {
            host.prepare(&vm()).done();
        } else {
            host.release(&vm()).done();
        }
        let asked = |script: &str| {
            format!("{script} -t mtty-2 -e get -a capabilities -s none -u {A} -p mtty <{PROVIDES}>")
        };
        assert_eq!(
            all_calls(&host),
            [
                asked(&first),
                asked(&second),
                asked(&third),
                call(&first, "pre", act, "none", input),
                call(&second, "pre", act, "none", input),
                call(&second, "post", act, "success", input),
                call(&one, "notify", act, "success", ""),
                call(&other, "notify", act, "success", ""),
            ]
        );
    }
}

#[test]
fn one_that_says_what_it_knows_is_the_one() {
    let host = host();
    let (first, second) = (format!("{USR}/callouts/10-a"), format!("{ETC}/callouts/20-b"));
    script(&host, &first, "");
    let answer = |actions: &str| {
        format!(
            "case $4 in get) echo '{{\"supports\":{{\"version\":1,\"actions\":[{actions}],\"events\":[\"pre\",\"post\"]}}}}';; esac"
        )
    };
    script(&host, &second, &answer("\"start\",\"stop\""));
    host.prepare(&vm()).done();
    assert_eq!(
        calls(&host),
        [
            call(&second, "pre", "start", "none", DEFINITION),
            call(&second, "post", "start", "success", DEFINITION),
        ]
    );
    host.release(&vm()).done();
    assert_eq!(calls(&host).len(), 2);

    script(&host, &second, &answer("\"stop\""));
    let path = host.at(&second);
    host.prepare(&vm()).refused(&format!(
        "vm1: cannot create {A} (mtty-2 on mtty): the callout {} answers for this device, but does not know start; \
         mend it",
        path.display()
    ));
    assert_eq!(calls(&host), Vec::<String>::new());
}

#[test]
fn without_one_for_the_type_all_goes_on() {
    let host = host();
    let only = format!("{USR}/callouts/10-a");
    script(&host, &only, "exit 2");
    host.prepare(&vm()).done();
    // Nobody answered before, so all are asked again.
    assert_eq!(
        calls(&host),
        [
            call(&only, "pre", "start", "none", DEFINITION),
            call(&only, "post", "start", "success", DEFINITION),
        ]
    );
}

#[test]
fn each_device_of_a_domain_has_its_calls() {
    let host = host();
    let only = format!("{USR}/callouts/10-a");
    script(&host, &only, "");
    let vm = vm().with(B);
    host.prepare(&vm).done();
    let of_b = |event, outcome| {
        let input = r#"{"mdev_type":"mtty-1","start":"manual","attrs":[]}"#;
        call_of("mtty-1", B, (&only, event, "start", outcome), input)
    };
    assert_eq!(
        calls(&host),
        [
            call(&only, "pre", "start", "none", DEFINITION),
            of_b("pre", "none"),
            call(&only, "post", "start", "success", DEFINITION),
            of_b("post", "success"),
        ]
    );
    // Nothing is made.
    host.prepare(&vm).done();
    assert_eq!(all_calls(&host), Vec::<String>::new());
}

#[test]
fn they_can_be_turned_off() {
    let host = host();
    host.file("etc/automdev/automdev.toml", "callouts = false");
    for folder in [USR, ETC] {
        script(&host, &format!("{folder}/callouts/10-a"), "exit 1");
        script(&host, &format!("{folder}/notifiers/10-a"), "");
    }
    host.prepare(&vm()).done();
    host.release(&vm()).done();
    assert_eq!(all_calls(&host), Vec::<String>::new());
}

#[test]
fn nobody_else_waits_meanwhile() {
    let host = host();
    let go = host.at("go");
    script(
        &host,
        &format!("{USR}/callouts/10-a"),
        &format!(
            "[ $10 = {A} ] || exit 0\nuntil [ -e {} ]; do sleep 0.02; done",
            go.display()
        )
        .replace("$10", "${10}"),
    );
    let vm = vm();
    let first = host.start(&[&vm.name, "prepare", "begin", "-"], vm.xml().as_bytes());
    let start = Instant::now();
    while calls(&host).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    }
    // On the same parent.
    let other = Domain::new("vm2", 2).with(B);
    host.prepare(&other).done();
    host.release(&other).done();
    fs::write(go, "").expect("a file");
    host.finish(first).done();
    assert_eq!(host.devices(), [format!("{A} mtty-2 mtty")]);
}
