//! Does one thing after the other, and writes down what is to be seen of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use automdev::host::clock::Deadline;
use automdev::host::kernel::{Target, WriteError};
use nix::errno::Errno;

use super::super::fake::config::errno_name;
use super::super::files;
use super::{Ground, Subject};

/// Whoever looks at one parent.
pub(super) struct Observer<'a> {
    pub(super) ground: &'a dyn Ground,
    pub(super) subject: Subject,
    lines: String,
}

impl<'a> Observer<'a> {
    pub(super) fn new(ground: &'a dyn Ground, subject: Subject) -> Self {
        Observer {
            ground,
            subject,
            lines: String::new(),
        }
    }

    pub(super) fn lines(self) -> String {
        self.lines
    }

    pub(super) fn create(&mut self, type_name: &str, value: &str) {
        self.create_at(self.subject.parent, type_name, value);
    }

    pub(super) fn create_at(&mut self, parent: &str, type_name: &str, value: &str) {
        let result = self.try_create(parent, type_name, value);
        self.line(&format!("create {type_name} {value:?}: {}", shown(result)));
    }

    pub(super) fn try_create(&self, parent: &str, type_name: &str, value: &str) -> Result<(), WriteError> {
        let folder = self.path("sys/class/mdev_bus").join(parent);
        self.try_write(
            &folder,
            &format!("mdev_supported_types/{type_name}/create"),
            None,
            value,
        )
    }

    pub(super) fn write(&mut self, folder: &Path, file: &str, inode: Option<u64>, value: &str) {
        let result = self.try_write(folder, file, inode, value);
        self.line(&format!("write {file} {value:?}: {}", shown(result)));
    }

    pub(super) fn try_write(
        &self,
        folder: &Path,
        file: &str,
        inode: Option<u64>,
        value: &str,
    ) -> Result<(), WriteError> {
        let target = Target {
            folder,
            file,
            inode,
            keep: None,
        };
        // The wait for a device in use ends by it, on an emulated machine, too, not before it began.
        let deadline = Deadline::after(Duration::from_secs(3));
        self.ground.kernel().write(target, value.as_bytes(), deadline)
    }

    pub(super) fn title(&mut self, text: &str) {
        let blank = if self.lines.is_empty() { "" } else { "\n" };
        self.line(&format!("{blank}# {text}"));
    }

    pub(super) fn counts(&mut self) {
        let types = self.class().join("mdev_supported_types");
        let counts = files::names(&types).into_iter().map(|name| {
            let left = files::text(&types.join(&name).join("available_instances"));
            format!(" {name}={}", left.unwrap_or_default())
        });
        let counts: String = counts.collect();
        self.line(&format!("left:{counts}"));
    }

    pub(super) fn nodes(&mut self) {
        self.folder(&self.path("dev/vfio"));
    }

    /// The names in a folder.
    pub(super) fn folder(&mut self, path: &Path) {
        let names = files::names(path).join(" ");
        let line = format!("in {}: {names}", self.below(path));
        self.line(line.trim_end());
    }

    /// Everything below a folder, links not followed.
    pub(super) fn tree(&mut self, folder: &Path) {
        self.line(&format!("below {}:", self.below(folder)));
        self.branch(folder, folder);
    }

    pub(super) fn branch(&mut self, top: &Path, folder: &Path) {
        for name in files::names(folder) {
            let path = folder.join(name);
            let below = path.strip_prefix(top).expect("it is below").display().to_string();
            self.line(&format!("  {below} {}", what(&path)));
            if path.is_dir() && !path.is_symlink() {
                self.branch(top, &path);
            }
        }
    }

    pub(super) fn entry(&mut self, path: &Path) {
        self.line(&format!("{} {}", self.below(path), what(path)));
    }

    pub(super) fn below(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.ground.root()).unwrap_or(path);
        below.display().to_string()
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.ground.root().join(below)
    }

    pub(super) fn class(&self) -> PathBuf {
        self.path("sys/class/mdev_bus").join(self.subject.parent)
    }

    pub(super) fn device(&self, uuid: &str) -> PathBuf {
        self.class().join(uuid)
    }

    pub(super) fn type_folder(&self, type_name: &str) -> PathBuf {
        self.class().join("mdev_supported_types").join(type_name)
    }

    pub(super) fn line(&mut self, line: &str) {
        self.lines.push_str(line);
        self.lines.push('\n');
    }
}

/// The kind of an entry, its mode, and what it says.
fn what(path: &Path) -> String {
    let Ok(found) = fs::symlink_metadata(path) else {
        return "absent".to_owned();
    };
    if found.is_symlink() {
        let target = fs::read_link(path).expect("a link");
        return format!("→ {}", target.display());
    }
    let mode = found.permissions().mode() & 0o7777;
    if found.is_dir() {
        return format!("folder {mode:04o}");
    }
    let said = if mode & 0o400 == 0 || path.ends_with("autosuspend_delay_ms") {
        String::new()
    } else {
        match fs::read_to_string(path) {
            Ok(text) => format!(" {text:?}"),
            Err(error) => format!(
                " {}",
                errno_name(Errno::from_raw(error.raw_os_error().unwrap_or(0)))
            ),
        }
    };
    format!("{mode:04o}{said}")
}

pub(super) fn shown(result: Result<(), WriteError>) -> String {
    match result {
        Ok(()) => "done".to_owned(),
        Err(WriteError::Refused(errno)) => errno_name(errno),
        Err(WriteError::TimedOut) => "blocks".to_owned(),
        Err(WriteError::Replaced) => "another folder".to_owned(),
        Err(error) => error.to_string(),
    }
}
