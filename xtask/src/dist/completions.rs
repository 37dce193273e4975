//! What the shells complete: what clap generates of the definition of the command line, and what this host has of parents,
//! types and devices, for which `packaging/completions` asks the program.

use std::path::Path;

use anyhow::{Result, bail};
use clap::Command;
use clap_complete::Shell;

use super::{read, tree};
use crate::vm::workspace;

/// What clap writes in zsh's script where it does not know the values, and the function that does.
const UNKNOWN: &str = ":_default'";
const KNOWN: [(&str, &str); 5] = [
    (":PARENT:_default'", ":PARENT:_automdev_parents'"),
    (":TYPE:_default'", ":TYPE:_automdev_types'"),
    (":UUID:_default'", ":UUID:_automdev_uuids'"),
    ("':uuid -- ", ":_automdev_uuids'"),
    ("'*::uuids -- ", ":_automdev_uuids'"),
];

/// Writes what the shells read, below a `share` folder.
pub(super) fn write(share: &Path, command: &mut Command) -> Result<()> {
    for (shell, place) in [
        (Shell::Bash, "bash-completion/completions/automdev"),
        (Shell::Zsh, "zsh/site-functions/_automdev"),
        (Shell::Fish, "fish/vendor_completions.d/automdev.fish"),
    ] {
        tree::write(&share.join(place), &script(shell, command)?, 0o644)?;
    }
    Ok(())
}

/// All of one shell's.
fn script(shell: Shell, command: &mut Command) -> Result<String> {
    let mut text = Vec::new();
    clap_complete::generate(shell, command, "automdev", &mut text);
    let text = String::from_utf8(text)?;
    let values = read(&workspace().join(format!("packaging/completions/values.{shell}")))?;
    // The end of the first two calls what is above it.
    let (above, end) = match shell {
        Shell::Bash | Shell::Zsh => text.split_at(text.rfind("\nif [").unwrap_or(text.len())),
        _ => (text.as_str(), ""),
    };
    let (above, end) = match shell {
        Shell::Bash => (
            above.to_owned(),
            end.replace(" -F _automdev ", " -F _automdev_with_values "),
        ),
        Shell::Zsh => (above.lines().map(in_zsh).collect(), end.to_owned()),
        Shell::Fish => (above.lines().map(in_fish).collect(), end.to_owned()),
        _ => bail!("nothing is known of {shell}"),
    };
    Ok(format!("{above}\n{values}{end}"))
}

fn in_zsh(line: &str) -> String {
    for (place, known) in KNOWN {
        if line.contains(place) {
            let unknown = if place.ends_with(UNKNOWN) { place } else { UNKNOWN };
            return line.replace(unknown, known) + "\n";
        }
    }
    format!("{line}\n")
}

fn in_fish(line: &str) -> String {
    let options = [
        (" -l parent ", "__automdev_parents"),
        (" -l type ", "__automdev_types"),
        (" -l uuid ", "__automdev_uuids"),
    ];
    let known = options.iter().find(|(option, _)| line.contains(option));
    match known {
        Some((_, values)) if line.ends_with(" -r") => format!("{line} -f -a \"({values})\"\n"),
        _ => format!("{line}\n"),
    }
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::super::manual;
    use super::*;
    use crate::vm::Temporary;

    const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
    const B: &str = "c2177883-f1bb-47f0-914d-32a22e3a8805";

    /// What bash has to offer at the end of a line: `COMPREPLY`.
    fn in_bash(line: &str) -> Vec<String> {
        let work = Temporary::new("completion").expect("a folder");
        let at = |name: &str| work.path().join(name);
        let script = script(Shell::Bash, &mut manual::command()).expect("a script");
        tree::write(&at("script"), &script, 0o644).expect("a file");
        // In the place of the program, what it prints on some host.
        let types = "{\"schema\":1,\"parent\":\"0000:41:00.0\",\"types\":[{\"type\":\"nvidia-63\",\"name\":\"a\"},\
                     {\"type\":\"nvidia-64\"}]}\n{\"schema\":1,\"parent\":\"mtty\",\"types\":[{\"type\":\"nvidia-63\"}]}\n";
        let list = format!(
            "{{\"schema\":1,\"uuid\":\"{A}\",\"parent\":\"mtty\"}}\n{{\"schema\":1,\"uuid\":\"{B}\",\"parent\":\"mtty\"}}\n"
        );
        tree::write(&at("types"), types, 0o644).expect("a file");
        tree::write(&at("list"), &list, 0o644).expect("a file");
        let driver = "automdev() { cat \"$WORK/$1\"; }\n\
             . \"$WORK/script\"\n\
             COMP_LINE=$LINE COMP_POINT=${#LINE}\n\
             read -ra COMP_WORDS <<< \"$LINE\"\n\
             [[ $LINE != *' ' ]] || COMP_WORDS+=('')\n\
             COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n\
             called=($(complete -p automdev))\n\
             for ((i = 0; i < ${#called[@]}; i++)); do [[ ${called[i]} != -F ]] || function=${called[i + 1]}; done\n\
             $function automdev \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"\n\
             printf '%s\\n' \"${COMPREPLY[@]}\"\n";
        tree::write(&at("driver"), driver, 0o644).expect("a file");
        let output = process::Command::new("bash")
            .args(["--norc", "-u"])
            .arg(at("driver"))
            .env("WORK", work.path())
            .env("LINE", line)
            .output()
            .expect("bash");
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(
            output.status.success(),
            "{line}: {printed}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        printed.lines().map(str::to_owned).collect()
    }

    #[test]
    fn bash_offers_what_the_host_has() {
        for (line, offered) in [
            ("automdev define --parent ", &["0000:41:00.0", "mtty"][..]),
            ("automdev types --parent m", &["mtty"]),
            // Readline replaces what stands behind the last colon.
            ("automdev types --parent 0000:4", &["41:00.0"]),
            (
                "automdev define --parent mtty --type ",
                &["nvidia-63", "nvidia-64"],
            ),
            ("automdev show ", &[A, B]),
            ("automdev undefine c2177883-f1bb-47f0-914d-32a22e3a8805", &[B]),
            ("automdev remove --domain vm ", &[A, B]),
            // The rest is clap's.
            ("automdev rew", &["rewrite"]),
            ("automdev show --format ", &["text", "json", "mdevctl", "nodedev"]),
            ("automdev undefine --f", &["--force"]),
        ] {
            assert_eq!(in_bash(line), offered, "{line}");
        }
    }

    #[test]
    fn zsh_and_fish_ask_for_what_the_host_has() {
        let mut command = manual::command();
        let zsh = script(Shell::Zsh, &mut command).expect("a script");
        let fish = script(Shell::Fish, &mut command).expect("a script");
        for values in ["parents", "types", "uuids"] {
            for (text, name) in [
                (&zsh, format!("_automdev_{values}")),
                (&fish, format!("__automdev_{values}")),
            ] {
                let uses =
                    text.matches(&format!(":{name}'")).count() + text.matches(&format!("({name})")).count();
                assert!(uses > 0, "{name}");
            }
        }
        for place in ["PARENT", "TYPE", "UUID"] {
            assert!(!zsh.contains(&format!(":{place}:_default")), "{place}");
        }
        assert!(zsh.starts_with("#compdef automdev\n"));
        // All that it calls is defined by then.
        assert!(zsh.find("_automdev_uuids()") < zsh.rfind("funcstack"));
    }
}
