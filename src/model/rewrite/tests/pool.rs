use super::*;

const DOMAIN: &str = "11111111-2222-3333-4444-555555555555";

fn pool_domain(head: &str, metadata: &str, devices: &[&str]) -> String {
    let devices: String = devices
        .iter()
        .map(|source| {
            [
                "    <hostdev type='mdev' model='vfio-pci'>\n      ",
                source,
                "\n    </hostdev>\n",
            ]
            .concat()
        })
        .collect();
    format!("<domain>\n  {head}{metadata}\n  <devices>\n{devices}  </devices>\n</domain>\n")
}

fn pool_list(entries: &[String]) -> String {
    let entries: String = entries
        .iter()
        .map(|entry| ["      <automdev:mdev ", entry, "/>\n"].concat())
        .collect();
    format!("\n  <metadata>\n    <automdev:devices {{NS}}>\n{entries}    </automdev:devices>\n  </metadata>")
}

fn pool_entry(uuid: &str, pool: &str) -> String {
    format!("uuid=\"{uuid}\" pool=\"{pool}\"")
}

#[test]
fn the_uuids_of_a_pools_devices_are_these_on_every_host_in_every_version() {
    // From Python's uuid.uuid5, so that this test does not take the program's word.
    for (identity, pool, ordinal, expected) in [
        (
            format!("uuid:{DOMAIN}"),
            "gpu",
            0,
            "7c3d3177-58ef-5651-baf1-236d27e6364c",
        ),
        (
            format!("uuid:{DOMAIN}"),
            "gpu",
            1,
            "cbada4f7-9c87-59bf-89db-15fdce4b3ee2",
        ),
        (
            "name:vm".to_owned(),
            "gpu",
            0,
            "854e05ad-fbe0-53bb-8fbe-45984bbc9faf",
        ),
        (
            format!("uuid:{DOMAIN}"),
            "other",
            0,
            "18063579-8032-5860-8c28-29942c28287b",
        ),
    ] {
        let name = format!("{pool}/{ordinal}/{identity}");
        let uuid = uuid::Uuid::new_v5(&POOL_NAMESPACE, name.as_bytes());
        assert_eq!(uuid.to_string(), expected, "{name}");
    }
    assert_eq!(
        POOL_NAMESPACE,
        uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, b"urn:automdev:domain:1")
    );
}

#[test]
fn a_pools_device_gets_a_uuid_of_the_domains_own() {
    let (first, second, other) = (
        "7c3d3177-58ef-5651-baf1-236d27e6364c",
        "cbada4f7-9c87-59bf-89db-15fdce4b3ee2",
        "18063579-8032-5860-8c28-29942c28287b",
    );
    let named = "854e05ad-fbe0-53bb-8fbe-45984bbc9faf";
    let uuid = format!("<uuid>{DOMAIN}</uuid>");
    check_lines(
        &pool_domain(
            &uuid,
            "",
            &[
                "<source pool='gpu'/>",
                "<source  pool=\"gpu\" />",
                "<source\n pool='other'></source>",
            ],
        ),
        &pool_domain(
            &uuid,
            &pool_list(&[
                pool_entry(first, "gpu"),
                pool_entry(second, "gpu"),
                pool_entry(other, "other"),
            ]),
            &[
                &format!("<source>\n        <address uuid='{first}'/>\n      </source>"),
                &format!("<source >\n        <address uuid=\"{second}\"/>\n      </source>"),
                &format!("<source>\n        <address uuid='{other}'/>\n      </source>"),
            ],
        ),
    );
    // Inserting one before it changes no other's.
    check_lines(
        &pool_domain(
            &uuid,
            &pool_list(&[pool_entry(first, "gpu")]),
            &[
                "<source pool='gpu'/>",
                &format!("<source><address uuid='{first}'/></source>"),
            ],
        ),
        &pool_domain(
            &uuid,
            &pool_list(&[pool_entry(first, "gpu"), pool_entry(second, "gpu")]),
            &[
                &format!("<source>\n        <address uuid='{second}'/>\n      </source>"),
                &format!("<source><address uuid='{first}'/></source>"),
            ],
        ),
    );
    // The name where there is no UUID; a source with something else in it; an address still empty.
    check_lines(
        &pool_domain(
            "<name>vm</name>",
            "",
            &["<source pool='gpu'>\n         <!-- any -->\n      </source>"],
        ),
        &pool_domain(
            "<name>vm</name>",
            &pool_list(&[pool_entry(named, "gpu")]),
            &[&format!(
                "<source>\n         <!-- any -->\n         <address uuid='{named}'/>\n      </source>"
            )],
        ),
    );
    check_lines(
        &pool_domain("<name>vm</name>", "", &["<source pool='gpu'><address/></source>"]),
        &pool_domain(
            "<name>vm</name>",
            &pool_list(&[pool_entry(named, "gpu")]),
            &[&format!("<source><address uuid='{named}'/></source>")],
        ),
    );
}

#[test]
fn a_pools_device_keeps_the_uuid_that_it_has() {
    // A UUID that is given stays.
    check_lines(
        &pool_domain("", "", &["<source pool='gpu'><address uuid='{A}'/></source>"]),
        &pool_domain(
            "",
            "",
            &["<source><address uuid='{A}'/></source>"],
        )
        .replace(
            "  <devices>\n",
            "  <metadata>\n    <automdev:devices {NS}>\n      <automdev:mdev uuid=\"{A}\" pool=\"gpu\"/>\n    </automdev:devices>\n  </metadata>\n  <devices>\n",
        ),
    );
    // The pool is named anew.
    for listed in ["uuid='{A}'", "pool=\"old\" uuid='{A}'"] {
        let after = match listed.split_once("pool=\"old\"") {
            Some((_, rest)) => format!("pool=\"gpu\"{rest}"),
            None => format!("{listed} pool=\"gpu\""),
        };
        check_lines(
            &pool_domain(
                "",
                &pool_list(&[listed.to_owned()]),
                &["<source pool='gpu'><address uuid='{A}'/></source>"],
            ),
            &pool_domain(
                "",
                &pool_list(&[after]),
                &["<source><address uuid='{A}'/></source>"],
            ),
        );
    }
}

#[test]
fn a_pools_device_needs_a_domain_that_has_a_name() {
    let text = pool_domain("<name/>", "", &["<source pool='gpu'/>"]);
    let faults = rewrite(&text, PoolUuids::Keep).expect_err(&text);
    assert!(faults[0].message.contains("has neither"), "{faults:?}");
}

#[test]
fn a_cloned_domain_gets_new_uuids_for_its_pools_devices_only() {
    let original = fill(&pool_domain(
        "<name>vm</name>",
        "",
        &[
            "<source pool='gpu'/>",
            "<source><address uuid='{A}'/></source>",
            "<source pool='gpu'/>",
        ],
    ));
    let original = rewrite(&original, PoolUuids::Keep)
        .expect(&original)
        .text
        .into_owned();
    let same = rewrite(&original, PoolUuids::Fresh).expect(&original);
    assert!(!same.is_changed(), "its own are as they would be: {}", same.text);

    let clone = original.replace("<name>vm</name>", "<name>clone</name>");
    assert!(!rewrite(&clone, PoolUuids::Keep).expect(&clone).is_changed());
    let fresh = rewrite(&clone, PoolUuids::Fresh).expect(&clone).text.into_owned();
    let mut expected = clone;
    for ordinal in 0..2 {
        let uuid = |name: &str| {
            let name = format!("gpu/{ordinal}/name:{name}");
            uuid::Uuid::new_v5(&POOL_NAMESPACE, name.as_bytes()).to_string()
        };
        assert_eq!(expected.matches(&uuid("vm")).count(), 2, "{expected}");
        expected = expected.replace(&uuid("vm"), &uuid("clone"));
    }
    assert_eq!(fresh, expected);
    assert!(!rewrite(&fresh, PoolUuids::Fresh).expect(&fresh).is_changed());
}
