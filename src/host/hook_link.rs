//! libvirt's hooks folder (`https://libvirt.org/hooks.html`): where the link to this program goes, and which links
//! are ours.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::root::Root;

/// Where the program has to be: the profile under which Debian confines libvirtd lets hooks execute nothing outside
/// of `/usr/bin` and its like.
pub const PROGRAM: &str = "/usr/bin/automdev";

/// Where libvirt looks for hooks.
pub const FOLDER: &str = "/etc/libvirt/hooks";

/// The link's name in `qemu.d`, whose hooks are called in the order of their names.
pub const NAME: &str = "50-automdev";

/// The first libvirt that runs the hooks in `qemu.d`.
const DROP_INS_SINCE: (u32, u32) = (6, 5);

/// In which form the hook is put in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// `hooks/qemu`, the only hook that an older libvirt calls.
    Single,
    /// `hooks/qemu.d/50-automdev`, beside others.
    DropIn,
}

impl Form {
    /// Where the link goes.
    #[must_use]
    pub fn path(self, folder: &Path) -> PathBuf {
        match self {
            Form::Single => folder.join("qemu"),
            Form::DropIn => folder.join("qemu.d").join(NAME),
        }
    }
}

/// Why the hook is not put in place.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// There is nothing that a link could lead to.
    #[error("there is no {PROGRAM}; put this program there first: install -m 755 {} {PROGRAM} (under AppArmor libvirtd may not execute a hook elsewhere, and a hook that cannot be executed refuses every start)", this.display())]
    NoProgram {
        /// This program.
        this: PathBuf,
    },
    /// What is there would not do as a hook.
    #[error(
        "{PROGRAM} {what}; put the program itself there: a hook that cannot be executed refuses every start, and under AppArmor libvirtd may not execute one elsewhere"
    )]
    Unusable {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Another program would become the hook than the one that was called.
    #[error("this is {}, and only {PROGRAM} can be the hook: under AppArmor libvirtd may not execute one elsewhere; run {PROGRAM} install-hook, or put this program there first", this.display())]
    Elsewhere {
        /// This program.
        this: PathBuf,
    },
    /// No libvirt seems to be there.
    #[error("there is no {}; install libvirt first, or name its hooks folder with --dir", folder.display())]
    NoLibvirt {
        /// The folder in which the hooks folder would be.
        folder: PathBuf,
    },
    /// Somebody else's hook is there.
    #[error("{} is {what}, and not automdev's; it is left as it is{hint}", path.display())]
    Taken {
        /// Where the link would go.
        path: PathBuf,
        /// What is there.
        what: String,
        /// Another way.
        hint: &'static str,
    },
    /// Something cannot be read or made.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Checks that [`PROGRAM`] can be the hook, and is the program that runs where that is the machine's own.
///
/// # Errors
/// It cannot.
pub fn check_program(root: &Root) -> Result<(), HookError> {
    let found_this = std::env::current_exe();
    // In an image that is being made there may be no /proc to tell.
    let is_known = found_this.is_ok();
    let this = found_this.unwrap_or_else(|_| PathBuf::from("automdev"));
    let path = root.path(PROGRAM);
    let found = match fs::symlink_metadata(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(HookError::NoProgram { this }),
        Err(source) => {
            return Err(HookError::File {
                what: "look at",
                path,
                source,
            });
        }
    };
    if found.is_symlink() {
        let what = "is a link";
        return Err(HookError::Unusable { what });
    }
    if !found.is_file() || found.permissions().mode() & 0o111 == 0 {
        let what = "is no program that can be executed";
        return Err(HookError::Unusable { what });
    }
    let is_this =
        fs::metadata(&this).is_ok_and(|this| (this.dev(), this.ino()) == (found.dev(), found.ino()));
    if root.is_machine() && is_known && !is_this {
        return Err(HookError::Elsewhere { this });
    }
    Ok(())
}

/// The links in a hooks folder that lead to [`PROGRAM`].
///
/// # Errors
/// The folder cannot be read.
pub fn ours(folder: &Path) -> Result<Vec<PathBuf>, HookError> {
    let drop_ins = folder.join("qemu.d");
    let mut paths = vec![folder.join("qemu")];
    match fs::read_dir(&drop_ins) {
        Ok(entries) => paths.extend(entries.flatten().map(|entry| entry.path())),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) => {}
        Err(source) => {
            return Err(HookError::File {
                what: "read",
                path: drop_ins,
                source,
            });
        }
    }
    paths.retain(|path| is_ours(path));
    paths.sort();
    Ok(paths)
}

/// Whether this is a link to [`PROGRAM`].
#[must_use]
pub fn is_ours(path: &Path) -> bool {
    fs::read_link(path).is_ok_and(|target| target == Path::new(PROGRAM))
}

/// The form that this host's libvirt takes: `qemu.d` wherever it is known to look there.
#[must_use]
pub fn form_for(root: &Root, folder: &Path) -> Form {
    let looks_there = match libvirt_version(root) {
        Some(version) => version >= DROP_INS_SINCE,
        None => folder.join("qemu.d").is_dir(),
    };
    if looks_there { Form::DropIn } else { Form::Single }
}

/// The version of the libvirt that is installed, from the name of its library's file: `libvirt.so.0.11003.0` is
/// that of 11.3.0.
#[must_use]
pub fn libvirt_version(root: &Root) -> Option<(u32, u32)> {
    let libraries = ["/usr/lib64".to_owned(), "/usr/lib".to_owned()];
    let arch = std::env::consts::ARCH;
    let multiarch = [format!("/usr/lib/{arch}-linux-gnu")];
    let folders = multiarch.iter().chain(&libraries);
    folders
        .filter_map(|folder| fs::read_dir(root.path(folder)).ok())
        .flat_map(Iterator::flatten)
        .filter_map(|entry| parse_version(entry.file_name().to_str()?))
        .max()
}

fn parse_version(library: &str) -> Option<(u32, u32)> {
    let (number, _) = library.strip_prefix("libvirt.so.0.")?.split_once('.')?;
    let number: u32 = number.parse().ok()?;
    Some((number / 1000, number % 1000))
}

/// Makes the link.
///
/// # Errors
/// Something is there already, or it cannot be made.
pub fn install(folder: &Path, form: Form) -> Result<PathBuf, HookError> {
    let path = form.path(folder);
    let parent = path.parent().unwrap_or(folder);
    if let Some(above) = folder.parent().filter(|above| !above.is_dir()) {
        let folder = above.to_owned();
        return Err(HookError::NoLibvirt { folder });
    }
    let made = DirBuilder::new().recursive(true).mode(0o755).create(parent);
    made.map_err(|source| HookError::File {
        what: "make",
        path: parent.to_owned(),
        source,
    })?;
    match symlink(PROGRAM, &path) {
        Ok(()) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(HookError::Taken {
            what: describe(&path),
            hint: match form {
                Form::Single => {
                    "; where libvirt is 6.5 or newer, --as qemu.d puts automdev beside it, else let that hook call automdev hook \"$@\" with its own standard input"
                }
                Form::DropIn => "; move it away, or put automdev in place with --as qemu",
            },
            path,
        }),
        Err(source) => Err(HookError::File {
            what: "make the link",
            path,
            source,
        }),
    }
}

fn describe(path: &Path) -> String {
    match fs::read_link(path) {
        Ok(target) => format!("a link to {}", target.display()),
        Err(_) if path.is_dir() => "a folder".to_owned(),
        Err(_) => "a file".to_owned(),
    }
}

/// Takes one of [`ours`] away.
///
/// # Errors
/// It cannot be.
pub fn remove(path: &Path) -> Result<(), HookError> {
    fs::remove_file(path).map_err(|source| HookError::File {
        what: "remove",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_librarys_name_tells_the_version() {
        for (name, version) in [
            ("libvirt.so.0.11003.0", Some((11, 3))),
            ("libvirt.so.0.9000.0", Some((9, 0))),
            ("libvirt.so.0.6005.0", Some((6, 5))),
            ("libvirt.so.0", None),
            ("libvirt.so.0.x.0", None),
            ("libvirt-qemu.so.0.11003.0", None),
        ] {
            assert_eq!(parse_version(name), version, "{name}");
        }
    }
}
