//! What the kernel does when a value is written.

use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use automdev::host::clock::Deadline;
use automdev::host::kernel::{Target, WriteError};
use nix::errno::Errno;

use super::super::files;
use super::FakeKernel;
use super::config::Config;
use super::device::{Device, NodeOption, parse_guid};
use super::driver::{Driver, is_number};
use super::place::{Place, errno_of, refused};
use super::pool::Pool;

impl FakeKernel {
    /// Carries a write out, uncounted.
    pub(crate) fn react(
        &self,
        target: Target<'_>,
        value: &[u8],
        deadline: Deadline,
    ) -> Result<(), WriteError> {
        let config = self.store.config();
        let place = Place::open(target)?;
        // A write of nothing never reaches the driver (`kernfs_fop_write_iter`).
        if value.is_empty() {
            return Ok(());
        }
        let path = target.folder.join(target.file);
        if let Some((_, errno)) = config.errors.iter().find(|(end, _)| path.ends_with(end)) {
            return Err(refused(Errno::from_raw(*errno)));
        }
        let blocked = config.blocked.iter().any(|end| path.ends_with(end));
        match place {
            Place::Create { parent, type_name } if blocked => {
                self.block_create(&parent, &type_name, value, target.keep)?;
                Err(WriteError::TimedOut)
            }
            _ if blocked => Err(WriteError::TimedOut),
            Place::Create { parent, type_name } => {
                thread::sleep(Duration::from_millis(config.create_delay_ms));
                self.create(&parent, &type_name, value, &config).map_err(refused)
            }
            Place::Remove { parent, uuid } => self.remove(&parent, &uuid, value, &config, deadline),
            Place::Other { file, attribute } => set(&file, &attribute, value).map_err(refused),
        }
    }

    /// Lets every blocked write to `create` come to pass, its caller having given up.
    pub(crate) fn unblock(&self) {
        self.configure(|config| config.blocked.clear());
        let folder = self.store.path("blocked");
        for name in files::names(&folder) {
            let text = fs::read_to_string(folder.join(&name)).expect("a blocked write");
            let mut lines = text.lines();
            let (parent, type_name) = lines.next().zip(lines.next()).expect("two lines");
            let config = self.store.config();
            // Its UUID is taken until it is there, and it is on its way until then.
            self.create_unless(Path::new(parent), type_name, name.as_bytes(), &config, |_| false)
                .expect("its UUID was kept free");
            files::unlink(&folder.join(&name)).expect("a blocked write");
            if let Some(stuck) = lines.next() {
                wait_for_end(stuck);
            }
        }
    }

    /// Finishes the removals whose device nobody has open any more.
    pub(crate) fn settle(&self) {
        let _locked = self.store.lock();
        for uuid in files::names(&self.store.path("removing")) {
            if let Some(parent) = self.parent_of(&uuid) {
                let device = self.device(&parent, &uuid);
                if !self.in_use(&device) {
                    self.finish(&device);
                }
            }
        }
    }

    /// Works out anew what is left for each type of each parent.
    pub(crate) fn recount(&self) {
        let _locked = self.store.lock();
        let class = self.root.join("sys/class/mdev_bus");
        for name in files::names(&class) {
            let parent = fs::canonicalize(class.join(name)).expect("a parent's folder");
            if let Some(pool) = Pool::read(&self.root, &parent) {
                pool.publish(&self.root);
            }
        }
    }

    /// `mdev_device_create`.
    fn create(&self, parent: &Path, type_name: &str, value: &[u8], config: &Config) -> Result<(), Errno> {
        let is_blocked = |uuid: &str| self.store.path("blocked").join(uuid).exists();
        self.create_unless(parent, type_name, value, config, is_blocked)
    }

    fn create_unless(
        &self,
        parent: &Path,
        type_name: &str,
        value: &[u8],
        config: &Config,
        is_taken: impl Fn(&str) -> bool,
    ) -> Result<(), Errno> {
        let uuid = parse_guid(value).ok_or(Errno::EINVAL)?;
        let _locked = self.store.lock();
        if self.parent_of(&uuid).is_some() || is_taken(&uuid) {
            return Err(Errno::EEXIST);
        }
        let pool = Pool::read(&self.root, parent).ok_or(Errno::ENODEV)?;
        if pool.left(&self.root, parent, type_name) == 0 {
            return Err(Driver::of_type(type_name).map_or(Errno::EINVAL, Driver::full));
        }
        let node = if config.nodes {
            NodeOption::Made
        } else {
            NodeOption::Left
        };
        self.device(parent, &uuid)
            .make(type_name, node)
            .expect("the tree takes a device");
        pool.publish(&self.root);
        Ok(())
    }

    fn block_create(
        &self,
        parent: &Path,
        type_name: &str,
        value: &[u8],
        keep: Option<BorrowedFd<'_>>,
    ) -> Result<(), WriteError> {
        let uuid = parse_guid(value).ok_or(refused(Errno::EINVAL))?;
        let _locked = self.store.lock();
        if self.parent_of(&uuid).is_some() {
            return Err(refused(Errno::EEXIST));
        }
        let path = self.store.path("blocked").join(uuid);
        let text = format!("{}\n{type_name}\n", parent.display());
        files::put(&path, &text, files::BOTH).expect("a blocked write");
        if let Some(keep) = keep {
            let stuck = hold_while(&path, keep);
            files::put(&path, &format!("{text}{stuck}"), files::BOTH).expect("a blocked write");
        }
        Ok(())
    }

    /// `remove_store`, `mdev_device_remove`.
    fn remove(
        &self,
        parent: &Path,
        uuid: &str,
        value: &[u8],
        config: &Config,
        deadline: Deadline,
    ) -> Result<(), WriteError> {
        let text = String::from_utf8_lossy(value);
        let line = text.trim_end_matches('\n');
        if !is_number(line) {
            return Err(refused(Errno::EINVAL));
        }
        if line.trim_start_matches('0').is_empty() {
            return Ok(());
        }
        let device = self.device(parent, uuid);
        {
            let _locked = self.store.lock();
            let type_name = files::link_name(&device.folder().join("mdev_type"));
            let type_name = type_name.ok_or(refused(Errno::ENODEV))?;
            device
                .hide(&type_name, config.release)
                .expect("a device's files can go");
        }
        let patience = deadline.or_after(Duration::from_millis(config.patience_ms));
        let gone = patience.poll(|| {
            let _locked = self.store.lock();
            let free = !device.folder().exists() || !self.in_use(&device);
            free.then(|| self.finish(&device))
        });
        gone.ok_or(WriteError::TimedOut)
    }

    fn finish(&self, device: &Device<'_>) {
        // Somebody else may have found it free first.
        if !device.folder().exists() {
            return;
        }
        let pool = Pool::read(&self.root, device.parent);
        device.finish().expect("a device's folder can go");
        if let Some(pool) = pool {
            pool.publish(&self.root);
        }
    }

    fn device<'a>(&'a self, parent: &'a Path, uuid: &'a str) -> Device<'a> {
        Device {
            root: &self.root,
            parent,
            uuid,
        }
    }

    /// The parent that has a device of that UUID, be it half removed.
    fn parent_of(&self, uuid: &str) -> Option<PathBuf> {
        let class = self.root.join("sys/class/mdev_bus");
        files::names(&class)
            .iter()
            .filter_map(|name| fs::canonicalize(class.join(name)).ok())
            .find(|parent| parent.join(uuid).exists())
    }

    /// Whether a process of the tree has one of the device's nodes open.
    fn in_use(&self, device: &Device<'_>) -> bool {
        let nodes = device.nodes();
        let processes = self.root.join("proc");
        files::names(&processes).iter().any(|process| {
            let open = processes.join(process).join("fd");
            files::names(&open).iter().any(|number| {
                let target = fs::read_link(open.join(number)).unwrap_or_default();
                nodes.iter().any(|node| target == Path::new(node))
            })
        })
    }
}

/// A process that keeps something open until a file is gone: the one that is stuck in the driver. Its number.
fn hold_while(path: &Path, keep: BorrowedFd<'_>) -> u32 {
    let keep = keep.try_clone_to_owned().expect("a descriptor can be doubled");
    let script = "while [ -e \"$1\" ]; do sleep 0.02; done";
    let stuck = Command::new("/bin/sh")
        .args(["-c", script, "sh"])
        .arg(path)
        .stdin(Stdio::from(keep))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    stuck.expect("a shell").id()
}

/// Waits until a process of this machine has ended, reaped or not.
fn wait_for_end(pid: &str) {
    let stat = Path::new("/proc").join(pid).join("stat");
    let ended = Deadline::after(Duration::from_secs(30)).poll(|| {
        let text = fs::read_to_string(&stat).unwrap_or_default();
        let state = text.rsplit_once(") ").map_or("Z", |(_, rest)| rest);
        state.starts_with(['Z', 'X']).then_some(())
    });
    ended.expect("a shell that waits for a file ends");
}

fn set(file: &Path, attribute: &str, value: &[u8]) -> Result<(), Errno> {
    Driver::accepts(attribute, value)?;
    if attribute == "uevent" {
        return Ok(());
    }
    let text = String::from_utf8_lossy(value);
    let content = match attribute {
        "power/control" => format!("{}\n", text.trim_end_matches('\n')),
        _ => text.into_owned(),
    };
    let mode = fs::metadata(file).map_err(|error| errno_of(&error))?.mode();
    files::put(file, &content, mode & 0o777).map_err(|error| errno_of(&error))
}
