//! `automdev rewrite`, the whole program: what it prints, what it writes, how it ends.

mod bad_input;
mod files;
mod generate;
mod oracle;
mod property;
mod random;
mod samples;
mod scale;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// How a run of the program ended.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    stdout: String,
    stderr: String,
    status: i32,
}

impl Outcome {
    fn new(stdout: &str, stderr: &str, status: i32) -> Self {
        Outcome {
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
            status,
        }
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_automdev"));
    command.env_remove("CLICOLOR_FORCE").arg("rewrite");
    command
}

/// Runs `automdev rewrite` in that folder, with that on standard input.
fn run(folder: &Path, arguments: &[&str], stdin: &[u8]) -> Outcome {
    let mut child = program()
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("piped");
    let stdin = stdin.to_owned();
    // A program that does not read it all closes the pipe.
    let writer = std::thread::spawn(move || drop(input.write_all(&stdin)));
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("it does not panic");
    Outcome {
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        status: output.status.code().expect("an exit status"),
    }
}

/// A folder of this test's own; gone when the test is.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rewrite-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("written");
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("read")
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.0)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

const UUID: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";

/// A small domain with one marked device.
fn raw() -> String {
    format!(
        "<domain type='kvm'>\n  <name>vm</name>\n  <devices>\n    \
         <hostdev mode='subsystem' type='mdev' model='vfio-pci' autocreate='yes'>\n      \
         <source><address uuid='{UUID}'/></source>\n    </hostdev>\n  </devices>\n</domain>\n"
    )
}

/// What [`raw`] becomes.
fn lowered() -> String {
    raw().replace(" autocreate='yes'", "").replace(
        "</name>\n",
        &format!(
            "</name>\n  <metadata>\n    <automdev:devices xmlns:automdev=\"urn:automdev:domain:1\">\n      \
             <automdev:mdev uuid=\"{UUID}\"/>\n    </automdev:devices>\n  </metadata>\n"
        ),
    )
}
