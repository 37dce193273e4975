//! Root executes what lies in the folders: nothing that somebody else could have put there, and nothing of what
//! the caller has reaches a script.

use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

use super::*;
use crate::hook::host::program;

/// What is logged when a script is passed over.
#[track_caller]
fn assert_passed_over(host: &Host, script: &str, unsafe_path: &str) {
    let answer = host.prepare(&vm()).done();
    let expected = format!(
        "vm1: {} is not executed: others than root may write {}",
        host.at(script).display(),
        host.at(unsafe_path).display()
    );
    assert!(
        answer
            .log
            .iter()
            .any(|message| message.field("MESSAGE") == expected),
        "{expected}\n{:?}",
        answer.log
    );
    assert_eq!(all_calls(host), Vec::<String>::new());
    host.release(&vm()).done();
}

fn set_mode(host: &Host, path: &str, mode: u32) {
    fs::set_permissions(host.at(path), fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn what_others_may_write_is_not_executed() {
    let path = format!("{USR}/callouts/10-a");
    for writable in [
        path.as_str(),
        "usr/lib/mdevctl/scripts.d/callouts",
        "usr/lib/mdevctl",
    ] {
        let host = host();
        script(&host, &path, "");
        set_mode(&host, writable, 0o757);
        assert_passed_over(&host, &path, writable);
    }
    let path = format!("{ETC}/notifiers/10-a");
    let host = host();
    script(&host, &path, "");
    set_mode(&host, &path, 0o777);
    assert_passed_over(&host, &path, &path);
}

#[test]
fn what_belongs_to_somebody_else_is_not_executed() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let path = format!("{USR}/callouts/10-a");
    for foreign in [path.as_str(), "usr/lib/mdevctl/scripts.d/callouts"] {
        let host = host();
        script(&host, &path, "");
        chown(host.at(foreign), Some(1000), None).expect("root may");
        assert_passed_over(&host, &path, foreign);
    }
}

#[test]
fn a_link_is_as_safe_as_what_it_leads_to() {
    let path = format!("{USR}/callouts/10-a");
    let host = host();
    script(&host, "opt/vendor/script", "");
    host.link(&path, "opt/vendor/script");
    host.prepare(&vm()).done();
    assert_eq!(calls(&host).len(), 2);
    host.release(&vm()).done();
    calls(&host);
    set_mode(&host, "opt/vendor", 0o777);
    assert_passed_over(&host, &path, "opt/vendor");
}

/// Whoever may put a link in the place of the folder, or of a link on the way, chooses what is executed.
#[test]
fn each_link_on_the_way_is_as_safe_as_where_it_lies() {
    let path = format!("{USR}/callouts/10-a");
    let host = host();
    script(&host, "opt/vendor/10-a", "");
    host.link(&format!("{USR}/callouts"), "opt/links/vendor")
        .link("opt/links/vendor", "opt/vendor");
    host.prepare(&vm()).done();
    assert_eq!(calls(&host).len(), 2);
    host.release(&vm()).done();
    calls(&host);
    for writable in [USR, "opt/links"] {
        set_mode(&host, writable, 0o777);
        assert_passed_over(&host, &path, writable);
        set_mode(&host, writable, 0o755);
    }
    if nix::unistd::geteuid().is_root() {
        lchown(host.at("opt/links/vendor"), Some(1000), None).expect("root may");
        assert_passed_over(&host, &path, "opt/links/vendor");
    }
}

#[test]
fn what_is_no_program_is_passed_over() {
    let host = host();
    host.file(&format!("{USR}/callouts/README"), "#!/bin/sh\nexit 1\n")
        .folder(&format!("{USR}/callouts/folder"));
    symlink("nowhere", host.at(format!("{USR}/callouts/link"))).expect("a link");
    raw_script(&host, &format!("{USR}/callouts/10-a"), "#!/nowhere/interpreter\n");
    host.prepare(&vm())
        .done()
        .logged(&[&format!("6 vm1: created {A} (mtty-2 on mtty)")]);
}

#[test]
fn nothing_of_the_callers_reaches_a_script() {
    let host = host();
    let seen = host.at("seen");
    raw_script(
        &host,
        &format!("{USR}/notifiers/10-a"),
        &format!(
            "#!/bin/sh\nexec 2>&1 >{}\nenv | grep -v '^_='\npwd\nls /proc/self/fd\ngrep -E '^Sig(Blk|Ign)' /proc/self/status\n",
            seen.display()
        ),
    );
    let input = host.at("input");
    fs::write(&input, vm().xml()).expect("a file");
    let output = Command::new("/bin/sh")
        .args(["-c", "exec 7</dev/null 9>/dev/null; exec \"$@\"", "sh"])
        .arg(program())
        .arg("--root")
        .arg(host.path())
        .args(["hook", "vm1", "prepare", "begin", "-"])
        .env("SECRET", "x")
        .env("LD_PRELOAD", "")
        .stdin(Stdio::from(fs::File::open(input).expect("a file")))
        .output()
        .expect("a shell");
    assert!(output.status.success(), "{output:?}");
    let seen = fs::read_to_string(seen).expect("it ran");
    let mut lines: Vec<&str> = seen.lines().collect();
    let signals = lines.split_off(lines.len() - 2);
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "/",
            "0",
            "1",
            "2",
            "3",
            "LC_ALL=C",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PWD=/",
        ],
        "descriptor 3 is the folder that ls reads"
    );
    assert_eq!(signals[0], "SigBlk:\t0000000000000000");
    let ignored = signals[1].rsplit('\t').next().expect("a mask");
    let ignored = u64::from_str_radix(ignored, 16).expect("a mask");
    assert_eq!(ignored & (1 << 12), 0, "a pipe that nobody reads ends a script");
}

#[test]
fn one_that_does_not_read_is_given_no_more() {
    let host = host();
    // More than a pipe holds.
    let attributes = vec![("power/control", "on"); 4000];
    host.definition("mtty", A, "mtty-2", &attributes);
    let body = "#!/bin/sh\nexec <&-\nexit 0\n";
    raw_script(&host, &format!("{USR}/callouts/10-a"), body);
    host.prepare(&vm()).done();
    host.release(&vm()).done();
    let slow = format!("#!/bin/sh\nsleep 0.1\nwc -c >{}\n", host.at("size").display());
    raw_script(&host, &format!("{USR}/callouts/10-a"), &slow);
    host.prepare(&vm()).done();
    let size: usize = host.read("size").expect("it ran").parse().expect("a number");
    assert!(size > 64 << 10, "{size}");
}

/// Whoever may write where it lies says what it leads to.
#[test]
fn a_link_is_as_safe_as_where_it_lies() {
    let path = format!("{USR}/callouts/10-a");
    let folder = "usr/lib/mdevctl/scripts.d/callouts";
    let host = host();
    script(&host, "opt/vendor/script", "");
    host.link(&path, "opt/vendor/script");
    set_mode(&host, folder, 0o777);
    assert_passed_over(&host, &path, folder);
}

/// All of them are looked at before the first one is called.
#[test]
fn one_that_changes_meanwhile_is_looked_at_again() {
    let host = host();
    let (first, second) = (format!("{USR}/callouts/10-a"), format!("{USR}/callouts/20-b"));
    script(&host, &second, "");
    let body = format!(
        "#!/bin/sh\ncat >/dev/null\nchmod o+w {}\nexit 2\n",
        host.at(&second).display()
    );
    raw_script(&host, &first, &body);
    host.prepare(&vm()).done();
    assert_eq!(all_calls(&host), Vec::<String>::new());
}
