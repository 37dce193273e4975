//! A `qemu-system-*` command line, which is somebody else's: the mediated devices on it, what QEMU's
//! supervisor must know, and the command line that QEMU gets.
//!
//! Arguments are bytes. Two properties of a `-device` are ours, in QEMU's own two forms: `autocreate=on|off`
//! and `pool=NAME`. They are taken out, the pool's place is taken by the chosen device's `sysfsdev`, and
//! every other byte is what it was. What QEMU would refuse as broken is left to it.
//!
//! `-set device.ID.sysfsdev=…` counts. Devices in a file of `-readconfig`, and a `sysfsdev` by `-global`, are
//! not looked at: [`Unseen`] names them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::model::domain::{Mark, Model};
use crate::model::names::MdevUuid;

mod device;
mod item;
mod json;
mod key_value;
mod memory;
mod options;
#[cfg(test)]
mod properties;
mod refused;
mod source;

use device::{Draft, Edit, Found, Reading};
pub use refused::{Problem, Refused};
pub use source::{Source, sysfsdev};

/// QEMU's arguments, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The devices that are, or may be, mediated ones, in the order of the arguments.
    pub devices: Vec<Device>,
    /// Where devices may be named that were not looked at.
    pub unseen: Vec<Unseen>,
    /// `-daemonize`: QEMU goes into the background when it is ready.
    pub daemonize: bool,
    /// `-S`: the guest's processors wait for a command.
    pub paused: bool,
    /// `-pidfile`: the file into which QEMU writes its process id.
    pub pidfile: Option<OsString>,
    /// The guest's name of `-name`.
    pub name: Option<OsString>,
    /// The guest's UUID of `-uuid`, as it stands there.
    pub uuid: Option<OsString>,
    /// The host's nodes to which the `-object` of the guest's memory bind it.
    pub memory_nodes: BTreeSet<u32>,
    arguments: Vec<OsString>,
    /// By the index of the argument.
    edits: BTreeMap<usize, Edit>,
}

/// A `-device` that is, or may be, a mediated one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Which of QEMU's arguments has its properties; the first after the program is 1.
    pub number: usize,
    /// Its interface to the guest.
    pub model: Model,
    /// Which device.
    pub source: Source,
    /// What `autocreate` says.
    pub mark: Mark,
}

/// Where devices may be named that were not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unseen {
    /// `-readconfig`: in this file.
    ReadConfig(OsString),
    /// `-global`: it says something about `sysfsdev`.
    Global(OsString),
}

impl CommandLine {
    /// Reads QEMU's arguments, without the program.
    ///
    /// # Errors
    /// The first `-device` that is wrong by what is ours, or the second one of the same mediated device.
    pub fn parse(arguments: Vec<OsString>) -> Result<Self, Refused> {
        let mut this = CommandLine {
            devices: Vec::new(),
            unseen: Vec::new(),
            daemonize: false,
            paused: false,
            pidfile: None,
            name: None,
            uuid: None,
            memory_nodes: BTreeSet::new(),
            arguments: Vec::new(),
            edits: BTreeMap::new(),
        };
        let mut drafts = Vec::new();
        for option in options::options(&arguments) {
            match (option.name, option.argument) {
                (b"daemonize", _) => this.daemonize = true,
                (b"S", _) => this.paused = true,
                (b"pidfile", Some((_, file))) => this.pidfile = Some(file.to_owned()),
                (b"uuid", Some((_, uuid))) => this.uuid = Some(uuid.to_owned()),
                (b"object", Some((_, text))) => this.memory_nodes.extend(memory::nodes(text.as_bytes())),
                (b"name", Some((_, text))) => this.name = guest(text).or(this.name),
                (b"device", Some((index, text))) => drafts.push((index, Draft::parse(text.as_bytes()))),
                (b"set", Some((index, text))) => {
                    set(&mut drafts, text.as_bytes()).map_err(|problem| refused(index, text, problem))?;
                }
                (b"readconfig", Some((_, file))) => this.unseen.push(Unseen::ReadConfig(file.to_owned())),
                (b"global", Some((_, text))) if has_sysfsdev(text) => {
                    this.unseen.push(Unseen::Global(text.to_owned()));
                }
                _ => {}
            }
        }
        let mut firsts = HashMap::new();
        for (index, draft) in drafts {
            let text = arguments[index].as_os_str();
            draft
                .read(text.as_bytes())
                .and_then(|reading| this.add(index, reading, &mut firsts))
                .map_err(|problem| refused(index, text, problem))?;
        }
        this.arguments = arguments;
        Ok(this)
    }

    fn add(
        &mut self,
        index: usize,
        reading: Reading,
        firsts: &mut HashMap<MdevUuid, usize>,
    ) -> Result<(), Problem> {
        let number = index + 1;
        if let Some(Found { model, source, mark }) = reading.found {
            if let Source::Mdev { uuid, .. } = source {
                if let Some(first) = firsts.insert(uuid, number) {
                    return Err(Problem::Twice { uuid, first });
                }
            }
            self.devices.push(Device {
                number,
                model,
                source,
                mark,
            });
        }
        self.edits.extend(reading.edit.map(|edit| (index, edit)));
        Ok(())
    }

    /// The arguments that QEMU gets. `chosen` has, by the index in `devices`, the device for each pool; the
    /// pool of one that is not there stays, so that QEMU refuses it.
    #[must_use]
    pub fn render(&self, chosen: &BTreeMap<usize, MdevUuid>) -> Vec<OsString> {
        let mut arguments = self.arguments.clone();
        for (index, edit) in &self.edits {
            // Devices are in the order of the arguments.
            let device = self
                .devices
                .binary_search_by_key(&(index + 1), |device| device.number);
            let chosen = device.ok().and_then(|device| chosen.get(&device).copied());
            let text = edit.apply(arguments[*index].as_bytes(), chosen);
            arguments[*index] = OsString::from_vec(text);
        }
        arguments
    }
}

fn refused(index: usize, text: &OsStr, problem: Problem) -> Refused {
    Refused {
        number: index + 1,
        text: text.to_string_lossy().into_owned(),
        problem,
    }
}

/// The guest's name in the argument of `-name`.
fn guest(text: &OsStr) -> Option<OsString> {
    let items = key_value::parse(text.as_bytes(), b"guest");
    let name = item::last(&items, b"guest")?.text()?;
    Some(OsStr::from_bytes(name).to_owned())
}

/// Adds what a `-set` says of a device before it, `device.ID.NAME=VALUE` (`qemu_set_option` of `vl.c`).
fn set(drafts: &mut [(usize, Draft)], text: &[u8]) -> Result<(), Problem> {
    let mut parts = text.splitn(3, |byte| *byte == b'.');
    let (Some(b"device"), Some(id), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return Ok(());
    };
    let mut parts = rest.splitn(2, |byte| *byte == b'=');
    let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
        return Ok(());
    };
    drafts
        .iter_mut()
        .find(|(_, draft)| draft.id() == Some(id))
        .map_or(Ok(()), |(_, draft)| draft.set(name, value))
}

fn has_sysfsdev(text: &OsStr) -> bool {
    const NAME: &[u8] = b"sysfsdev";
    text.as_bytes().windows(NAME.len()).any(|window| window == NAME)
}

#[cfg(test)]
mod tests;
