//! The commands about definitions, over a host in a folder: what they print, and what lies in the store
//! afterwards.

mod define;
mod hosts;
mod late;
mod list;
mod lookup;
mod travel;
mod undefine;

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use crate::far::end;
use crate::hook::domain::Domain;
use crate::hook::host::{Host, program};
use crate::support::Tree;

/// Devices.
const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "d60b5f1c-8e0d-4b07-9d94-f2a4fd17bd4b";

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// What it printed; it went well and complained of nothing.
    #[track_caller]
    pub(crate) fn printed(self) -> String {
        assert_eq!((self.status, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.stdout
    }

    /// What it complained of, though it went well.
    #[track_caller]
    pub(crate) fn warned(self) -> String {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.stderr
    }

    /// What it complained of; it failed and printed nothing.
    #[track_caller]
    pub(crate) fn failed(self) -> String {
        assert_eq!((self.status, self.stdout.as_str()), (Some(1), ""), "{self:?}");
        self.stderr
    }
}

/// Runs a command on a host, `input` on its standard input.
fn automdev_with<S: AsRef<OsStr>>(tree: &Tree, arguments: &[S], input: &str) -> Ended {
    let child = Command::new(program())
        .arg("--root")
        .arg(tree.path())
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    end(child, input)
}

/// Runs a command, its arguments between spaces.
pub(crate) fn automdev(tree: &Tree, line: &str) -> Ended {
    let arguments: Vec<&str> = line.split(' ').collect();
    automdev_with(tree, &arguments, "")
}

/// The text of a definition's file.
#[track_caller]
fn stored(tree: &Tree, parent: &str, uuid: &str) -> String {
    let path = tree.at(format!("etc/mdevctl.d/{parent}/{uuid}"));
    std::fs::read_to_string(path).expect("a definition")
}

/// The mode of a file.
fn mode(tree: &Tree, path: &str) -> u32 {
    std::fs::symlink_metadata(tree.at(path)).expect(path).mode() & 0o7777
}

/// What is given to a domain.
fn hostdev(model: &str, uuid: &str) -> String {
    format!(
        "<hostdev mode='subsystem' type='mdev' model='{model}' autocreate='yes'>\n  <source>\n    \
         <address uuid='{uuid}'/>\n  </source>\n</hostdev>\n"
    )
}
