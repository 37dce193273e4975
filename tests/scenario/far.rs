//! Other hosts, each a tree or a shell's script, behind a stand-in for ssh.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::definitions::Ended;
use crate::hook::host::program;
use crate::support::Tree;

/// Hosts, and the `ssh` on PATH that gets to them.
pub(crate) struct Far {
    folder: Tree,
}

impl Far {
    pub(crate) fn new() -> Self {
        let folder = Tree::new();
        let ssh = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/far/ssh");
        folder
            .folder("hosts")
            .link_text("ssh", &ssh.display().to_string());
        Far { folder }
    }

    /// A host on which this happens; `$far` is a folder that all share, `$host` its name, `$*` the command.
    pub(crate) fn script(&self, host: &str, script: &str) -> &Self {
        self.folder.file(&format!("hosts/{host}"), script);
        self
    }

    /// A host that has automdev.
    pub(crate) fn host(&self, name: &str, tree: &Tree) -> &Self {
        let (program, root) = (program(), tree.path().display());
        let function = format!("automdev() {{ '{}' --root '{root}' \"$@\"; }}", program.display());
        self.script(name, &format!("{function}\neval \"$*\"\n"))
    }

    /// A path that the scripts share.
    pub(crate) fn at(&self, path: &str) -> std::path::PathBuf {
        self.folder.at(path)
    }

    /// How ssh was called, sorted: they are called at once.
    pub(crate) fn asked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.at("asked")).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Starts automdev on a host from which these can be reached.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, here: &Tree, arguments: &[S]) -> Child {
        let path = format!("{}:/usr/bin:/bin", self.folder.path().display());
        start(here, &path, arguments)
    }

    /// Runs automdev with nothing on its standard input.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, here: &Tree, arguments: &[S]) -> Ended {
        end(self.start(here, arguments), "")
    }

    /// Runs automdev with `input` on its standard input.
    pub(crate) fn run_with<S: AsRef<OsStr>>(&self, here: &Tree, arguments: &[S], input: &str) -> Ended {
        end(self.start(here, arguments), input)
    }
}

/// Starts automdev with that PATH.
pub(crate) fn start<S: AsRef<OsStr>>(here: &Tree, path: &str, arguments: &[S]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_automdev"))
        .arg("--root")
        .arg(here.path())
        .args(arguments)
        .current_dir(here.path())
        .env_clear()
        .envs([("LC_ALL", "C.UTF-8"), ("TERM", "xterm"), ("PATH", path)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Gives it its input and waits for its end.
pub(crate) fn end(mut child: Child, input: &str) -> Ended {
    let mut pipe = child.stdin.take().expect("a pipe");
    // That it is not read is the reader's right.
    drop(std::io::Write::write_all(&mut pipe, input.as_bytes()));
    drop(pipe);
    let output = child.wait_with_output().expect("a child can be waited for");
    let text = |bytes| String::from_utf8(bytes).expect("what is printed is UTF-8");
    Ended {
        status: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}
