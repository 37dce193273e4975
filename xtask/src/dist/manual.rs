//! The manual. What says what the commands are, the program's own definition of its command line, says it here, too.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use automdev::cmd::cli::Cli;
use clap::{ArgAction, Command, CommandFactory as _};
use clap_mangen::Man;

use super::tree;
use crate::vm::workspace;

/// The command that has a page of its own in section 8, written by hand.
const BY_HAND: &str = "hook";

/// The end of automdev(1), which the command line does not tell.
const REST: &str = "automdev.1.in";

/// The pages and the names of their files; `@VERSION@` and `@DATE@` stand in them for what is not known here.
pub(super) fn pages() -> Result<Vec<(String, String)>> {
    let command = command();
    let folder = workspace().join("docs/man");
    let mut pages = vec![("automdev.1".to_owned(), overview(&command, &folder)?)];
    for command in commands(&command) {
        pages.push((format!("automdev-{}.1", command.get_name()), page(command)?));
    }
    for path in tree::files(&folder)? {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name != REST {
            pages.push((name, super::read(&path)?));
        }
    }
    Ok(pages)
}

/// The whole command line, all that clap derives filled in.
pub(super) fn command() -> Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

/// The commands that have pages in section 1.
fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && command.get_name() != BY_HAND)
}

/// automdev(1).
fn overview(command: &Command, folder: &Path) -> Result<String> {
    let man = man(command, "automdev");
    let mut text = beginning(&man, command)?;
    text.push_str(".SH COMMANDS\n");
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        let (name, section) = (command.get_name(), section(command));
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let reference = escaped(&format!("automdev-{name}"));
        writeln!(text, ".TP\n.BR {reference} ({section})\n{}", escaped(&about))?;
    }
    text.push_str(&notes(command));
    Ok(text + &super::read(&folder.join(REST))?)
}

/// The page of one command.
fn page(command: &Command) -> Result<String> {
    let man = man(command, &format!("automdev-{}", command.get_name()));
    let mut text = beginning(&man, command)?;
    text.push_str(&notes(command));
    text.push_str(".SH SEE ALSO\n.BR automdev (1),\n.BR automdev\\-hook (8)\n");
    Ok(text)
}

/// What a help text says at its end, laid out for a terminal.
fn notes(command: &Command) -> String {
    let Some(more) = command.get_after_help() else {
        return String::new();
    };
    let mut text = ".SH NOTES\n.nf\n".to_owned();
    for line in more.to_string().lines() {
        text.push_str(&escaped(line));
        text.push('\n');
    }
    text + ".fi\n"
}

fn section(command: &Command) -> u8 {
    if command.get_name() == BY_HAND { 8 } else { 1 }
}

fn man(command: &Command, title: &str) -> Man {
    Man::new(command.clone())
        .title(title.to_uppercase())
        .section("1")
        .date("@DATE@")
        .source("automdev @VERSION@")
        .manual("User commands")
}

/// All that a page has of a command itself.
fn beginning(man: &Man, command: &Command) -> Result<String> {
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    let mut synopsis = Vec::new();
    man.render_synopsis_section(&mut synopsis)?;
    text.extend(with_values(&String::from_utf8(synopsis)?, command).bytes());
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    // roff reads ASCII.
    Ok(String::from_utf8(text)?.replace('…', "..."))
}

/// A synopsis with what its options want, which `clap_mangen` leaves out.
fn with_values(synopsis: &str, command: &Command) -> String {
    let mut text = synopsis.replace("<\\fIsubcommands\\fR>", "\\fICOMMAND\\fR ...");
    let options = command
        .get_arguments()
        .filter(|argument| argument.get_action().takes_values());
    for option in options {
        let (Some(name), Some(values)) = (option.get_long(), option.get_value_names()) else {
            continue;
        };
        let name = format!("\\fB{}\\fR", escaped(&format!("--{name}")));
        let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
        let whole = format!("{name} \\fI{}\\fR", escaped(&values.join(" ")));
        let again = match option.get_action() {
            ArgAction::Append => "...",
            _ => "",
        };
        text = text
            .replace(&format!("{name}]"), &format!("{whole}]{again}"))
            .replace(&format!("<{name}>"), &format!("{whole}{again}"));
    }
    text
}

/// Text that roff prints as it stands.
fn escaped(text: &str) -> String {
    let text = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq");
    if text.starts_with('.') {
        format!("\\&{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_the_overview_names() {
        let pages = pages().expect("pages");
        let overview = &pages[0].1;
        for command in command().get_subcommands() {
            let name = format!("automdev-{}.{}", command.get_name(), section(command));
            assert!(pages.iter().any(|(page, _)| *page == name), "there is no {name}");
            let reference = format!(
                ".BR {} ({})\n",
                name[..name.len() - 2].replace('-', "\\-"),
                section(command)
            );
            assert!(overview.contains(&reference), "automdev(1) does not name {name}");
        }
        for (name, text) in &pages {
            assert!(text.is_ascii(), "{name} has a character that roff does not read");
        }
        let options = &pages
            .iter()
            .find(|(name, _)| name == "automdev-plan.1")
            .expect("a page")
            .1;
        assert!(options.contains("\\-\\-format"), "{options}");
    }

    #[test]
    fn a_synopsis_says_what_its_options_want() {
        let pages = pages().expect("pages");
        for (page, part) in [
            ("automdev.1", "[\\fB\\-\\-root\\fR \\fIDIR\\fR]"),
            ("automdev.1", " \\fICOMMAND\\fR ...\n"),
            (
                "automdev-plan.1",
                "[\\fB\\-\\-format\\fR \\fIFORMAT\\fR] [\\fB\\-0\\fR|\\fB\\-\\-null\\fR]",
            ),
            ("automdev-plan.1", "[\\fB\\-\\-host\\fR \\fIHOST\\fR]..."),
            (
                "automdev-rewrite.1",
                "[\\fB\\-o\\fR|\\fB\\-\\-output\\fR \\fIFILE\\fR]",
            ),
            ("automdev-create.1", " \\fB\\-\\-domain\\fR \\fIDOMAIN\\fR "),
        ] {
            let (_, text) = pages.iter().find(|(name, _)| name == page).expect("a page");
            let (_, synopsis) = text.split_once(".SH SYNOPSIS\n").expect("a synopsis");
            let (synopsis, _) = synopsis.split_once(".SH").expect("an end");
            assert!(synopsis.contains(part), "{page}: {synopsis}");
        }
    }

    #[test]
    fn roff_prints_text_as_it_stands() {
        assert_eq!(escaped(".a \\ -b 'c'"), "\\&.a \\e \\-b \\(aqc\\(aq");
    }
}
