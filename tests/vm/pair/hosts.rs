//! Commands that ask other hosts, over a real ssh.

use serde_json::Value;

use super::side::{Side, sides};
use crate::support::{A, B, Definition, DomainXml};

#[test]
fn a_plan_asks_both_and_says_which_does_not_answer() {
    let (near, far) = sides();
    near.define(B, &Definition::new("mdpy", "mdpy-vga"));
    far.define(B, &Definition::new("mtty", "mtty-1"));
    let line = format!(
        "automdev define --host near=mtty --host far=mtty --type mtty-2 --uuid {A} --attribute power/control=on"
    );
    let told = near.sh(&line);
    assert!(
        told.ends_with("HOST  PARENT  DEFINED\nnear  mtty    yes\nfar   mtty    yes\n"),
        "{told}"
    );
    let stored = |side: &Side| side.sh(&format!("cat /etc/mdevctl.d/mtty/{A}"));
    assert_eq!(stored(&near), stored(&far));
    assert_eq!(
        far.sh("mdevctl list --defined --uuid aaaaaaaa-0000-4000-8000-000000000001")
            .trim(),
        format!("{A} mtty mtty-2 manual")
    );

    // What the other is on each of them, they know themselves.
    near.put("/tmp/one.xml", DomainXml::new("one").with(A).xml());
    near.put("/tmp/other.xml", DomainXml::new("other").with(B).xml());
    let plan = "automdev plan --host near --host far --timeout 60 --all /tmp/one.xml /tmp/other.xml";
    assert_eq!(
        near.sh(plan),
        "HOST  DOMAIN  STARTS  WHERE\n\
         near  one     yes     mtty-2 on mtty\n\
         far   one     yes     mtty-2 on mtty\n\
         near  other   yes     mdpy-vga on mdpy\n\
         far   other   yes     mtty-1 on mtty\n\
         one can start on 2 of 2 hosts\n\
         other can start on 2 of 2 hosts\n"
    );

    // It is off the network for a while.
    let off = far.goes_off(90);
    let told = near.call(plan, "");
    assert_eq!(
        (told.status, told.stdout.as_str()),
        (
            Some(1),
            "HOST  DOMAIN  STARTS  WHERE\n\
             near  one     yes     mtty-2 on mtty\n\
             near  other   yes     mdpy-vga on mdpy\n\
             far   -       ?       -\n      \
             ssh: connect to host far port 22: No route to host\n\
             one can start on 1 of 2 hosts\n\
             other can start on 1 of 2 hosts\n"
        )
    );
    let told = near.call(&format!("{plan} --format json"), "");
    let lines = told.stdout.lines().map(serde_json::from_str::<Value>);
    let lines: Vec<Value> = lines.collect::<Result<_, _>>().expect("an object a line");
    let said: Vec<_> = lines
        .iter()
        .map(|line| ["host", "state", "startable"].map(|key| line[key].as_str()))
        .collect();
    let (answered, silent) = (
        [Some("near"), Some("answered"), Some("yes")],
        [Some("far"), Some("unreachable"), None],
    );
    assert_eq!(
        (said, told.status),
        (vec![answered, silent, answered, silent], Some(1)),
        "{}",
        told.stdout
    );
    assert_eq!(
        lines[3]["reason"],
        "ssh: connect to host far port 22: No route to host"
    );
    off.ends();
    near.assert_clean(&[]);
    far.assert_clean(&[]);
}
