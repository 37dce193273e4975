//! `automdev rewrite`: from the XML that people write to what libvirt keeps.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use similar::{Algorithm, TextDiff};

use super::colour::Palette;
use super::input::Input;
use super::{Status, complain, output};
use crate::host::clock::Deadline;
use crate::host::definitions;
use crate::host::kernel::Kernel;
use crate::host::machine::{self, Machine};
use crate::host::pools::pick::{self, Request};
use crate::host::root::Root;
use crate::model::domain::Domain;
use crate::model::names::MdevUuid;
use crate::model::plan::{self, Origin, Wanted};
use crate::model::rewrite::{PoolUuids, replace_devices, rewrite};

/// A difference that takes longer to find is shown more coarsely.
const DIFF_TIME: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  automdev rewrite vm.xml | virsh define --validate /dev/stdin
  automdev rewrite vm.xml -o vm.xml
  automdev rewrite --diff vm.xml
  virsh dumpxml vm | automdev rewrite --check
  automdev rewrite --pick vm.xml | virsh create /dev/stdin";

/// The command line of `automdev rewrite`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command line"
)]
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
    /// Claims idle devices of the domain's pools and puts their own UUIDs into the XML, for virsh create.
    ///
    /// A pool's device that was made beforehand cannot become one of another UUID. It is claimed for the domain of
    /// this UUID until that has stopped, or for ten minutes where it does not start.
    #[arg(long, conflicts_with_all = ["check", "diff"])]
    pub pick: bool,
}

/// Carries it out.
pub fn run(root: &Root, kernel: &dyn Kernel, args: &Args) -> anyhow::Result<Status> {
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
    input.warn(&rewritten.odd);
    warn_of_stray(&input.name, &rewritten.stray);
    let is_changed = rewritten.is_changed();
    if args.diff && is_changed {
        output::print(&diff(&input, &rewritten.text, Palette::for_stdout()))?;
    }
    if args.check || args.diff {
        return Ok(if is_changed { Status::No } else { Status::Done });
    }
    if args.pick {
        return pick(root, kernel, &rewritten.text, args.output.as_deref());
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

/// Claims what the domain's pools hand out, and writes the XML with it. What nobody hears of is given back.
fn pick(root: &Root, kernel: &dyn Kernel, text: &str, output: Option<&Path>) -> anyhow::Result<Status> {
    let domain = Domain::parse(text).map_err(|faults| {
        let first = faults.into_iter().next();
        first.map_or_else(|| anyhow!("the domain's XML is wrong"), anyhow::Error::new)
    })?;
    let Some(uuid) = domain.uuid else {
        bail!("devices are claimed by the domain's UUID, and this one has none: give it one (<uuid>)");
    };
    let settings = machine::load_settings(root)?;
    let marked = plan::wanted(&domain, settings.select, |uuid| {
        definitions::is_defined(root, uuid)
    });
    let besides = plan::besides(&domain, &marked);
    let wanted = marked.into_iter().map(|wanted| match wanted.origin {
        Origin::Pool(pool) => Wanted {
            origin: Origin::AnyOfPool(pool),
            ..wanted
        },
        _ => wanted,
    });
    let request = Request {
        domain: uuid,
        name: domain.name.clone(),
        wanted: wanted.collect(),
        besides,
        affinity: domain.affinity,
    };
    let machine = Machine::new(root, kernel, settings, Deadline::now());
    let picked = pick::pick(&machine, &request)?;
    let written = replace_devices(text, &picked.devices)
        .ok_or_else(|| {
            anyhow!("a UUID in the XML is spelt in an unusual way; write it in lower case, with dashes")
        })
        .and_then(|text| match output {
            Some(path) if path != Path::new("-") => output::replace(path, &text),
            _ => output::print_to_somebody(&text),
        });
    if let Err(error) = written {
        pick::give_back(&machine, &request, &picked)
            .with_context(|| format!("{error:#}; what was claimed cannot be given back"))?;
        return Err(error);
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
