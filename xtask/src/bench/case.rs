//! What is measured, against what.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::call::{Call, Case, Step};
use super::tree::{Folder, Host, SMALL, Size, defined, domain};

/// The choice among most places.
pub(crate) const LARGEST_CHOICE: &str = "plan, pool of 16 types, pack, 64 parents";

/// Where it is made.
pub(crate) const LARGEST_HOST: &str = "pools";

/// How many types each parent has there.
pub(crate) const TYPES: usize = 16;

/// The choice of a place takes no longer.
const MOST_FOR_CHOICE: Duration = Duration::from_millis(5);

/// A hook of the kind that people write: it looks for its devices with xmllint.
const SHELL_HOOK: &str = r#"#!/bin/sh
[ "$2 $3" = "prepare begin" ] || exit 0
uuids=$(xmllint --xpath '//hostdev[@type="mdev"]/source/address/@uuid' - 2> /dev/null)
[ -z "$uuids" ] || exit 1
"#;

/// All of them.
pub(crate) fn all(program: &Path, folder: &Folder) -> Result<Vec<Case>> {
    let maker = Maker { program, folder };
    let small = maker.host("small", SMALL)?;
    let mut cases = maker.events(&small)?;
    cases.extend(maker.reading(&small)?);
    cases.extend(maker.scale()?);
    cases.extend(maker.pools()?);
    Ok(cases)
}

struct Maker<'a> {
    program: &'a Path,
    folder: &'a Folder,
}

impl Maker<'_> {
    fn host(&self, name: &str, size: Size) -> Result<Host> {
        Host::new(self.folder, name, size)
    }

    fn input(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.at(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    fn own(&self, host: &Host, line: &str, input: Option<&Path>) -> Call {
        let mut arguments: Vec<OsString> = vec!["--root".into(), host.path().into()];
        arguments.extend(line.split(' ').map(OsString::from));
        let step = Step {
            program: self.program.to_owned(),
            arguments,
            input: input.map(Path::to_owned),
        };
        Call::one("automdev", step)
    }

    /// What libvirt calls, where there is nothing to be done.
    fn events(&self, host: &Host) -> Result<Vec<Case>> {
        let plain = self.input("plain.xml", &domain(&[], None, 2_000))?;
        let large = self.input("large.xml", &domain(&[], None, 100_000))?;
        let script = self.input("hook.sh", SHELL_HOOK)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        let shell = |input: &Path| {
            let step = Step::new(&script, &["bench", "prepare", "begin", "-"]);
            Call::one("sh + xmllint", step.reading(input))
        };
        let case = |name: &str, line: &str, input: &Path, peer: Call| {
            Case::new(name, self.own(host, line, Some(input)), peer).of_hook()
        };
        let prepare = "hook bench prepare begin -";
        Ok(vec![
            case("event: started", "hook bench started begin -", &plain, nothing()).at_most(1.2),
            case("event: stopped", "hook bench stopped end -", &plain, nothing()).at_most(1.2),
            case(
                "event: reconnect",
                "hook bench reconnect begin -",
                &plain,
                nothing(),
            )
            .at_most(1.2),
            case("prepare, no marks, 2 KB", prepare, &plain, nothing()),
            case("prepare, no marks, 100 KB", prepare, &large, nothing()).at_most(1.5),
            case("prepare, no marks, 100 KB", prepare, &large, shell(&large)).at_most(0.5),
            case(
                "release, nothing to do",
                "hook bench release end -",
                &plain,
                nothing(),
            ),
        ])
    }

    /// What people call.
    fn reading(&self, host: &Host) -> Result<Vec<Case>> {
        let marked = self.input("marked.xml", &domain(&[defined(0)], None, 2_000))?;
        let case = |name: &str, line: &str, input: Option<&Path>| {
            Case::new(name, self.own(host, line, input), nothing())
        };
        Ok(vec![
            case("plan, one device", "plan -", Some(&marked)),
            case("list", "list", None),
            case("rewrite", "rewrite -", Some(&marked)),
            case("run, nothing to make", "run -- /bin/true -device vga", None),
        ])
    }

    /// The same on a large host, against a small one.
    fn scale(&self) -> Result<Vec<Case>> {
        let marked = self.input("scaled.xml", &domain(&[defined(0)], None, 2_000))?;
        let small = self.host("ten", SMALL)?;
        let mut cases = Vec::new();
        for (name, size) in [
            (
                "1,000 definitions",
                Size {
                    definitions: 1_000,
                    ..SMALL
                },
            ),
            (
                "10,000 definitions",
                Size {
                    definitions: 10_000,
                    ..SMALL
                },
            ),
            (
                "256 parents",
                Size {
                    parents: 256,
                    ..SMALL
                },
            ),
            (
                "2,000 devices",
                Size {
                    devices: 2_000,
                    parents: 16,
                    ..SMALL
                },
            ),
        ] {
            let host = self.host(name, size)?;
            let mut peer = self.own(&small, "plan -", Some(&marked));
            "10 definitions".clone_into(&mut peer.name);
            let own = self.own(&host, "plan -", Some(&marked));
            cases.push(Case::new(format!("plan, {name}"), own, peer).at_most(1.1));
        }
        Ok(cases)
    }

    /// The choice of a place, against a plan without one.
    fn pools(&self) -> Result<Vec<Case>> {
        let size = Size {
            parents: 64,
            types: TYPES,
            devices: 2_000,
            definitions: 1_000,
        };
        let host = self.host(LARGEST_HOST, size)?;
        host.file("etc/automdev/pools.d/one.toml", "[[member]]\ntype = \"type-0\"\n")?;
        let members: Vec<String> = (0..TYPES)
            .map(|number| format!("[[member]]\ntype = \"type-{number}\"\n"))
            .collect();
        host.file(
            "etc/automdev/pools.d/all.toml",
            &format!("placement = \"pack\"\n{}", members.concat()),
        )?;
        let none = self.input("unmarked.xml", &domain(&[], None, 2_000))?;
        let mut cases = Vec::new();
        for (name, pool) in [
            ("plan, pool of one type, 64 parents", "one"),
            (LARGEST_CHOICE, "all"),
        ] {
            let marked = domain(
                &["c0000000-0000-4000-8000-000000000001".to_owned()],
                Some(pool),
                2_000,
            );
            let marked = self.input(&format!("{pool}.xml"), &marked)?;
            let mut peer = self.own(&host, "plan -", Some(&none));
            "no device".clone_into(&mut peer.name);
            let own = self.own(&host, "plan -", Some(&marked));
            let mut case = Case::new(name, own, peer);
            case.goals.cpu = Some(MOST_FOR_CHOICE);
            cases.push(case);
        }
        Ok(cases)
    }
}

/// The least that a process costs.
fn nothing() -> Call {
    Call::one("/bin/true", Step::new("/bin/true", &[]))
}
