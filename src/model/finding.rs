//! What a look over a host finds.

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub area: Area,
    /// A stable word for it.
    pub code: &'static str,
    /// Whether it is as it should be.
    pub result: Outcome,
    /// What was found, for people, on one line.
    pub text: String,
    /// What to do about it, for people, on one line.
    pub mend: Option<String>,
}

/// What a finding is about, in the order in which a start needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// automdev's own settings.
    Settings,
    /// The kernel and what its drivers offer.
    Kernel,
    /// The persistent definitions, and the devices that are there.
    Definitions,
    /// The named pools.
    Pools,
    /// The link in libvirt's hooks folder.
    Hook,
    /// What confines libvirt's daemon: `AppArmor`, `SELinux`.
    Confinement,
    /// What automdev made, and for whom.
    Ledger,
    /// The domains that libvirt keeps.
    Domains,
}

impl Area {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Area::Settings => "settings",
            Area::Kernel => "kernel",
            Area::Definitions => "definitions",
            Area::Pools => "pools",
            Area::Hook => "hook",
            Area::Confinement => "confinement",
            Area::Ledger => "ledger",
            Area::Domains => "domains",
        }
    }
}

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It is.
    Good,
    /// It could not be told, or is for the reader to decide.
    Note,
    /// A start would fail, or something would be left over.
    Problem,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Good => "good",
            Outcome::Note => "note",
            Outcome::Problem => "problem",
        }
    }
}

impl Finding {
    /// It is as it should be.
    pub fn good(area: Area, code: &'static str, text: impl Into<String>) -> Self {
        Finding {
            area,
            code,
            result: Outcome::Good,
            text: text.into(),
            mend: None,
        }
    }

    /// It is for the reader to decide.
    pub fn note(area: Area, code: &'static str, text: impl Into<String>) -> Self {
        Finding {
            result: Outcome::Note,
            ..Finding::good(area, code, text)
        }
    }

    /// It is not as it should be, and what mends it.
    pub fn problem(area: Area, code: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Finding {
            result: Outcome::Problem,
            mend: Some(mend.into()),
            ..Finding::good(area, code, text)
        }
    }

    /// It is not as it should be, in words that end in what mends it: `WHAT AND WHY; WHAT TO DO`.
    #[must_use]
    pub fn advised(area: Area, code: &'static str, text: &str) -> Self {
        let (text, mend) = match text.rsplit_once("; ") {
            Some((text, mend)) => (text, Some(mend.to_owned())),
            None => (text, None),
        };
        Finding {
            mend,
            ..Finding::problem(area, code, text, "")
        }
    }
}
