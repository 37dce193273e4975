//! `automdev check`: looks the host over, and says what would go wrong and how to mend it.

use serde::Serialize;

use super::colour::Palette;
use super::format::{Format, SCHEMA, push_json, push_wrapped, put};
use super::{Status, output};
use crate::host::check;
use crate::host::kernel::Kernel;
use crate::host::root::Root;
use crate::model::finding::{Finding, Outcome};

/// How it is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Status 0: a start would find what it needs; 3: something is wrong.

Examples:
  automdev check
  automdev check --format json | jq -r 'select(.result == \"problem\") | .mend'")]
pub struct Args {
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Looks, and tells.
pub fn run(root: &Root, kernel: &dyn Kernel, args: &Args) -> anyhow::Result<Status> {
    let found = check::of_host(root, kernel);
    let mut text = String::new();
    match args.format {
        Format::Text => print(&mut text, &found, Palette::for_stdout(), Marks::for_terminal()),
        Format::Json => found
            .iter()
            .for_each(|one| push_json(&mut text, &Line::from(one))),
    }
    output::print(&text)?;
    let is_wrong = found.iter().any(|one| one.result == Outcome::Problem);
    Ok(if is_wrong { Status::No } else { Status::Done })
}

/// What stands before a line, all of one width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marks {
    good: &'static str,
    note: &'static str,
    problem: &'static str,
}

impl Marks {
    const SIGNS: Marks = Marks {
        good: "✓",
        note: "·",
        problem: "✗",
    };

    const LETTERS: Marks = Marks {
        good: "ok ",
        note: " - ",
        problem: "BAD",
    };

    /// Signs, unless the terminal is dumb or takes no UTF-8 (locale(7): the first of these that is set counts).
    fn for_terminal() -> Self {
        let variable = |name| {
            std::env::var(name)
                .ok()
                .filter(|value: &String| !value.is_empty())
        };
        let is_dumb = variable("TERM").is_some_and(|term| term == "dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        let is_utf8 = locale.contains("utf-8") || locale.contains("utf8");
        if is_utf8 && !is_dumb {
            Marks::SIGNS
        } else {
            Marks::LETTERS
        }
    }
}

fn print(text: &mut String, found: &[Finding], palette: Palette, marks: Marks) {
    let Palette { bad, good, odd, .. } = palette;
    for one in found {
        let (style, mark) = match one.result {
            Outcome::Good => (good, marks.good),
            Outcome::Note => (odd, marks.note),
            Outcome::Problem => (bad, marks.problem),
        };
        let indent = mark.chars().count() + 14;
        let mut told = String::new();
        push_wrapped(&mut told, indent, &one.text);
        put!(
            text,
            "{style}{mark}{style:#} {:12} {}",
            one.area.as_str(),
            told.trim_start()
        );
        if let Some(mend) = one.mend.as_deref().filter(|mend| *mend != check::AS_ROOT) {
            push_wrapped(text, indent, &format!("-> {mend}"));
        }
    }
    // Once, for all that it is about.
    if found
        .iter()
        .any(|one| one.mend.as_deref() == Some(check::AS_ROOT))
    {
        put!(
            text,
            "{odd}only root may read all of it: {}{odd:#}\n",
            check::AS_ROOT
        );
    }
    let problems = found.iter().filter(|one| one.result == Outcome::Problem).count();
    match problems {
        0 => put!(text, "{good}no problems{good:#}\n"),
        1 => put!(text, "{bad}1 problem{bad:#}\n"),
        _ => put!(text, "{bad}{problems} problems{bad:#}\n"),
    }
}

/// A finding for programs.
#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    area: &'static str,
    code: &'static str,
    result: &'static str,
    text: &'a str,
    mend: Option<&'a str>,
}

impl<'a> From<&'a Finding> for Line<'a> {
    fn from(found: &'a Finding) -> Self {
        Line {
            schema: SCHEMA,
            area: found.area.as_str(),
            code: found.code,
            result: found.result.as_str(),
            text: &found.text,
            mend: found.mend.as_deref(),
        }
    }
}
