//! Where this machine's apt gets Debian from: the images are made of packages from the same place.
//!
//! Formats: sources.list(5), both the one-line and the deb822 style.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::generation::Generation;

/// One line of sources.list, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    uri: String,
    suite: String,
    signed_by: Option<String>,
}

/// The lines of a sources.list for `generation`: what this machine's apt has, with the suite exchanged.
pub(crate) fn sources_for(generation: Generation) -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    let host = codename(&release).context("/etc/os-release has no VERSION_CODENAME")?;
    let sources = read_sources()?;
    let lines = lines_for(&sources, host, generation.codename());
    if lines.is_empty() {
        bail!(
            "apt's sources on this machine have no Debian archive with the suite {host}: images are made from there"
        );
    }
    Ok(lines)
}

fn codename(os_release: &str) -> Option<&str> {
    let value = os_release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(value.trim().trim_matches('"'))
}

fn read_sources() -> Result<Vec<Source>> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(folder) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(folder.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files.sort();
    let mut sources = Vec::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => sources.extend(parse_deb822(&text)),
            Some("list") => sources.extend(text.lines().filter_map(parse_line)),
            _ => {}
        }
    }
    Ok(sources)
}

/// `deb [signed-by=KEYRING] URI SUITE COMPONENT…`; anything but an archive with the component `main` is nothing.
fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let mut rest = line
        .strip_prefix("deb")?
        .strip_prefix(char::is_whitespace)?
        .trim_start();
    let mut signed_by = None;
    if let Some(bracketed) = rest.strip_prefix('[') {
        let (options, after) = bracketed.split_once(']')?;
        signed_by = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="));
        rest = after;
    }
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?.to_owned(), words.next()?.to_owned());
    words.any(|word| word == "main").then(|| Source {
        uri,
        suite,
        signed_by: signed_by.map(str::to_owned),
    })
}

/// The stanzas of a `.sources` file, as one source for each of their URIs and suites.
fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for stanza in lines.split(|line| line.trim().is_empty()) {
        let is = |name: &str, wanted: &str| field(stanza, name).iter().any(|word| word == wanted);
        if !is("types", "deb") || !is("components", "main") || is("enabled", "no") {
            continue;
        }
        // A key may stand there itself, over several lines: it is not taken along.
        let signed_by = field(stanza, "signed-by")
            .into_iter()
            .next()
            .filter(|path| Path::new(path).is_absolute());
        for uri in field(stanza, "uris") {
            for suite in field(stanza, "suites") {
                sources.push(Source {
                    uri: uri.clone(),
                    suite,
                    signed_by: signed_by.clone(),
                });
            }
        }
    }
    sources
}

/// The words of a field, whose name is given in lower case.
fn field(stanza: &[&str], name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut inside = false;
    for line in stanza {
        let value = if line.starts_with([' ', '\t']) {
            inside.then_some(*line)
        } else {
            let (key, value) = line.split_once(':').unwrap_or((line, ""));
            inside = key.eq_ignore_ascii_case(name);
            inside.then_some(value)
        };
        words.extend(value.unwrap_or_default().split_whitespace().map(str::to_owned));
    }
    words
}

/// The host's own suites (the release, its updates, its security fixes) with another release's name in them.
fn lines_for(sources: &[Source], host: &str, codename: &str) -> String {
    let mut lines = Vec::new();
    for source in sources {
        let suffix = ["stable", "oldstable", host]
            .iter()
            .find_map(|base| source.suite.strip_prefix(base));
        let Some(suffix @ ("" | "-updates" | "-security")) = suffix else {
            continue;
        };
        let option = source
            .signed_by
            .as_ref()
            .map(|path| format!("[signed-by={path}] "))
            .unwrap_or_default();
        let line = format!("deb {option}{} {codename}{suffix} main\n", source.uri);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
Types: deb
# a comment inside
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: bookworm-security bookworm-backports
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY

Types: deb
Enabled: no
URIs: http://mirror.example/off
Suites: bookworm
Components: main
";

    #[test]
    fn deb822_is_translated_to_another_release() {
        assert_eq!(
            lines_for(&parse_deb822(DEB822), "bookworm", "trixie"),
            "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian trixie main\n\
             deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian trixie-updates main\n\
             deb http://mirror.example/debian-security trixie-security main\n"
        );
    }

    #[test]
    fn one_line_sources() {
        let cases = [
            (
                "deb http://a/debian trixie main",
                "deb http://a/debian bookworm main\n",
            ),
            (
                "deb [arch=amd64 signed-by=/k.gpg] http://a/d stable contrib main # x",
                "deb [signed-by=/k.gpg] http://a/d bookworm main\n",
            ),
            ("deb http://a/debian trixie contrib", ""),
            ("deb http://a/debian trixie-backports main", ""),
            ("deb-src http://a/debian trixie main", ""),
            ("# deb http://a/debian trixie main", ""),
            ("deb http://other/apt sid main", ""),
            ("", ""),
        ];
        for (line, expected) in cases {
            let sources: Vec<Source> = parse_line(line).into_iter().collect();
            assert_eq!(lines_for(&sources, "trixie", "bookworm"), expected, "{line}");
        }
    }

    #[test]
    fn the_hosts_codename() {
        assert_eq!(codename("ID=debian\nVERSION_CODENAME=trixie\n"), Some("trixie"));
        assert_eq!(codename("VERSION_CODENAME=\"trixie\"\n"), Some("trixie"));
        assert_eq!(codename("ID=arch\n"), None);
    }
}
