//! A plan for people.

use std::fmt::Write as _;

use super::report::{Device, Report};
use crate::cmd::colour::Palette;
use crate::model::names::printable;
use crate::model::plan::Startable;

/// Longer reasons go over several lines.
const COLUMNS: usize = 79;

/// What a reason is indented by: the width of the column of actions.
const INDENT: usize = 10;

/// The lines of a domain, an empty one before them where another domain was printed before.
pub(super) fn print(report: &Report, palette: Palette, is_later: bool) -> String {
    let mut text = if is_later { "\n".to_owned() } else { String::new() };
    let Palette {
        strong,
        bad,
        good,
        odd,
        ..
    } = palette;
    let name = if report.name.is_empty() {
        "the domain".into()
    } else {
        printable(&report.name)
    };
    let (style, verdict) = match report.startable {
        Startable::Yes => (good, "would start"),
        Startable::No => (bad, "would not start"),
        Startable::Uncertain => (
            odd,
            "may start: several types share room here, and only the driver knows how",
        ),
    };
    push(
        &mut text,
        format_args!(
            "{}: {strong}{name}{strong:#} {style}{verdict}{style:#}\n",
            report.file
        ),
    );
    for device in &report.devices {
        print_device(&mut text, device, palette);
    }
    if report.devices.is_empty() {
        text.push_str("  it has no mediated devices\n");
    }
    for uuid in &report.stray {
        push(
            &mut text,
            format_args!("  {odd}ignore{odd:#}  {uuid}  in the metadata, but no device of the domain\n"),
        );
    }
    text
}

fn print_device(text: &mut String, device: &Device, palette: Palette) {
    let style = match device.action {
        "refuse" => palette.bad,
        "skip" => palette.faint,
        _ => palette.good,
    };
    let uuid = device
        .uuid
        .map_or_else(|| "a device of a pool".to_owned(), |uuid| uuid.to_string());
    push(
        text,
        format_args!("  {style}{:6}{style:#}  {uuid}", device.action),
    );
    if let (Some(mdev_type), Some(parent)) = (&device.mdev_type, &device.parent) {
        push(text, format_args!("  {mdev_type} on {parent}"));
    }
    text.push('\n');
    for attribute in device.attributes.iter().flatten() {
        push(
            text,
            format_args!("{:INDENT$}{} = {:?}\n", "", attribute.path, attribute.value),
        );
    }
    if let Some(reason) = &device.reason {
        wrap(text, reason);
    }
}

/// Adds a reason, indented, broken between words.
fn wrap(text: &mut String, reason: &str) {
    let mut column = usize::MAX;
    for word in reason.split(' ') {
        let width = word.chars().count();
        if column.saturating_add(1 + width) > COLUMNS {
            if column != usize::MAX {
                text.push('\n');
            }
            push(text, format_args!("{:INDENT$}", ""));
            column = INDENT;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
    }
    text.push('\n');
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("a String takes whatever is written into it");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_broken_between_words() {
        let mut text = String::new();
        wrap(&mut text, &["word"; 20].join(" "));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines
                .iter()
                .all(|line| line.starts_with("          word") && line.len() <= COLUMNS),
            "{text}"
        );
    }
}
