//! A person at a terminal: a real pseudo-terminal, with a shell on it that has job control.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, openpty};

use super::host;
use super::qemu::{all_of, device, state, wait_for_holder, wait_until_idle, wait_until_ready};
use crate::support::{A, eventually};

/// A boot sector that writes what is in PCI slot 5 to the serial line, then answers each key with the next one.
const GUEST: [u8; 78] = [
    0xba, 0xf8, 0x0c, // mov dx, 0xcf8
    0x66, 0xb8, 0x00, 0x28, 0x00, 0x80, // mov eax, 0x80002800
    0x66, 0xef, // out dx, eax
    0xba, 0xfc, 0x0c, // mov dx, 0xcfc
    0x66, 0xed, // in eax, dx
    0xb9, 0x08, 0x00, // mov cx, 8
    0x66, 0xc1, 0xc0, 0x04, // digit: rol eax, 4
    0x66, 0x50, // push eax
    0x24, 0x0f, 0x04, 0x30, // and al, 15; add al, '0'
    0x3c, 0x39, 0x76, 0x02, 0x04, 0x27, // cmp al, '9'; jbe; add al, 'a' - '9' - 1
    0xe8, 0x17, 0x00, // call send
    0x66, 0x58, // pop eax
    0xe2, 0xe9, // loop digit
    0xba, 0xfd, 0x03, // key: mov dx, 0x3fd
    0xec, 0xa8, 0x01, 0x74, 0xfb, // wait: in al, dx; test al, 1; jz wait
    0xba, 0xf8, 0x03, 0xec, // mov dx, 0x3f8; in al, dx
    0xfe, 0xc0, // inc al
    0xe8, 0x02, 0x00, // call send
    0xeb, 0xed, // jmp key
    0x88, 0xc4, // send: mov ah, al
    0xba, 0xfd, 0x03, // mov dx, 0x3fd
    0xec, 0xa8, 0x20, 0x74, 0xfb, // busy: in al, dx; test al, 32; jz busy
    0x88, 0xe0, // mov al, ah
    0xba, 0xf8, 0x03, 0xee, 0xc3, // mov dx, 0x3f8; out dx, al; ret
];

/// What the sector writes of an mtty: device 3253 of vendor 4348.
const MTTY: &str = "32534348";

struct Terminal {
    master: File,
    shell: Child,
    seen: String,
}

impl Terminal {
    /// A terminal with an interactive shell, which is the leader of its session.
    fn new() -> Self {
        let OpenptyResult { master, slave } = openpty(None, None).expect("a terminal");
        let stdio = || Stdio::from(slave.try_clone().expect("a descriptor"));
        let shell = Command::new("setsid")
            .args(["--ctty", "--wait", "/bin/sh", "-i"])
            .env("PS1", "ready> ")
            .env("TERM", "dumb")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .expect("a shell");
        let mut terminal = Terminal {
            master: File::from(master),
            shell,
            seen: String::new(),
        };
        terminal.wait_for("ready> ");
        terminal
    }

    fn type_in(&mut self, keys: &str) {
        self.master
            .write_all(keys.as_bytes())
            .expect("a terminal takes keys");
    }

    /// Waits until something is shown, and forgets all up to there; tells that.
    #[track_caller]
    fn wait_for(&mut self, text: &str) -> String {
        self.look_for(text, Duration::from_secs(180))
            .unwrap_or_else(|| panic!("no {text:?} in {:?}", self.seen))
    }

    /// The same, for so long at most.
    fn look_for(&mut self, text: &str, limit: Duration) -> Option<String> {
        let start = Instant::now();
        loop {
            if let Some(at) = self.seen.find(text) {
                return Some(self.seen.drain(..at + text.len()).collect());
            }
            if start.elapsed() > limit {
                return None;
            }
            let mut ready = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            if poll(&mut ready, PollTimeout::from(200_u8)) == Ok(1) {
                let mut piece = [0; 4096];
                let length = self.master.read(&mut piece).expect("somebody has the terminal");
                self.seen.push_str(&String::from_utf8_lossy(&piece[..length]));
            }
        }
    }

    /// Types a command, of which the shell shows the status when it has ended.
    fn run(&mut self, command: &str) {
        self.type_in(&format!("{command}; echo status $?,\n"));
        // The terminal shows what is typed.
        self.wait_for("$?,\r\n");
    }

    /// The terminal's modes.
    fn modes(&mut self) -> String {
        self.type_in("stty -a | tr '\\n' ' '; echo :\n");
        self.wait_for("echo :\r\n");
        self.wait_for(":\r\n")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.shell.kill());
        drop(self.shell.wait());
    }
}

fn guest() -> &'static str {
    let mut sectors = GUEST.to_vec();
    sectors.resize(510, 0);
    sectors.extend([0x55, 0xaa]);
    sectors.resize(1 << 20, 0);
    fs::write("/tmp/guest.img", sectors).expect("an image");
    "-drive file=/tmp/guest.img,format=raw"
}

#[test]
fn keys_reach_the_guest_and_the_terminal_is_as_before() {
    let host = host();
    let mut terminal = Terminal::new();
    let modes = terminal.modes();
    assert!(modes.contains(" icanon"), "{modes}");
    let machine = format!("-nodefaults -no-user-config -machine q35 -m 16 {}", guest());
    for serial in ["-nographic -serial mon:stdio", "-display none -serial mon:stdio"] {
        terminal.run(&format!(
            "automdev run -- qemu-system-x86_64 {machine} {serial} -device {},addr=5",
            device(A)
        ));
        terminal.wait_for(MTTY);
        // Ctrl-C is a key like any other here.
        for (key, answer) in [("H", "I"), ("A", "B"), ("L", "M"), ("\u{3}", "\u{4}")] {
            // The line, doubly emulated, sometimes loses a byte or brings another one in its place.
            let is_answered = (0..5).any(|_| {
                terminal.type_in(key);
                terminal.look_for(answer, Duration::from_secs(20)).is_some()
            });
            assert!(is_answered, "{key:?}: {:?}", terminal.seen);
        }
        terminal.type_in("\u{1}x");
        terminal.wait_for("QEMU: Terminated");
        terminal.wait_for("status 0,\r\n");
        terminal.wait_for("ready> ");
        assert_eq!(terminal.modes(), modes);
        host.assert_clean();
    }
}

#[test]
fn ctrl_c_reaches_qemu_once_and_from_the_terminal() {
    let host = host();
    let mut terminal = Terminal::new();
    let modes = terminal.modes();
    let machine = "-nodefaults -no-user-config -display none -machine q35 -m 16 -S -monitor stdio";
    terminal.run(&format!(
        "automdev run -- qemu-system-x86_64 {machine} -device {}",
        device(A)
    ));
    terminal.wait_for("(qemu) ");
    wait_until_ready(all_of("qemu-system-x86")[0]);
    terminal.type_in("\u{3}");
    let told = terminal.wait_for("status 0,\r\n");
    assert_eq!(told.matches("terminating on signal 2").count(), 1, "{told}");
    // Nobody passed it on: the kernel sent it.
    assert!(!told.contains("from pid"), "{told}");
    terminal.wait_for("ready> ");
    assert_eq!(terminal.modes(), modes);
    host.assert_clean();
}

#[test]
fn a_job_stops_and_comes_back_to_the_foreground() {
    let host = host();
    let mut terminal = Terminal::new();
    let machine = "-nodefaults -no-user-config -display none -machine q35 -m 16 -S -monitor stdio";
    terminal.type_in(&format!(
        "automdev run -- qemu-system-x86_64 {machine} -device {}\n",
        device(A)
    ));
    terminal.wait_for("(qemu) ");
    let (wrapper, qemu) = (all_of("automdev")[0], all_of("qemu-system-x86")[0]);
    for _ in 0..2 {
        terminal.type_in("\u{1a}");
        terminal.wait_for("Stopped");
        terminal.wait_for("ready> ");
        assert_eq!((state(wrapper), state(qemu)), ('T', 'T'));
        terminal.type_in("fg\n");
        terminal.wait_for("automdev run");
        eventually("both go on", || state(wrapper) != 'T' && state(qemu) != 'T');
        terminal.type_in("info status\n");
        terminal.wait_for("VM status: ");
    }
    // In the background it is stopped when it reads from the terminal, and the shell sees that.
    terminal.type_in("\u{1a}");
    terminal.wait_for("Stopped");
    terminal.wait_for("ready> ");
    terminal.type_in("fg\n");
    terminal.wait_for("automdev run");
    terminal.type_in("quit\n");
    terminal.wait_for("ready> ");
    host.assert_clean();
}

#[test]
fn a_terminal_that_goes_away_ends_qemu_as_it_would() {
    let host = host();
    let OpenptyResult { master, slave } = openpty(None, None).expect("a terminal");
    // Who has this end open keeps the terminal.
    fcntl(&master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("a descriptor");
    // The wrapper itself leads the session, as in a window of its own.
    let stdio = || Stdio::from(slave.try_clone().expect("a descriptor"));
    let mut shell = Command::new("setsid")
        .args(["--ctty", "automdev", "run", "--", "qemu-system-x86_64"])
        .args(super::qemu::plain())
        .args(["-S", "-monitor", "stdio", "-device", &device(A)])
        .stdin(stdio())
        .stdout(stdio())
        .stderr(stdio())
        .spawn()
        .expect("it starts");
    drop(slave);
    wait_until_ready(wait_for_holder(A));
    drop(master);
    shell.wait().expect("it ends");
    wait_until_idle();
    host.assert_clean();
}
