//! What is read, what is written, and the exit status.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::Stdio;

use super::{Folder, Outcome, lowered, program, raw, run};

const WRITTEN: fn() -> Outcome = || Outcome::new("", "", 0);

#[test]
fn standard_input_and_output_are_what_is_meant_where_nothing_is_named() {
    let folder = Folder::new();
    let done = Outcome::new(&lowered(), "", 0);
    for arguments in [&[][..], &["-"], &["-o", "-"]] {
        assert_eq!(run(&folder.0, arguments, raw().as_bytes()), done, "{arguments:?}");
    }
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn nothing_is_read_from_a_person() {
    let terminal = nix::pty::openpty(None, None).expect("a terminal");
    let output = program()
        .stdin(Stdio::from(terminal.slave))
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(output.stdout, b"");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "automdev: no FILE is given, and standard input is a terminal; - reads it all the same\n"
    );
}

#[test]
fn a_terminal_gets_colour_and_nothing_else_does() {
    let folder = Folder::new();
    let path = folder.write("vm.xml", raw());
    let on_terminal = |colour: bool| {
        let terminal = nix::pty::openpty(None, None).expect("a terminal");
        let mut command = program();
        command.args(["--diff"]).arg(&path).stdout(terminal.slave);
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        if !colour {
            command.env("NO_COLOR", "1");
        }
        let status = command.status().expect("the program runs");
        assert_eq!(status.code(), Some(3));
        drop(command);
        let mut shown = Vec::new();
        // A terminal without its other end is an error, after what it has.
        drop(File::from(terminal.master).read_to_end(&mut shown));
        String::from_utf8(shown).expect("UTF-8")
    };
    let coloured = on_terminal(true);
    assert!(
        coloured.contains("\u{1b}[32m+  <metadata>\u{1b}[0m"),
        "{coloured:?}"
    );
    let plain = on_terminal(false);
    assert!(
        plain.contains("\n+  <metadata>\r\n") && !plain.contains('\u{1b}'),
        "{plain:?}"
    );
}

#[test]
fn check_and_diff_answer_and_write_nothing() {
    let folder = Folder::new();
    folder.write("raw.xml", raw());
    folder.write("lowered.xml", lowered());
    let diff = "--- raw.xml
+++ raw.xml\trewritten
@@ -1,7 +1,12 @@
 <domain type='kvm'>
   <name>vm</name>
+  <metadata>
+    <automdev:devices xmlns:automdev=\"urn:automdev:domain:1\">
+      <automdev:mdev uuid=\"c2177883-f1bb-47f0-914d-32a22e3a8804\"/>
+    </automdev:devices>
+  </metadata>
   <devices>
-    <hostdev mode='subsystem' type='mdev' model='vfio-pci' autocreate='yes'>
+    <hostdev mode='subsystem' type='mdev' model='vfio-pci'>
       <source><address uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'/></source>
     </hostdev>
   </devices>
";
    for (options, shown) in [
        (&["--check"][..], ""),
        (&["--diff"], diff),
        (&["--check", "--diff"], diff),
    ] {
        let of = |file| run(&folder.0, &[options, &[file]].concat(), b"");
        assert_eq!(of("raw.xml"), Outcome::new(shown, "", 3), "{options:?}");
        assert_eq!(of("lowered.xml"), Outcome::new("", "", 0), "{options:?}");
    }
    assert_eq!(folder.read("raw.xml"), raw());
    assert_eq!(folder.names(), ["lowered.xml", "raw.xml"]);
    for option in ["--check", "--diff"] {
        let outcome = run(&folder.0, &["raw.xml", option, "-o", "new.xml"], b"");
        assert_eq!((outcome.stdout.as_str(), outcome.status), ("", 2), "{outcome:?}");
        assert_eq!(folder.names(), ["lowered.xml", "raw.xml"]);
    }
}

#[test]
fn a_new_file_is_made_as_any_program_makes_one() {
    let folder = Folder::new();
    folder.write("vm.xml", raw());
    assert_eq!(run(&folder.0, &["vm.xml", "-o", "new.xml"], b""), WRITTEN());
    assert_eq!(folder.read("new.xml"), lowered());
    assert_eq!(folder.names(), ["new.xml", "vm.xml"]);
    let mode = |name: &str| fs::metadata(folder.0.join(name)).expect("there").mode();
    assert_eq!(mode("new.xml"), mode("vm.xml"), "as the umask says");
}

#[test]
fn a_file_that_is_there_is_replaced_with_its_mode_and_owner() {
    let folder = Folder::new();
    folder.write("vm.xml", raw());
    for (name, mode) in [
        ("a.xml", 0o600),
        ("b.xml", 0o664),
        ("c.xml", 0o4751),
        ("vm.xml", 0o640),
    ] {
        let path = folder.0.join(name);
        if name != "vm.xml" {
            folder.write(name, "old");
        }
        if nix::unistd::geteuid().is_root() {
            chown(&path, Some(1234), Some(4321)).expect("root may");
        }
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its owner may");
        let old = fs::metadata(&path).expect("there");
        let mut reader = File::open(&path).expect("opened before");

        assert_eq!(run(&folder.0, &["vm.xml", "-o", name], b""), WRITTEN());

        let new = fs::metadata(&path).expect("there");
        assert_eq!(folder.read(name), lowered());
        assert_eq!(
            (new.mode(), new.uid(), new.gid()),
            (old.mode(), old.uid(), old.gid()),
            "{name}"
        );
        assert_ne!(
            new.ino(),
            old.ino(),
            "{name} is another file, not the old one written over"
        );
        let mut before = String::new();
        reader.read_to_string(&mut before).expect("read");
        assert_ne!(before, lowered(), "who had it open goes on reading the old one");
    }
    assert_eq!(folder.names(), ["a.xml", "b.xml", "c.xml", "vm.xml"]);
}

#[test]
fn in_place_nothing_happens_where_nothing_needs_to_change() {
    let folder = Folder::new();
    let path = folder.write("vm.xml", lowered());
    symlink("vm.xml", folder.0.join("link.xml")).expect("a link");
    let before = fs::metadata(&path).expect("there");
    for output in ["vm.xml", "./vm.xml", "link.xml"] {
        assert_eq!(run(&folder.0, &["vm.xml", "-o", output], b""), WRITTEN());
    }
    let after = fs::metadata(&path).expect("there");
    assert_eq!(
        (before.ino(), before.mtime_nsec()),
        (after.ino(), after.mtime_nsec())
    );
}

#[test]
fn a_link_stays_and_its_target_is_replaced() {
    let folder = Folder::new();
    folder.write("vm.xml", raw());
    fs::create_dir(folder.0.join("deep")).expect("a folder");
    folder.write("deep/target.xml", "old");
    for (link, target) in [
        ("one.xml", "deep/target.xml"),
        ("two.xml", "one.xml"),
        ("deep/three.xml", "target.xml"),
        ("dangling.xml", "deep/new.xml"),
    ] {
        symlink(target, folder.0.join(link)).expect("a link");
        assert_eq!(run(&folder.0, &["vm.xml", "-o", link], b""), WRITTEN(), "{link}");
        assert_eq!(
            fs::read_link(folder.0.join(link)).expect("a link still"),
            std::path::Path::new(target)
        );
        assert_eq!(folder.read(link), lowered());
        folder.write("deep/target.xml", "old");
    }
    symlink("loop.xml", folder.0.join("loop.xml")).expect("a link");
    let outcome = run(&folder.0, &["vm.xml", "-o", "loop.xml"], b"");
    assert_eq!(
        outcome,
        Outcome::new(
            "",
            "automdev: cannot write loop.xml: Too many levels of symbolic links (os error 40)\n",
            1
        )
    );
}

#[test]
fn what_is_no_plain_file_is_written_to() {
    let folder = Folder::new();
    folder.write("vm.xml", raw());
    assert_eq!(
        run(&folder.0, &["vm.xml", "-o", "/dev/stdout"], b""),
        Outcome::new(&lowered(), "", 0)
    );
    let before = fs::metadata("/dev/null").expect("there");
    assert_eq!(run(&folder.0, &["vm.xml", "-o", "/dev/null"], b""), WRITTEN());
    let after = fs::metadata("/dev/null").expect("there");
    assert_eq!((before.ino(), before.rdev()), (after.ino(), after.rdev()));
}

#[test]
fn what_cannot_be_read_or_written_is_told() {
    let folder = Folder::new();
    folder.write("vm.xml", raw());
    fs::create_dir(folder.0.join("folder")).expect("a folder");
    for (arguments, expected) in [
        (
            &["none.xml"][..],
            "automdev: cannot read none.xml: No such file or directory (os error 2)\n",
        ),
        (
            &["folder"],
            "automdev: cannot read folder: Is a directory (os error 21)\n",
        ),
        (
            &["vm.xml", "-o", "folder"],
            "automdev: cannot write folder: Is a directory (os error 21)\n",
        ),
        (
            &["vm.xml", "-o", "none/vm.xml"],
            "automdev: cannot write none/vm.xml: cannot make a file in none: No such file or directory (os error 2)\n",
        ),
        (
            &["vm.xml", "-o", "/dev/full"],
            "automdev: cannot write /dev/full: No space left on device (os error 28)\n",
        ),
    ] {
        assert_eq!(
            run(&folder.0, arguments, b""),
            Outcome::new("", expected, 1),
            "{arguments:?}"
        );
    }
    let output = program()
        .current_dir(&folder.0)
        .arg("vm.xml")
        .stdout(File::create("/dev/full").expect("there"))
        .stderr(Stdio::piped())
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "automdev: cannot write standard output: No space left on device (os error 28)\n"
    );
    assert_eq!(folder.names(), ["folder", "vm.xml"]);
}

#[test]
fn a_file_that_cannot_be_written_in_full_leaves_the_old_one() {
    let folder = Folder::new();
    folder.write("vm.xml", raw());
    folder.write("out.xml", "old");
    // A limit on the size of files stands for a full disk.
    let output = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_automdev"))
        .args(["rewrite", "vm.xml", "-o", "out.xml"])
        .current_dir(&folder.0)
        .output()
        .expect("a shell");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "automdev: cannot write out.xml: File too large (os error 27)\n"
    );
    assert_eq!(folder.read("out.xml"), "old");
    assert_eq!(folder.names(), ["out.xml", "vm.xml"]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = Folder::new();
    let path = folder.write("vm.xml", raw());
    for option in [None, Some("--diff")] {
        let (reader, writer) = nix::unistd::pipe().expect("a pipe");
        drop(reader);
        let output = program()
            .arg(&path)
            .args(option)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("the program runs");
        assert_eq!(output.status.code(), Some(if option.is_some() { 3 } else { 0 }));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

#[test]
fn entries_of_no_device_are_told_and_left_alone() {
    let uuid = |number: u8| format!("00000000-0000-0000-0000-0000000000{number:02}");
    let text = |count: u8| {
        let entries: String = (1..=count)
            .map(|number| ["<a:mdev uuid='", &uuid(number), "'/>"].concat())
            .collect();
        format!(
            "<domain><metadata><a:devices xmlns:a='urn:automdev:domain:1'>{entries}</a:devices></metadata></domain>"
        )
    };
    let folder = Folder::new();
    for (count, named) in [
        (1, uuid(1)),
        (3, format!("{}, {}, {}", uuid(1), uuid(2), uuid(3))),
        (5, format!("{}, {}, {}, and 2 more", uuid(1), uuid(2), uuid(3))),
    ] {
        let warning = format!(
            "automdev: standard input: warning: listed under <metadata>, but no device of this domain: {named}\n"
        );
        let text = text(count);
        assert_eq!(
            run(&folder.0, &[], text.as_bytes()),
            Outcome::new(&text, &warning, 0)
        );
    }
}

#[test]
fn a_clone_gets_uuids_of_its_own_when_asked() {
    let folder = Folder::new();
    let pool = raw().replace(
        &format!("<source><address uuid='{}'/></source>", super::UUID),
        "<source pool='p'/>",
    );
    let original = run(&folder.0, &[], pool.as_bytes()).stdout;
    let clone = original.replace("<name>vm</name>", "<name>clone</name>");
    assert_eq!(
        run(&folder.0, &["--check"], clone.as_bytes()),
        Outcome::new("", "", 0)
    );
    assert_eq!(
        run(&folder.0, &["--check", "--fresh"], clone.as_bytes()),
        Outcome::new("", "", 3)
    );
    let fresh = run(&folder.0, &["--fresh"], clone.as_bytes());
    let expected = pool.replace("<name>vm</name>", "<name>clone</name>");
    assert_eq!(fresh, run(&folder.0, &[], expected.as_bytes()));
    assert_ne!(fresh.stdout, clone);
    assert_eq!(
        run(&folder.0, &["--fresh", "--check"], fresh.stdout.as_bytes()),
        Outcome::new("", "", 0)
    );
}
