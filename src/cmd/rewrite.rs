//! `automdev rewrite`: from the XML that people write to what libvirt keeps.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use similar::{Algorithm, TextDiff};

use super::colour::Palette;
use super::input::Input;
use super::{Status, complain, output};
use crate::model::names::MdevUuid;
use crate::model::rewrite::{PoolUuids, rewrite};

/// A difference that takes longer to find is shown more coarsely.
const DIFF_TIME: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  automdev rewrite vm.xml | virsh define --validate /dev/stdin
  automdev rewrite vm.xml -o vm.xml
  automdev rewrite --diff vm.xml
  virsh dumpxml vm | automdev rewrite --check";

/// The command line of `automdev rewrite`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The domain's XML; standard input where it is left out or -.
    pub file: Option<PathBuf>,
    /// Writes to FILE, which may be the one that is read: replaced at once, with its mode and owner.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["check", "diff"])]
    pub output: Option<PathBuf>,
    /// Writes nothing; the exit status is 3 if anything would change.
    #[arg(long)]
    pub check: bool,
    /// Like --check, and shows what would change.
    #[arg(long)]
    pub diff: bool,
    /// Derives the UUIDs of devices taken from a pool anew, for the copy of another domain.
    ///
    /// They are derived from the domain's UUID, or, where it has none, from its name, so give the copy its own
    /// first. Devices that were named by their UUID are left alone.
    #[arg(long)]
    pub fresh: bool,
}

/// Carries it out.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    let input = match Input::read(args.file.as_deref()) {
        Ok(input) => input,
        Err(error) => return Ok(error.report()),
    };
    let pools = if args.fresh {
        PoolUuids::Fresh
    } else {
        PoolUuids::Keep
    };
    let rewritten = match rewrite(&input.text, pools) {
        Ok(rewritten) => rewritten,
        Err(faults) => {
            input.complain(&faults);
            return Ok(Status::Failed);
        }
    };
    warn_of_stray(&input.name, &rewritten.stray);
    let is_changed = rewritten.is_changed();
    if args.diff && is_changed {
        output::print(&diff(&input, &rewritten.text, Palette::for_stdout()))?;
    }
    if args.check || args.diff {
        return Ok(if is_changed { Status::No } else { Status::Done });
    }
    let same = |output: &Path| {
        let read = input.path.as_deref();
        read.is_some_and(|read| output::is_same_file(read, output))
    };
    match args.output.as_deref() {
        None => output::print(&rewritten.text)?,
        Some(path) if path == Path::new("-") => output::print(&rewritten.text)?,
        Some(path) if !is_changed && same(path) => {}
        Some(path) => output::replace(path, &rewritten.text)?,
    }
    Ok(Status::Done)
}

fn warn_of_stray(name: &str, stray: &[MdevUuid]) {
    const MOST: usize = 3;
    if stray.is_empty() {
        return;
    }
    let mut shown: Vec<String> = stray.iter().take(MOST).map(ToString::to_string).collect();
    if stray.len() > MOST {
        shown.push(format!("and {} more", stray.len() - MOST));
    }
    complain(&format!(
        "automdev: {name}: warning: listed under <metadata>, but no device of this domain: {}",
        shown.join(", ")
    ));
}

/// The unified difference.
fn diff(input: &Input, new: &str, palette: Palette) -> String {
    let diff = TextDiff::configure()
        .algorithm(Algorithm::Patience)
        .timeout(DIFF_TIME)
        .diff_lines(input.text.as_str(), new);
    let plain = diff
        .unified_diff()
        .header(&input.name, &format!("{}\trewritten", input.name))
        .to_string();
    if palette == Palette::PLAIN {
        return plain;
    }
    let mut coloured = String::with_capacity(plain.len() * 2);
    for (number, line) in plain.split_inclusive('\n').enumerate() {
        let style = match line.as_bytes().first() {
            _ if number < 2 => palette.strong,
            Some(b'+') => palette.good,
            Some(b'-') => palette.bad,
            Some(b'@') => palette.faint,
            _ => anstyle::Style::new(),
        };
        let end = line.trim_end_matches(['\r', '\n']).len();
        let (line, end) = line.split_at(end);
        write!(coloured, "{style}{line}{style:#}{end}").expect("a string takes all");
    }
    coloured
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_coloured_line_by_line() {
        let input = Input {
            name: "f".to_owned(),
            path: None,
            text: "a\nb\r\n".to_owned(),
        };
        assert_eq!(
            diff(&input, "a\nc\r\n", Palette::PLAIN),
            "--- f\n+++ f\trewritten\n@@ -1,2 +1,2 @@\n a\n-b\r\n+c\r\n"
        );
        let coloured = diff(&input, "a\nc\r\n", Palette::COLOURED);
        assert!(coloured.contains("\n\u{1b}[32m+c\u{1b}[0m\r\n"), "{coloured:?}");
        assert_eq!(
            anstream::adapter::strip_str(&coloured).to_string(),
            diff(&input, "a\nc\r\n", Palette::PLAIN)
        );
    }
}
