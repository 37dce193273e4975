//! The fake kernel does what the real one was seen to do; the tests in the VM hold the real one to the same.

use std::path::Path;

use automdev::host::kernel::Kernel;

use crate::support::fake::config::Release;
use crate::support::observe::{Ground, SUBJECTS, assert_observed, observe};
use crate::support::{FakeKernel, Tree};

struct Fake {
    tree: Tree,
    kernel: FakeKernel,
}

impl Ground for Fake {
    fn root(&self) -> &Path {
        self.tree.path()
    }

    fn kernel(&self) -> &dyn Kernel {
        &self.kernel
    }

    fn open_device(&self, uuid: &str) -> Box<dyn FnOnce() + '_> {
        const PID: u32 = 4711;
        self.tree
            .process(PID, "qemu-system-x86", &["qemu-system-x86_64"], 1);
        self.tree.open_device(PID, uuid);
        Box::new(|| {
            self.tree.kill(PID);
        })
    }
}

#[test]
fn the_fake_does_what_was_seen() {
    for release in [Release::V6_1, Release::V6_12] {
        let tree = Tree::new();
        tree.mtty().mdpy().mbochs();
        let kernel = tree.kernel();
        kernel.configure(|config| config.release = release);
        let fake = Fake { tree, kernel };
        for subject in SUBJECTS {
            assert_observed(subject, release, &observe(&fake, subject));
        }
    }
}
