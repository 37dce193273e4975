//! `define --host`: one definition for several hosts.

use super::*;
use crate::far::Far;

fn words(line: &str) -> Vec<&str> {
    let long: &[&str] = if line.contains("--host") && !line.contains("--timeout") {
        &["define", "--timeout", "60"]
    } else {
        &["define"]
    };
    long.iter().copied().chain(line.split(' ')).collect()
}

/// A host with the sample driver's parent, and one with a GPU.
fn two() -> (Far, Tree, Tree) {
    let (a, b) = (Tree::new(), Tree::new());
    a.mtty();
    b.nvidia("0000:41:00.0");
    let far = Far::new();
    far.host("a", &a).host("b", &b);
    (far, a, b)
}

#[test]
fn each_host_gets_it_under_one_uuid_and_with_its_own_parent() {
    let (far, a, b) = two();
    let (c, here) = (Tree::new(), Tree::new());
    c.mtty();
    far.host("c", &c);
    let before = here.snapshot();
    let line = "--host b=pci_0000_41_00_0 --host a --host c --parent mtty --type nvidia-222 --attribute x=1=2 \
                --start auto";
    let ended = far.run(&here, &words(line));
    let uuid = ended.stdout.lines().next().expect("a UUID").to_owned();
    assert_eq!(
        ended.stdout,
        format!(
            "{uuid}\n{}HOST  PARENT            DEFINED\nb     pci_0000_41_00_0  yes\na     mtty              yes\n\
             c     mtty              yes\n",
            hostdev("vfio-pci", &uuid)
        )
    );
    // What does not fit a host is told by that host.
    let warning =
        "warning: mtty offers no type nvidia-222 now; automdev types --parent mtty shows what it does";
    let note =
        format!("note: it is defined all the same; automdev undefine {uuid} --parent mtty takes that back");
    assert_eq!(
        ended.stderr,
        ["a", "c"]
            .map(|host| format!("automdev: {host}: {warning}\nautomdev: {host}: {note}\n"))
            .concat()
    );
    assert_eq!(ended.status, Some(0));
    let definition = "{\n  \"mdev_type\": \"nvidia-222\",\n  \"start\": \"auto\",\n  \"attrs\": [\n    {\n      \"x\": \
                      \"1=2\"\n    }\n  ]\n}";
    for (host, parent) in [(&a, "mtty"), (&b, "0000:41:00.0"), (&c, "mtty")] {
        assert_eq!(stored(host, parent, &uuid), definition);
    }
    before.assert_unchanged(&here.snapshot());

    // Once more is the same once more.
    let before = [a.snapshot(), b.snapshot(), c.snapshot()];
    let again = far.run(&here, &words(&format!("{line} --uuid {uuid}")));
    assert_eq!((again.status, &again.stdout), (Some(0), &ended.stdout));
    for (before, host) in before.iter().zip([&a, &b, &c]) {
        before.assert_unchanged(&host.snapshot());
    }
}

#[test]
fn a_definition_of_this_host_goes_to_others() {
    let (far, a, b) = two();
    let here = Tree::new();
    here.mtty()
        .definition("mtty", A, "mtty-2", &[("note", "it's\n\"so\" $(x)")]);
    for format in ["mdevctl", "nodedev"] {
        let text = automdev(&here, &format!("show {A} --format {format}")).printed();
        let ended = far.run_with(&here, &words("--host a=mtty --host b=41:00.0 --force -"), &text);
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(ended.stdout.starts_with(A), "{}", ended.stdout);
        for (host, parent) in [(&a, "mtty"), (&b, "0000:41:00.0")] {
            assert_eq!(stored(host, parent, A), stored(&here, "mtty", A), "{format}");
        }
    }
    // libvirt's form names the parent as well.
    let text = automdev(&here, &format!("show {A} --format nodedev")).printed();
    let ended = far.run_with(&here, &words(&format!("--host a --uuid {B} -")), &text);
    assert!(
        ended
            .stdout
            .ends_with("HOST  PARENT  DEFINED\na     -       yes\n"),
        "{ended:?}"
    );
    stored(&a, "mtty", B);
}

#[test]
fn who_has_it_and_who_has_not_is_told() {
    let (far, a, _) = two();
    let other = Tree::new();
    other.mtty().definition("mtty", A, "mtty-1", &[]);
    far.host("other", &other)
        .script(
            "off",
            "echo 'ssh: connect to host off port 22: Connection refused' >&2\nexit 255",
        )
        .script("slow", "sleep 1000")
        .script("none", "PATH=/nowhere\n$*");
    let here = Tree::new();
    let line = format!("--uuid {A} --parent mtty --type mtty-2 --host a --host other --host off --host none");
    let ended = far.run(&here, &words(&line));
    let told = ended.stdout.replace("\n      ", " ");
    let (table, none) = told.rsplit_once("none ").expect("the last host");
    let lines: Vec<&str> = table.lines().skip(6).collect();
    assert_eq!(
        lines,
        [
            "HOST   PARENT  DEFINED",
            "a      mtty    yes",
            &format!(
                "other  mtty    no /etc/mdevctl.d/mtty/{A} is there already, and different: type: mtty-1, not mtty-2; \
                 nothing was changed; --force replaces it"
            ),
            "off    mtty    ? ssh: connect to host off port 22: Connection refused",
        ]
    );
    assert!(
        ended
            .stdout
            .starts_with(&format!("{A}\n{}", hostdev("vfio-pci", A)))
    );
    let none_says = "  mtty    no automdev is not installed there: ";
    assert!(none.starts_with(none_says), "{none}");
    assert_eq!(
        ended.stderr,
        format!(
            "automdev: 3 of 4 did not say that they have it; once that is mended, the same with --uuid {A} tries again, \
             and leaves alone what is there\n"
        )
    );
    assert_eq!(ended.status, Some(1));
    assert!(stored(&a, "mtty", A).contains("mtty-2"));
    assert!(stored(&other, "mtty", A).contains("mtty-1"));

    let ended = far.run(
        &here,
        &words(&format!(
            "--uuid {A} --parent mtty --type mtty-2 --host other --force"
        )),
    );
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(stored(&other, "mtty", A).contains("mtty-2"));
    let ended = far.run(
        &here,
        &words("--parent mtty --type mtty-2 --host slow --timeout 0.5"),
    );
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (
            Some(1),
            "HOST  PARENT  DEFINED\nslow  mtty    ?\n      no answer within 0.5 s\n"
        )
    );
    // Where nobody has it there is nothing to be given to a domain.
    let ended = far.run(&here, &words("--parent mtty --type mtty-2 --host off"));
    assert!(
        ended
            .stdout
            .starts_with("HOST  PARENT  DEFINED\noff   mtty    ?\n"),
        "{ended:?}"
    );
    assert_eq!(ended.status, Some(1));
}

/// Two at once would write one file.
#[test]
fn a_parent_of_a_host_is_meant_once_however_it_is_written() {
    let (far, _a, _b) = two();
    let here = Tree::new();
    let line =
        "--host a --host a=mtty --host b=41:00.0 --host b=pci_0000_41_00_0 --parent mtty --type mtty-2";
    let ended = far.run(&here, &words(line));
    assert!(
        ended
            .stdout
            .ends_with("HOST  PARENT   DEFINED\na     mtty     yes\nb     41:00.0  yes\n"),
        "{ended:?}"
    );
    assert_eq!(far.asked().len(), 2, "{:?}", far.asked());
}

/// Who was killed may have written it before, and a shell in between makes a status of that.
#[test]
fn only_who_refuses_has_surely_not_written_it() {
    let far = Far::new();
    for (host, script) in [
        ("refuses", "echo 'automdev: no' >&2\nexit 1"),
        ("absent", "exit 127"),
        ("killed", "exit 137"),
        ("odd", "exit 3"),
        ("lost", "exit 255"),
    ] {
        far.script(host, script);
    }
    let hosts = "--host refuses --host absent --host killed --host odd --host lost";
    let here = Tree::new();
    let line = format!("{hosts} --uuid {A} --parent mtty --type mtty-2");
    let ended = far.run(&here, &words(&line));
    let rows: Vec<&str> = ended
        .stdout
        .lines()
        .filter(|line| !line.starts_with(' '))
        .collect();
    let expected = [
        "HOST     PARENT  DEFINED",
        "refuses  mtty    no",
        "absent   mtty    no",
        "killed   mtty    ?",
        "odd      mtty    ?",
        "lost     mtty    ?",
    ];
    assert_eq!((rows, ended.status), (expected.to_vec(), Some(1)));

    // The same for programs.
    let (far, _a, _b) = two();
    far.script("no", "echo 'automdev: it is full' >&2\nexit 1")
        .script("off", "exit 255");
    let line =
        format!("--host a --host no --host off=x --uuid {A} --parent mtty --type mtty-2 --format json");
    let ended = far.run(&here, &words(&line));
    let line = |host: &str, parent: &str, rest: &str| {
        format!("{{\"schema\":1,\"host\":\"{host}\",\"parent\":\"{parent}\",\"uuid\":\"{A}\",{rest}}}\n")
    };
    let answered = "\"defined\":\"yes\",\"model\":\"vfio-pci\",\"state\":\"answered\",\"reason\":null";
    let failed = "\"defined\":\"no\",\"model\":null,\"state\":\"failed\",\"reason\":\"it is full\"";
    let unreachable = "\"defined\":\"unknown\",\"model\":null,\"state\":\"unreachable\",\"reason\":\"ssh ended \
                       with status 255 and does not say why\"";
    assert_eq!(
        ended.stdout,
        line("a", "mtty", answered) + &line("no", "mtty", failed) + &line("off", "x", unreachable)
    );
    assert_eq!(ended.status, Some(1));
}

/// The command goes through a shell there, and is but words to it.
#[test]
fn words_stay_words_there() {
    let (far, a, _) = two();
    let here = Tree::new();
    let parent = "x'; touch $far pwned; echo '`touch pwned`$(touch pwned) -y";
    let host = format!("--host=a={parent}");
    let ended = far.run(&here, &["define", &host, "--uuid", A, "--type", "$(touch pwned)"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(a.names("etc/mdevctl.d"), [parent]);
    assert!(stored(&a, parent, A).contains("\"$(touch pwned)\""));
    assert!(!here.at("pwned").exists() && !far.at("pwned").exists());
}

#[test]
fn what_cannot_be_asked_is_a_usage_error() {
    let (far, ..) = two();
    let here = Tree::new();
    let ended = far.run(&here, &words("--host a=mtty --host b --type x"));
    assert_eq!(
        (ended.status, ended.stderr.as_str()),
        (
            Some(2),
            "automdev: on which parent of b is the device to be? write --host b=PARENT, or add --parent PARENT\n"
        )
    );
    for line in [
        "--host a",
        "--host a= --type x",
        "--host a=../x --type x",
        "--host =mtty --type x",
        "--host -oX=mtty --type x",
        "--host=-oX=mtty --type x",
        "--timeout 3 --parent mtty --type x",
        "--format json --parent mtty --type x",
        "--host a=mtty --type ../x",
    ] {
        assert_eq!(far.run(&here, &words(line)).status, Some(2), "{line}");
    }
    assert!(
        far.run(&here, &words("--host a --parent .. --type x"))
            .failed()
            .contains("another folder")
    );
    assert!(far.asked().is_empty(), "{:?}", far.asked());
}
