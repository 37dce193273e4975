//! mdevctl's scripts, called by the real mdevctl and by automdev.

use std::os::unix::fs::PermissionsExt;

use super::*;

const USR: &str = "/usr/lib/mdevctl/scripts.d";
const ETC: &str = "/etc/mdevctl.d/scripts.d";
const CALLS: &str = "/tmp/calls";

/// Puts a script in place that notes how it is called, unless libvirt's own mdevctl calls it.
fn script(path: &str, body: &str) {
    let text = format!(
        "#!/bin/sh\nin=$(cat; echo x)\nup=$(awk '{{print $4}}' /proc/$PPID/stat)\n\
         grep -q libvirt /proc/$up/comm && exit 0\n\
         echo \"{path} $* <${{in%x}}>\" >>{CALLS}\n{body}\n"
    );
    fs::create_dir_all(Path::new(path).parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
}

fn calls() -> Vec<String> {
    let text = fs::read_to_string(CALLS).unwrap_or_default();
    drop(fs::remove_file(CALLS));
    text.lines().map(str::to_owned).collect()
}

/// A host without scripts before and after.
struct Scripts(Host);

impl Scripts {
    fn new() -> Self {
        let scripts = Scripts(Host::without_libvirt());
        clear();
        scripts.0.define_raw(
            "mtty",
            A,
            r#"{"mdev_type":"mtty-1","start":"manual","attrs":[{"power/control":"on"},{"power/control":"auto"}]}"#,
        );
        scripts
    }

    /// As mdevctl 1.2 of Debian 12, which is older than what automdev does as: it knows no folder below /usr and no
    /// capabilities, sorts nothing, and gives notifiers the definition, too.
    fn is_old() -> bool {
        mdevctl("--version").contains("1.2.")
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        clear();
    }
}

fn clear() {
    for folder in [USR, ETC] {
        for kind in ["callouts", "notifiers"] {
            let folder = format!("{folder}/{kind}");
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                drop(fs::remove_file(entry.path()));
            }
        }
    }
    drop(fs::remove_file(CALLS));
}

#[test]
fn mdevctl_and_automdev_call_the_scripts_alike() {
    let host = Scripts::new();
    // Of 1.2's one folder there is one callout only, as it does not sort.
    script(&format!("{ETC}/callouts/20-b"), "");
    script(&format!("{ETC}/notifiers/50-n"), "");
    if !Scripts::is_old() {
        script(&format!("{USR}/callouts/10-a"), "exit 2");
        script(&format!("{USR}/callouts/30-c"), "exit 2");
        script(&format!("{USR}/notifiers/50-n"), "exit 1");
    }
    let xml = DomainXml::new("vm").with(A).xml();
    let compare = |ours: Vec<String>, theirs: Vec<String>| {
        if Scripts::is_old() {
            let is_known = |call: &String| !call.contains(" -a capabilities ");
            let ours: Vec<String> = ours.into_iter().filter(is_known).collect();
            let without_input = |call: &String| match call.split_once(" <") {
                Some((start, _)) if call.contains(" -e notify ") => format!("{start} <>"),
                _ => call.clone(),
            };
            assert_eq!(ours, theirs.iter().map(without_input).collect::<Vec<_>>());
        } else {
            assert_eq!(ours, theirs);
        }
        ours_are_complete(&theirs);
    };
    mdevctl(&format!("start --uuid {A}"));
    let theirs = calls();
    mdevctl(&format!("stop --uuid {A}"));
    let their_stop = calls();
    hook("vm", "prepare begin", &xml).assert_fine();
    compare(calls(), theirs);
    hook("vm", "release end", &xml).assert_fine();
    compare(calls(), their_stop);

    // One that refuses.
    script(
        &format!("{ETC}/callouts/20-b"),
        "[ $4 = pre ] && { echo no license >&2; exit 3; }\nexit 0",
    );
    let refused = Command::new("mdevctl")
        .args(["start", "--uuid", A])
        .output()
        .expect("mdevctl");
    assert!(!refused.status.success());
    let theirs = calls();
    hook("vm", "prepare begin", &xml).assert_refused(&format!(
        "automdev: vm: cannot create {A} (mtty-1 on mtty): the callout {ETC}/callouts/20-b refuses it: no license; do \
         as it says, or set callouts = false in /etc/automdev/automdev.toml"
    ));
    compare(calls(), theirs);
    host.0.settings("callouts = false");
    start_and_stop(A, || ());
    assert_eq!(calls(), Vec::<String>::new());
    host.0.assert_clean();
}

fn ours_are_complete(theirs: &[String]) {
    assert!(theirs.iter().any(|call| call.contains(" -e pre ")), "{theirs:?}");
    assert!(
        theirs.iter().any(|call| call.contains(" -e notify ")),
        "{theirs:?}"
    );
}

#[test]
fn one_that_says_what_it_knows_is_chosen_alike() {
    if Scripts::is_old() {
        return;
    }
    let host = Scripts::new();
    script(&format!("{USR}/callouts/10-a"), "");
    script(
        &format!("{ETC}/callouts/20-b"),
        "case $4 in get) echo '{\"supports\":{\"version\":2,\"actions\":[\"start\",\"stop\"],\"events\":[\"pre\",\"post\"]}}';; esac",
    );
    let xml = DomainXml::new("vm").with(A).xml();
    mdevctl(&format!("start --uuid {A}"));
    mdevctl(&format!("stop --uuid {A}"));
    let theirs = calls();
    hook("vm", "prepare begin", &xml).assert_fine();
    hook("vm", "release end", &xml).assert_fine();
    assert_eq!(calls(), theirs);
    host.0.assert_clean();
}
