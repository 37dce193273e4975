//! What is measured, against what.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::tree::{Folder, Host, SMALL, Size, defined, domain};

/// A program, its arguments, and what is on its standard input.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// A file, or nothing.
    pub(crate) input: Option<PathBuf>,
}

/// Two calls that are compared, and how much the first one may cost.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) own: Call,
    pub(crate) peer: Call,
    /// The largest ratio that is good, where there is a goal.
    pub(crate) goal: Option<f64>,
    /// How much more of a processor's time than its peer it may take, where there is a goal.
    pub(crate) most_cpu: Option<Duration>,
}

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
        Call {
            name: "automdev".to_owned(),
            program: self.program.to_owned(),
            arguments,
            input: input.map(Path::to_owned),
        }
    }

    /// What libvirt calls, where there is nothing to be done.
    fn events(&self, host: &Host) -> Result<Vec<Case>> {
        let plain = self.input("plain.xml", &domain(&[], None, 2_000))?;
        let large = self.input("large.xml", &domain(&[], None, 100_000))?;
        let script = self.input("hook.sh", SHELL_HOOK)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        let shell = |input: &Path| Call {
            name: "sh + xmllint".to_owned(),
            program: script.clone(),
            arguments: ["bench", "prepare", "begin", "-"].map(OsString::from).to_vec(),
            input: Some(input.to_owned()),
        };
        let case = |name: &str, line: &str, input: &Path, peer: Call, goal: Option<f64>| Case {
            name: name.to_owned(),
            own: self.own(host, line, Some(input)),
            peer,
            goal,
            most_cpu: None,
        };
        Ok(vec![
            case(
                "event: started",
                "hook bench started begin -",
                &plain,
                nothing(),
                Some(1.2),
            ),
            case(
                "event: stopped",
                "hook bench stopped end -",
                &plain,
                nothing(),
                Some(1.2),
            ),
            case(
                "event: reconnect",
                "hook bench reconnect begin -",
                &plain,
                nothing(),
                Some(1.2),
            ),
            case(
                "prepare, no marks, 2 KB",
                "hook bench prepare begin -",
                &plain,
                nothing(),
                None,
            ),
            case(
                "prepare, no marks, 100 KB",
                "hook bench prepare begin -",
                &large,
                nothing(),
                Some(1.5),
            ),
            case(
                "prepare, no marks, 100 KB",
                "hook bench prepare begin -",
                &large,
                shell(&large),
                Some(0.5),
            ),
            case(
                "release, nothing to do",
                "hook bench release end -",
                &plain,
                nothing(),
                None,
            ),
        ])
    }

    /// What people call.
    fn reading(&self, host: &Host) -> Result<Vec<Case>> {
        let marked = self.input("marked.xml", &domain(&[defined(0)], None, 2_000))?;
        let case = |name: &str, line: &str, input: Option<&Path>| Case {
            name: name.to_owned(),
            own: self.own(host, line, input),
            peer: nothing(),
            goal: None,
            most_cpu: None,
        };
        let mut run = case("run, nothing to make", "run -- /bin/true -device vga", None);
        run.goal = None;
        Ok(vec![
            case("plan, one device", "plan -", Some(&marked)),
            case("list", "list", None),
            case("rewrite", "rewrite -", Some(&marked)),
            run,
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
            cases.push(Case {
                name: format!("plan, {name}"),
                own: self.own(&host, "plan -", Some(&marked)),
                peer,
                goal: Some(1.1),
                most_cpu: None,
            });
        }
        Ok(cases)
    }

    /// The choice of a place, against a plan without one.
    fn pools(&self) -> Result<Vec<Case>> {
        let size = Size {
            parents: 64,
            types: 16,
            devices: 2_000,
            definitions: 1_000,
        };
        let host = self.host("pools", size)?;
        host.file("etc/automdev/pools.d/one.toml", "[[member]]\ntype = \"type-0\"\n")?;
        let members: Vec<String> = (0..16)
            .map(|number| format!("[[member]]\ntype = \"type-{number}\"\n"))
            .collect();
        host.file(
            "etc/automdev/pools.d/all.toml",
            &format!("placement = \"pack\"\n{}", members.concat()),
        )?;
        let none = self.input("unmarked.xml", &domain(&[], None, 2_000))?;
        let mut cases = Vec::new();
        for (name, pool) in [("one type", "one"), ("16 types, pack", "all")] {
            let marked = domain(
                &["c0000000-0000-4000-8000-000000000001".to_owned()],
                Some(pool),
                2_000,
            );
            let marked = self.input(&format!("{pool}.xml"), &marked)?;
            let mut peer = self.own(&host, "plan -", Some(&none));
            "no device".clone_into(&mut peer.name);
            cases.push(Case {
                name: format!("plan, pool of {name}, 64 parents"),
                own: self.own(&host, "plan -", Some(&marked)),
                peer,
                goal: None,
                most_cpu: Some(MOST_FOR_CHOICE),
            });
        }
        Ok(cases)
    }
}

/// The least that a process costs.
fn nothing() -> Call {
    Call {
        name: "/bin/true".to_owned(),
        program: "/bin/true".into(),
        arguments: Vec::new(),
        input: None,
    }
}
