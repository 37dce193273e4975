//! QEMU's options: which of them take the next argument.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// The options that take an argument, in the order of their bytes: those with `HAS_ARG` in
/// `qemu-options.hx` of QEMU 7.2 and 10.0, of all architectures.
///
/// An option that is not here takes none, or is of another QEMU than these. What follows it is then read as
/// an option where it starts with a dash and as a disk image otherwise, which misreads nothing but an
/// argument of an unknown option that looks like an option itself.
const WITH_ARGUMENT: [&str; 93] = [
    "D",
    "L",
    "M",
    "accel",
    "acpitable",
    "action",
    "add-fd",
    "append",
    "audio",
    "audiodev",
    "bios",
    "blockdev",
    "boot",
    "cdrom",
    "chardev",
    "chroot",
    "compat",
    "cpu",
    "d",
    "debugcon",
    "device",
    "dfilter",
    "display",
    "drive",
    "dtb",
    "dump-vmstate",
    "echr",
    "fda",
    "fdb",
    "fsdev",
    "fw_cfg",
    "g",
    "gdb",
    "global",
    "hda",
    "hdb",
    "hdc",
    "hdd",
    "icount",
    "incoming",
    "initrd",
    "iscsi",
    "k",
    "kernel",
    "loadvm",
    "m",
    "machine",
    "mem-path",
    "mon",
    "monitor",
    "msg",
    "mtdblock",
    "name",
    "net",
    "netdev",
    "nic",
    "numa",
    "object",
    "option-rom",
    "overcommit",
    "parallel",
    "pflash",
    "pidfile",
    "plugin",
    "prom-env",
    "qmp",
    "qmp-pretty",
    "qtest",
    "qtest-log",
    "readconfig",
    "rotate",
    "rtc",
    "run-with",
    "runas",
    "sandbox",
    "sd",
    "seed",
    "semihosting-config",
    "serial",
    "set",
    "shim",
    "smbios",
    "smp",
    "spice",
    "tpmdev",
    "trace",
    "usbdevice",
    "uuid",
    "vga",
    "virtfs",
    "vnc",
    "watchdog-action",
    "xen-domid",
];

/// One option on QEMU's command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opt<'a> {
    /// Its name, without the dashes.
    pub(super) name: &'a [u8],
    /// The index and the text of its argument; none where it takes none, or where the command line ends.
    pub(super) argument: Option<(usize, &'a OsStr)>,
}

/// The options among QEMU's arguments (without the program), as `lookup_opt` of its `vl.c` finds them: one
/// dash or two, and never `--option=argument`. All else is a disk image.
pub(super) fn options(arguments: &[OsString]) -> impl Iterator<Item = Opt<'_>> {
    let mut rest = arguments.iter().map(OsString::as_os_str).enumerate();
    std::iter::from_fn(move || {
        loop {
            let (_, text) = rest.next()?;
            let Some(name) = text.as_bytes().strip_prefix(b"-") else {
                continue;
            };
            let name = name.strip_prefix(b"-").unwrap_or(name);
            let argument = if takes_argument(name) { rest.next() } else { None };
            return Some(Opt { name, argument });
        }
    })
}

fn takes_argument(name: &[u8]) -> bool {
    WITH_ARGUMENT
        .binary_search_by(|known| known.as_bytes().cmp(name))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The options of QEMU 7.2 and 10.0 that take no argument.
    const WITHOUT_ARGUMENT: &str = "S async-teardown audio-help daemonize enable-kvm enable-sync-profile \
        full-screen h help jitdump mem-prealloc no-acpi no-fd-bootchk no-hpet no-reboot no-shutdown \
        no-user-config nodefaults nographic old-param only-migratable perfmap portrait preconfig s \
        semihosting singlestep snapshot usb version win2k-hack xen-attach xen-domid-restrict";

    fn read(line: &str) -> Vec<(String, Option<(usize, String)>)> {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        options(&arguments)
            .map(|option| {
                let argument = option
                    .argument
                    .map(|(index, text)| (index, text.to_string_lossy().into_owned()));
                (String::from_utf8_lossy(option.name).into_owned(), argument)
            })
            .collect()
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(WITH_ARGUMENT.is_sorted_by(|one, other| one < other));
    }

    #[test]
    fn an_option_takes_the_next_argument_or_none() {
        for name in WITHOUT_ARGUMENT.split_ascii_whitespace() {
            let expected = [
                (name.to_owned(), None),
                ("device".to_owned(), Some((2, "x".to_owned()))),
            ];
            assert_eq!(read(&format!("-{name} -device x")), expected, "{name}");
        }
        for name in WITH_ARGUMENT {
            let expected = [(name.to_owned(), Some((1, "-device".to_owned())))];
            assert_eq!(read(&format!("-{name} -device x")), expected, "{name}");
        }
    }

    #[test]
    fn dashes_and_disk_images_are_read_as_qemu_reads_them() {
        let device = |index| ("device".to_owned(), Some((index, "x".to_owned())));
        let bare = |name: &str| (name.to_owned(), None);
        for (line, expected) in [
            ("--device x", vec![device(1)]),
            ("disk.img -device x", vec![device(2)]),
            ("- -device x", vec![bare(""), device(2)]),
            ("-- -device x", vec![bare(""), device(2)]),
            ("---device x", vec![bare("-device")]),
            ("-device=x -device x", vec![bare("device=x"), device(2)]),
            ("-Device x", vec![bare("Device")]),
            ("-device", vec![bare("device")]),
            ("-unheard-of x -device x", vec![bare("unheard-of"), device(3)]),
            ("", vec![]),
        ] {
            assert_eq!(read(line), expected, "{line:?}");
        }
    }
}
