//! Colours, for people who read on a terminal and want them.

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

/// The styles of what is printed; all of them nothing where no colour is wanted. Used as
/// `{style}text{style:#}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Palette {
    /// What stands out.
    pub strong: Style,
    /// What is wrong, refused or taken away.
    pub bad: Style,
    /// What is right, or added.
    pub good: Style,
    /// What wants a second look.
    pub odd: Style,
    /// What is there for orientation only.
    pub faint: Style,
}

impl Palette {
    /// For a stream to which no colour may go.
    pub const PLAIN: Palette = Palette {
        strong: Style::new(),
        bad: Style::new(),
        good: Style::new(),
        odd: Style::new(),
        faint: Style::new(),
    };

    /// For a terminal.
    pub const COLOURED: Palette = Palette {
        strong: Style::new().bold(),
        bad: AnsiColor::Red.on_default().bold(),
        good: AnsiColor::Green.on_default(),
        odd: AnsiColor::Yellow.on_default(),
        faint: AnsiColor::Cyan.on_default(),
    };

    /// For standard output.
    #[must_use]
    pub fn for_stdout() -> Self {
        Palette::of(AutoStream::choice(&std::io::stdout()))
    }

    /// For standard error.
    #[must_use]
    pub fn for_stderr() -> Self {
        Palette::of(AutoStream::choice(&std::io::stderr()))
    }

    fn of(choice: ColorChoice) -> Self {
        match choice {
            ColorChoice::Never => Palette::PLAIN,
            _ => Palette::COLOURED,
        }
    }
}
