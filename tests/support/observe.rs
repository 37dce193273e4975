//! One scenario for the fake kernel and for the real one: what it shows, line by line, must be the same on both.
//!
//! What is left out, since plain files cannot show it: that reading `autosuspend_delay_ms` fails (EIO), and
//! that the node is a character device.

mod observer;
mod written;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use automdev::host::clock::Deadline;
use automdev::host::kernel::Kernel;

use observer::{Observer, shown};

pub(crate) use written::assert_observed;

/// A kernel, and the tree that shows what it did.
pub(crate) trait Ground {
    /// The root of the tree.
    fn root(&self) -> &Path;

    /// What takes the writes.
    fn kernel(&self) -> &dyn Kernel;

    /// Has an active device opened, as QEMU would, until the closer is called.
    fn open_device(&self, uuid: &str) -> Box<dyn FnOnce() + '_>;
}

/// A parent to observe, and types of its to make devices of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    /// Its name.
    pub(crate) parent: &'static str,
    /// One of its types.
    pub(crate) first: &'static str,
    /// Another one.
    pub(crate) second: &'static str,
    /// A type of another parent.
    pub(crate) elsewhere: (&'static str, &'static str),
    /// What was observed before.
    written: &'static str,
}

/// The kernel's sample drivers.
pub(crate) const SUBJECTS: [Subject; 3] = [
    Subject {
        parent: "mtty",
        first: "mtty-1",
        second: "mtty-2",
        elsewhere: ("mdpy", "mdpy-hd"),
        written: include_str!("observations/mtty.txt"),
    },
    Subject {
        parent: "mdpy",
        first: "mdpy-vga",
        second: "mdpy-xga",
        elsewhere: ("mtty", "mtty-1"),
        written: include_str!("observations/mdpy.txt"),
    },
    Subject {
        parent: "mbochs",
        first: "mbochs-small",
        second: "mbochs-large",
        elsewhere: ("mtty", "mtty-2"),
        written: include_str!("observations/mbochs.txt"),
    },
];

const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

/// Carries the scenario out; nothing of it is left afterwards.
pub(crate) fn observe(ground: &dyn Ground, subject: Subject) -> String {
    let mut observer = Observer::new(ground, subject);
    observer.parent();
    observer.creation();
    observer.attributes();
    observer.removal();
    observer.full();
    observer.in_use();
    observer.title("afterwards");
    observer.counts();
    observer.folder(&observer.class());
    observer.lines()
}

impl Observer<'_> {
    fn parent(&mut self) {
        self.title("the parent");
        let class = self.class();
        self.entry(&class);
        self.tree(&class.join("mdev_supported_types"));
        self.folder(&class);
    }

    fn creation(&mut self) {
        let Subject { first, second, .. } = self.subject;
        self.title("creation");
        for value in ["", "\n", &A[1..], &A.replace('-', "+"), &format!("{A}\n\n"), "zz"] {
            self.create(first, value);
        }
        self.counts();
        self.create(first, A);
        self.counts();
        let device = self.device(A);
        self.tree(&device);
        self.tree(&self.path("sys/kernel/iommu_groups"));
        for link in ["bus/mdev/devices", "class/vfio-dev"] {
            self.tree(&self.path("sys").join(link));
        }
        let driver = self
            .path("sys/bus/mdev/drivers")
            .join(self.subject.parent)
            .join(A);
        self.entry(&driver);
        let of_type = self.type_folder(first).join("devices");
        self.tree(&of_type);
        self.nodes();

        self.title("the same UUID again");
        self.create(first, A);
        self.create(second, A);
        self.create(first, &A.to_uppercase());
        let (parent, type_name) = self.subject.elsewhere;
        self.create_at(parent, type_name, A);
        self.counts();

        self.title("a second device, in capitals, with a line's end");
        self.create(second, &format!("{}\n", B.to_uppercase()));
        self.counts();
        self.folder(&self.path("sys/bus/mdev/devices"));
        self.folder(&self.path("sys/kernel/iommu_groups"));
    }

    fn attributes(&mut self) {
        self.title("attributes");
        let device = self.path("sys/bus/mdev/devices").join(A);
        let own = fs::read_dir(device.join("vendor"))
            .into_iter()
            .flatten()
            .flatten();
        let own: Vec<_> = own
            .filter_map(|entry| Some(format!("vendor/{}", entry.file_name().to_str()?)))
            .collect();
        let cases = [
            ("power/control", "on"),
            ("power/control", "auto\n"),
            ("power/control", "off"),
            ("power/control", "on\n\n"),
            ("power/autosuspend_delay_ms", "100"),
            ("uevent", "add"),
            ("uevent", "nonsense"),
            ("power/runtime_status", "active"),
            ("power/nothing", "1"),
            ("nothing/nothing", "1"),
            ("power", "1"),
            ("driver", "1"),
            ("mdev_type/create", B),
            ("subsystem/devices", "1"),
        ];
        for (file, value) in cases
            .into_iter()
            .chain(own.iter().map(|file| (file.as_str(), "1")))
        {
            self.write(&device, file, None, value);
            if file == "power/control" {
                self.entry(&device.join(file));
            }
        }
    }

    fn removal(&mut self) {
        self.title("removal");
        let device = self.path("sys/bus/mdev/devices").join(A);
        let inode = fs::metadata(&device).map_or(0, |found| found.ino());
        for value in ["0", "yes", "", "-1"] {
            self.write(&device, "remove", Some(inode), value);
        }
        self.write(&device, "remove", Some(inode + 1), "1");
        self.counts();
        self.write(&device, "remove", Some(inode), "1\n");
        self.counts();
        self.write(&device, "remove", None, "1");
        self.folder(&self.class());
        self.nodes();

        self.title("the same UUID anew");
        self.create(self.subject.second, A);
        let again = fs::metadata(&device).map_or(0, |found| found.ino());
        self.line(&format!("the folder has another inode: {}", again != inode));
        self.write(&device, "remove", Some(inode), "1");
        self.folder(&self.path("sys/kernel/iommu_groups"));
        self.write(&self.class(), &format!("{A}/remove"), None, "0x1");
        self.write(&device.with_file_name(B), "remove", None, "01");
        self.counts();
    }

    fn full(&mut self) {
        for type_name in [self.subject.first, self.subject.second] {
            self.title(&format!("{type_name} until there is no room"));
            let mut made = Vec::new();
            let refusal = loop {
                let uuid = format!("00000000-0000-4000-8000-{:012x}", made.len());
                match self.try_create(self.subject.parent, type_name, &uuid) {
                    Ok(()) => made.push(uuid),
                    Err(error) => break error,
                }
            };
            let said = shown(Err(refusal));
            self.line(&format!("{} made, then {said}", made.len()));
            self.counts();
            for other in [self.subject.first, self.subject.second] {
                self.create(other, A);
            }
            self.create(type_name, &made[0]);
            for uuid in made {
                let device = self.device(&uuid);
                self.try_write(&device, "remove", None, "1")
                    .expect("it can be removed");
            }
        }
    }

    fn in_use(&mut self) {
        let Subject { first, second, .. } = self.subject;
        self.title("a device in use");
        self.create(first, A);
        let close = self.ground.open_device(A);
        let device = self.device(A);
        self.write(&device, "remove", None, "1");
        self.tree(&device);
        self.folder(&self.path("sys/bus/mdev/devices"));
        self.folder(&self.type_folder(first).join("devices"));
        self.folder(&self.path("sys/kernel/iommu_groups"));
        self.nodes();
        self.counts();
        self.create(first, A);
        self.write(&device, "remove", None, "1");
        self.create(second, B);
        self.counts();

        self.title("its user has closed it");
        close();
        let gone = || (!device.exists()).then_some(());
        let gone = Deadline::after(Duration::from_secs(20)).poll(gone);
        self.line(&format!("gone: {}", gone.is_some()));
        self.counts();
        self.nodes();
        self.write(&self.device(B), "remove", None, "1");
    }
}
