//! A host in a temporary folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use automdev::host::root::Root;
use nix::unistd::{AccessFlags, access};

use super::files;
use super::{FakeKernel, Snapshot};

/// A host's tree; gone when it is dropped, unless the test fails.
#[derive(Debug)]
pub(crate) struct Tree {
    path: PathBuf,
}

impl Tree {
    /// A host with no parents, processes or definitions, yet with a kernel that knows mdevs.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("automdev-tree-{}-{number}", std::process::id());
        let path = base().join(name);
        // Left by an earlier process of that number whose test failed.
        drop(fs::remove_dir_all(&path));
        Tree::at_path(&path)
    }

    /// The same, in a folder that is made where it is absent.
    pub(crate) fn at_path(path: &Path) -> Self {
        fs::create_dir_all(path).expect("a folder");
        let tree = Tree {
            path: fs::canonicalize(path).expect("the folder just made"),
        };
        for folder in [
            "dev/vfio",
            "etc/mdevctl.d",
            "proc",
            "run/libvirt/qemu",
            "sys/bus/mdev/devices",
            "sys/class/mdev_bus",
            "sys/kernel/iommu_groups",
        ] {
            tree.folder(folder);
        }
        tree.file("dev/vfio/vfio", "");
        tree
    }

    /// A copy of the sample host of that name, with the modes that version control does not keep.
    pub(crate) fn of_sample(name: &str) -> Self {
        let tree = Tree::new();
        copy(&samples().join(name), &tree.path);
        tree
    }

    /// Leaves it to whoever asked for it.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }

    /// Its root, as the tests read it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A path of the host.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root().path(path)
    }

    /// Its root, as automdev takes it.
    pub(crate) fn root(&self) -> Root {
        Root::new(&self.path)
    }

    /// Its kernel. Each call is as another process: what froze one does not freeze the next.
    pub(crate) fn kernel(&self) -> FakeKernel {
        FakeKernel::new(&self.path)
    }

    /// Everything there is, to compare with later.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.path)
    }

    /// Puts a file in place.
    pub(crate) fn file(&self, path: &str, content: &str) -> &Self {
        self.file_with_mode(path, content, files::BOTH)
    }

    /// Puts a file of this mode in place.
    pub(crate) fn file_with_mode(&self, path: &str, content: &str, mode: u32) -> &Self {
        files::put(&self.at(path), content, mode).expect("the tree takes a file");
        self
    }

    /// Makes a folder.
    pub(crate) fn folder(&self, path: &str) -> &Self {
        fs::create_dir_all(self.at(path)).expect("the tree takes a folder");
        self
    }

    /// Makes a relative link to another path of the host.
    pub(crate) fn link(&self, from: &str, to: &str) -> &Self {
        files::link(&self.at(from), &self.at(to)).expect("the tree takes a link");
        self
    }

    /// Makes a link that reads exactly so.
    pub(crate) fn link_text(&self, from: &str, text: &str) -> &Self {
        let from = self.at(from);
        fs::create_dir_all(from.parent().expect("a link has a folder")).expect("the tree takes a folder");
        symlink(text, from).expect("the tree takes a link");
        self
    }

    /// What a file of the host says, without the white space around it.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        files::text(&self.at(path))
    }

    /// The names in a folder of the host, sorted.
    pub(crate) fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        files::names(&self.at(path))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the tree is left at {}", self.path.display());
        } else {
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

/// Where trees are made: in memory, as sysfs is, where the machine has such a place; a disk is slow at this.
fn base() -> PathBuf {
    let memory = Path::new("/dev/shm");
    match access(memory, AccessFlags::W_OK) {
        Ok(()) => memory.to_owned(),
        Err(_) => std::env::temp_dir(),
    }
}

/// The folder of the sample hosts.
pub(crate) fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/hosts")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the tree takes a folder");
    for name in files::names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if let Ok(target) = fs::read_link(&from) {
            symlink(target, to).expect("the tree takes a link");
        } else if from.is_dir() {
            copy(&from, &to);
        } else {
            let mode = match name.as_str() {
                "create" | "remove" => files::WRITE,
                "available_instances" | "description" | "device_api" | "name" => files::READ,
                _ => files::BOTH,
            };
            let content = fs::read_to_string(from).expect("a sample's file");
            files::put(&to, &content, mode).expect("the tree takes a file");
        }
    }
}
