//! Commands that ask other hosts, over a real ssh.

use super::side::{Side, sides};
use crate::support::{A, B, Definition, DomainXml};

/// Takes a host's card down, and up again later: nobody can tell it to.
const OFF_FOR_A_WHILE: &str = r#"
card=$(basename /sys/class/net/e*)
script="sleep 2; ip link set $card down; sleep 40; ip link set $card up"
setsid sh -c "$script" > /dev/null 2>&1 < /dev/null &
"#;

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
    far.sh(OFF_FOR_A_WHILE);
    near.sh("sleep 5; ip neighbour flush all");
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
    near.sh("until ssh -o ConnectTimeout=5 far true; do sleep 1; done");
    near.assert_clean(&[]);
    far.assert_clean(&[]);
}
