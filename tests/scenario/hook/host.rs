//! A host on which the hook is called as libvirt calls it, and what everybody sees of that.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write;
use std::ops::Deref;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use automdev::host::clock::Deadline;
use automdev::host::kernel::Target;
use nix::fcntl::{Flock, FlockArg};

use super::domain::Domain;
use crate::support::{FaultKind, Snapshot, Tree};

/// A host with a journal that keeps what is logged.
pub(crate) struct Host {
    tree: Tree,
    journal: UnixDatagram,
}

impl Deref for Host {
    type Target = Tree;

    fn deref(&self) -> &Tree {
        &self.tree
    }
}

/// The program, next to the tests' own.
pub(crate) fn program() -> PathBuf {
    let tests = std::env::current_exe().expect("the tests are a program");
    let built = tests.ancestors().nth(2).expect("target/PROFILE/deps/TESTS");
    let program = built.join("examples/automdev-on-fake");
    assert!(
        program.is_file(),
        "{} is missing: build it with cargo build --example automdev-on-fake",
        program.display()
    );
    program
}

impl Host {
    /// A host with nothing but its kernel and libvirt's daemon, which is this process.
    pub(crate) fn new() -> Self {
        let host = Host::without_libvirt();
        host.start_libvirt();
        host
    }

    /// A host on which no libvirt daemon runs: the claims of domains without a process are of no worth.
    pub(crate) fn without_libvirt() -> Self {
        let tree = Tree::new();
        // There from the moment that the drivers are loaded.
        for driver in ["mtty", "mdpy", "mbochs", "nvidia-vgpu-vfio", "vfio_ap_mdev"] {
            tree.folder(&format!("sys/bus/mdev/drivers/{driver}"));
        }
        tree.folder("sys/class/vfio-dev")
            .folder("run/systemd/journal")
            .file(
                "proc/sys/kernel/random/boot_id",
                "1d4f6b4e-0000-4000-8000-000000000001\n",
            );
        let journal =
            UnixDatagram::bind(tree.at("run/systemd/journal/socket")).expect("a socket of the tree");
        journal.set_nonblocking(true).expect("a socket can be asked");
        Host { tree, journal }
    }

    /// Sets how long things are waited for: lines below `[timeouts]`.
    pub(crate) fn timeouts(&self, lines: &str) -> &Self {
        self.file("etc/automdev/automdev.toml", &format!("[timeouts]\n{lines}\n"));
        self
    }

    /// libvirt's `prepare begin`.
    #[track_caller]
    pub(crate) fn prepare(&self, domain: &Domain) -> Answer {
        self.event(&domain.name, "prepare", "begin", &domain.xml())
    }

    /// libvirt's `release end`.
    #[track_caller]
    pub(crate) fn release(&self, domain: &Domain) -> Answer {
        self.event(&domain.name, "release", "end", &domain.xml())
    }

    /// Any event of libvirt's.
    #[track_caller]
    pub(crate) fn event(&self, name: &str, operation: &str, sub_operation: &str, input: &str) -> Answer {
        self.hook(&[name, operation, sub_operation, "-"], input.as_bytes())
    }

    /// Calls the hook with any arguments.
    #[track_caller]
    pub(crate) fn hook<S: AsRef<OsStr>>(&self, arguments: &[S], input: &[u8]) -> Answer {
        self.finish(self.start(arguments, input))
    }

    /// Calls the hook and does not wait for it. `input` must be small, or be read.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, arguments: &[S], input: &[u8]) -> Child {
        let mut command = self.command();
        command.args(arguments);
        spawn(&mut command, input)
    }

    /// `PROGRAM --root ROOT hook`.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(program());
        command.arg("--root").arg(self.path()).arg("hook");
        command
    }

    /// `automdev reconcile`.
    #[track_caller]
    pub(crate) fn reconcile(&self, options: &[&str]) -> Answer {
        let mut command = Command::new(program());
        command
            .arg("--root")
            .arg(self.path())
            .arg("reconcile")
            .args(options);
        self.finish(spawn(&mut command, b""))
    }

    /// Makes all claims so much older, in seconds.
    pub(crate) fn age(&self, seconds: u64) -> &Self {
        for uuid in self.names("run/automdev/claims") {
            for claimant in self.names(format!("run/automdev/claims/{uuid}")) {
                let path = format!("run/automdev/claims/{uuid}/{claimant}");
                let mut claim = self.json(&path);
                if let Some(time) = claim["time"].as_u64() {
                    claim["time"] = (time - seconds).into();
                    self.file_with_mode(&path, &claim.to_string(), 0o600);
                }
            }
        }
        self
    }

    /// Holds a lock whose file is there, as another call would that is at work on what it locks.
    pub(crate) fn lock(&self, name: &str) -> Flock<File> {
        self.lock_how(name, FlockArg::LockExclusive)
    }

    /// The same, exclusively or shared.
    pub(crate) fn lock_how(&self, name: &str, how: FlockArg) -> Flock<File> {
        let file = File::open(self.at(format!("run/automdev/locks/{name}"))).expect("the lock's file stays");
        Flock::lock(file, how).expect("nobody has it")
    }

    /// Makes this process libvirt's daemon, the same one again where there was one.
    pub(crate) fn start_libvirt(&self) -> &Self {
        if !self.at(format!("proc/{}", std::process::id())).exists() {
            self.process(std::process::id(), "libvirtd", &["/usr/sbin/libvirtd"], 5);
        }
        self
    }

    /// Takes libvirt's daemon away: what claims without a process is gone.
    pub(crate) fn stop_libvirt(&self) -> &Self {
        fs::remove_dir_all(self.at(format!("proc/{}", std::process::id()))).expect("a process");
        self
    }

    /// Waits for a call's end.
    #[track_caller]
    pub(crate) fn finish(&self, child: Child) -> Answer {
        let output = child.wait_with_output().expect("a child can be waited for");
        let text = |bytes| String::from_utf8(bytes).expect("what is printed is UTF-8");
        Answer {
            status: output.status.code(),
            signal: output.status.signal(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            log: self.logged(),
        }
    }

    /// What was logged since the last time.
    pub(crate) fn logged(&self) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut buffer = vec![0; 1 << 20];
        while let Ok(length) = self.journal.recv(&mut buffer) {
            messages.push(Message::parse(&buffer[..length]));
        }
        messages
    }

    /// Stops the next call dead at an effect, or lets that one fail.
    #[track_caller]
    pub(crate) fn prepare_with(&self, at: u64, kind: FaultKind, domain: &Domain) -> Answer {
        self.kernel().fault(at, kind);
        let answer = self.prepare(domain);
        self.kernel().reset();
        answer
    }

    /// As [`Host::prepare_with`].
    #[track_caller]
    pub(crate) fn release_with(&self, at: u64, kind: FaultKind, domain: &Domain) -> Answer {
        self.kernel().fault(at, kind);
        let answer = self.release(domain);
        self.kernel().reset();
        answer
    }

    /// Everything but what automdev keeps for itself.
    pub(crate) fn state(&self) -> Snapshot {
        self.snapshot().without(&["run/automdev"])
    }

    /// What the ledger holds, locks aside: `devices/UUID STATE`, `claims/UUID/CLAIMANT`, `claimants/CLAIMANT
    /// NAME UUID…`.
    pub(crate) fn ledger(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for name in self.names("run/automdev/claimants") {
            let holdings = self.json(&format!("run/automdev/claimants/{name}"));
            let devices: Vec<_> = holdings["devices"].as_array().into_iter().flatten().collect();
            let devices: Vec<_> = devices.iter().filter_map(|uuid| uuid.as_str()).collect();
            let of = holdings["name"].as_str().unwrap_or("?");
            lines.push(format!("claimants/{name} {of} {}", devices.join(" ")));
        }
        for uuid in self.names("run/automdev/claims") {
            let claims = self.names(format!("run/automdev/claims/{uuid}"));
            lines.extend(claims.iter().map(|claimant| format!("claims/{uuid}/{claimant}")));
        }
        for uuid in self.names("run/automdev/devices") {
            let record = self.json(&format!("run/automdev/devices/{uuid}"));
            lines.push(format!(
                "devices/{uuid} {}",
                record["state"].as_str().unwrap_or("?")
            ));
        }
        lines
    }

    /// A file of the tree's, as JSON; null where it is none.
    pub(crate) fn json(&self, path: &str) -> serde_json::Value {
        let text = fs::read_to_string(self.at(path)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The active devices, sorted: `UUID TYPE PARENT`. One that goes away meanwhile is not among them.
    pub(crate) fn devices(&self) -> Vec<String> {
        let uuids = self.names("sys/bus/mdev/devices");
        uuids
            .into_iter()
            .filter_map(|uuid| {
                let folder = fs::canonicalize(self.at(format!("sys/bus/mdev/devices/{uuid}"))).ok()?;
                let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
                let type_name = name(&fs::read_link(folder.join("mdev_type")).ok()?);
                let parent = name(folder.parent().expect("a parent"));
                Some(format!("{uuid} {type_name} {parent}"))
            })
            .collect()
    }

    /// Whether a parent has a device of that UUID, be it half removed.
    pub(crate) fn is_below(&self, parent: &str, uuid: &str) -> bool {
        self.at(format!("sys/class/mdev_bus/{parent}/{uuid}")).exists()
    }

    /// Removes an active device as somebody else would; not counted as an effect of ours.
    pub(crate) fn remove(&self, uuid: &str) -> &Self {
        let kernel = self.kernel();
        let folder = self.at(format!("sys/bus/mdev/devices/{uuid}"));
        let target = Target {
            folder: &folder,
            file: "remove",
            inode: None,
            keep: None,
        };
        kernel
            .react(target, b"1", Deadline::after(Duration::ZERO))
            .expect("the device goes");
        self
    }

    /// Fails the test unless the ledger holds nothing but locks and empty folders.
    #[track_caller]
    pub(crate) fn assert_ledger_empty(&self) {
        assert_eq!(self.ledger(), Vec::<String>::new());
    }

    /// The writes into sysfs since the last reset, and their results.
    pub(crate) fn writes(&self) -> Vec<String> {
        let writes = self.kernel().log().into_iter().filter_map(|line| {
            let (_, effect) = line.split_once(' ')?;
            effect
                .strip_prefix("write sys/class/mdev_bus/")
                .map(str::to_owned)
        });
        writes.collect()
    }

    /// Makes the ledger's folder, of this mode.
    pub(crate) fn ledger_folder(&self, mode: u32) -> &Self {
        let path = self.at("run/automdev");
        fs::DirBuilder::new().mode(mode).create(&path).expect("a folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
        self
    }
}

/// Starts a command with its input on a pipe that is closed behind it.
pub(crate) fn spawn(command: &mut Command, input: &[u8]) -> Child {
    command
        .env_clear()
        .envs([("LC_ALL", "C"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    // That it is not read to its end is the reader's right.
    drop(pipe.write_all(input));
    child
}

/// How a call ended, and what it said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) log: Vec<Message>,
}

impl Answer {
    /// Fails the test unless it went well and said nothing.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        self.ended(0, "")
    }

    /// Fails the test unless it was refused with this one line, `automdev: ` before it.
    #[track_caller]
    pub(crate) fn refused(self, line: &str) -> Self {
        assert!(!line.contains('\n'), "{line}");
        self.ended(1, &format!("automdev: {line}\n"))
    }

    /// Fails the test unless it ended so.
    #[track_caller]
    pub(crate) fn ended(self, status: i32, stderr: &str) -> Self {
        assert_eq!(self.stderr, stderr, "standard error; {self:?}");
        assert_eq!(self.stdout, "", "standard output");
        assert_eq!((self.status, self.signal), (Some(status), None), "exit status");
        self
    }

    /// Fails the test unless it printed these lines and ended so.
    #[track_caller]
    pub(crate) fn printed(self, status: i32, lines: &[&str]) -> Self {
        assert_eq!(self.stdout.lines().collect::<Vec<_>>(), lines, "{self:?}");
        assert_eq!(self.stderr, "", "standard error");
        assert_eq!((self.status, self.signal), (Some(status), None), "exit status");
        self
    }

    /// Fails the test unless it was killed as planned.
    #[track_caller]
    pub(crate) fn killed(self) {
        assert_eq!((self.status, self.signal), (None, Some(9)), "{self:?}");
    }

    /// Whether it went well; fails the test where it neither did nor was refused with one line.
    #[track_caller]
    pub(crate) fn succeeded(self) -> bool {
        assert_eq!(self.stdout, "", "standard output");
        match self.status {
            Some(0) => assert_eq!(self.stderr, "", "{self:?}"),
            Some(1) => assert!(
                self.stderr.starts_with("automdev: ") && self.stderr.lines().count() == 1,
                "{self:?}"
            ),
            _ => panic!("{self:?}"),
        }
        self.status == Some(0)
    }

    /// Fails the test unless exactly this was logged: `PRIORITY MESSAGE` each.
    #[track_caller]
    pub(crate) fn logged(self, lines: &[&str]) -> Self {
        let log: Vec<String> = self.log.iter().map(Message::line).collect();
        assert_eq!(log, lines, "what was logged");
        self
    }
}

/// A message as the journal gets it (systemd's "Native Journal Protocol"): its fields, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message(Vec<(String, String)>);

impl Message {
    fn parse(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("a message is UTF-8");
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let name = text(&bytes[..end]);
            let (length, rest) = bytes[end + 1..].split_first_chunk().expect("a length");
            let length = usize::try_from(u64::from_le_bytes(*length)).expect("a length");
            fields.push((name, text(&rest[..length])));
            assert_eq!(rest[length], b'\n', "a field ends in a line's end");
            bytes = &rest[length + 1..];
        }
        assert!(bytes.is_empty(), "{bytes:?}");
        Message(fields)
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        let field = self.0.iter().find(|(field, _)| field == name);
        field.map_or("", |(_, value)| value)
    }

    /// All fields and what they hold.
    pub(crate) fn fields(&self) -> Vec<(&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.field("PRIORITY"), self.field("MESSAGE"))
    }
}

/// The same arguments with another first one, for names that are no text.
pub(crate) fn arguments(name: impl Into<OsString>, event: [&str; 3]) -> Vec<OsString> {
    let rest = event.iter().map(OsString::from);
    std::iter::once(name.into()).chain(rest).collect()
}
