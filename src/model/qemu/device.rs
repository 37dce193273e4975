//! One `-device`: what QEMU reads in it, what automdev reads in it, and what QEMU gets.

use std::ops::Range;

use super::item::{self, Item, Value};
use super::refused::Problem;
use super::source::{Source, of_sysfsdev, sysfsdev};
use super::{json, key_value};
use crate::model::domain::{Mark, Model};
use crate::model::names::{MdevUuid, PoolName};

const DRIVER: &[u8] = b"driver";
const AUTOCREATE: &str = "autocreate";
const POOL: &str = "pool";

/// How the properties are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    KeyValue,
    Json,
}

/// A `-device` as it stands there, and what `-set` adds to it.
#[derive(Debug)]
pub(super) struct Draft {
    form: Form,
    items: Vec<Item>,
    /// How many of the items stand in the text.
    written: usize,
}

/// What a `-device` has that is more than QEMU's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// The device, where it may be a mediated one.
    pub(super) found: Option<Found>,
    /// What QEMU does not get, where anything is ours.
    pub(super) edit: Option<Edit>,
}

/// A device that may be a mediated one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) model: Model,
    pub(super) source: Source,
    pub(super) mark: Mark,
}

/// What is taken out of the text of a `-device`, and where the chosen device goes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    form: Form,
    cuts: Vec<Range<usize>>,
    pool: Option<Range<usize>>,
}

impl Draft {
    /// Reads the text. What QEMU refuses as broken has no properties here.
    pub(super) fn parse(text: &[u8]) -> Self {
        // By its first byte, as `vl.c` does.
        let (form, items) = if text.starts_with(b"{") {
            (Form::Json, json::parse(text).unwrap_or_default())
        } else {
            (Form::KeyValue, key_value::parse(text, DRIVER))
        };
        let written = items.len();
        Draft { form, items, written }
    }

    /// The id by which `-set` finds it: the first, where QEMU allows several; JSON it does not find.
    pub(super) fn id(&self) -> Option<&[u8]> {
        let item = self.items.iter().find(|item| item.name == b"id")?;
        item.value.text().filter(|_| self.form == Form::KeyValue)
    }

    /// Adds what a `-set` says of this device, which overrides what it says itself.
    pub(super) fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), Problem> {
        if let Some(property) = ours(name) {
            return Err(Problem::InSet { property });
        }
        self.items.push(Item {
            span: 0..0,
            name: name.to_vec(),
            value: Value::Text(value.to_vec()),
        });
        Ok(())
    }

    /// Reads what it all means; `text` is what was parsed.
    pub(super) fn read(&self, text: &[u8]) -> Result<Reading, Problem> {
        if self.asks_for_help() {
            // QEMU prints the driver's properties and ends.
            return Ok(Reading::default());
        }
        let driver = self.text(DRIVER).unwrap_or_default();
        let property = self.items.iter().find_map(|item| ours(&item.name));
        let Some(model) = model_of(driver) else {
            let Some(property) = property else {
                return Ok(Reading::default());
            };
            let driver = String::from_utf8_lossy(driver).into_owned();
            return Err(Problem::Driver { property, driver });
        };
        let found = self
            .read_source()?
            .map(|(source, mark)| Found { model, source, mark });
        let edit = property.is_some().then(|| self.edit(text)).transpose()?;
        Ok(Reading { found, edit })
    }

    fn text(&self, name: &[u8]) -> Option<&[u8]> {
        item::last(&self.items, name)?.text()
    }

    fn asks_for_help(&self) -> bool {
        let is_help = |item: &Item| matches!(item.name.as_slice(), b"help" | b"?");
        self.form == Form::KeyValue && self.items.iter().skip(1).any(is_help)
    }

    fn read_source(&self) -> Result<Option<(Source, Mark)>, Problem> {
        let mark = self.read_mark()?;
        if let Some(pool) = self.read_pool()? {
            // Beside these QEMU's own would win, or the pool's, unnoticed.
            for property in ["sysfsdev", "host", "fd"] {
                if self.text(property.as_bytes()).is_some() {
                    return Err(Problem::TwoSources { property });
                }
            }
            return match mark {
                Mark::No => Err(Problem::PoolOff),
                mark => Ok(Some((Source::Pool(pool), mark))),
            };
        }
        match (self.text(b"sysfsdev"), mark) {
            (Some(path), mark) => match of_sysfsdev(path) {
                Ok(source) => Ok(Some((source, mark))),
                // Not ours: QEMU says that it is not there.
                Err(_) if mark == Mark::No => Ok(None),
                Err(uuid) => Err(Problem::Spelling { uuid }),
            },
            (None, Mark::Yes) => Err(Problem::NoSource),
            (None, _) => Ok(None),
        }
    }

    fn read_mark(&self) -> Result<Mark, Problem> {
        let Some(value) = item::last(&self.items, AUTOCREATE.as_bytes()) else {
            return Ok(Mark::Absent);
        };
        match value.text() {
            Some(b"on") => Ok(Mark::Yes),
            Some(b"off") => Ok(Mark::No),
            _ => Err(Problem::Autocreate { value: value.shown() }),
        }
    }

    fn read_pool(&self) -> Result<Option<PoolName>, Problem> {
        match item::last(&self.items, POOL.as_bytes()) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(String::from_utf8_lossy(text).parse()?)),
            // A bare one among `name=value`, or JSON that is no text.
            Some(_) => Err(Problem::NoPool),
        }
    }

    fn edit(&self, text: &[u8]) -> Result<Edit, Problem> {
        let items = &self.items[..self.written];
        let pool = items
            .iter()
            .rfind(|item| item.name == POOL.as_bytes())
            .map(|item| item.span.clone());
        let is_cut = |item: &Item| ours(&item.name).is_some() && Some(&item.span) != pool.as_ref();
        let edit = Edit {
            form: self.form,
            cuts: item::cuts(items, is_cut),
            pool: pool.clone(),
        };
        if self.form == Form::KeyValue {
            let rest = key_value::parse(&edit.apply(text, None), DRIVER);
            let kept = items.iter().filter(|item| !is_cut(item));
            let meaning = |item: &Item| (item.name.clone(), item.value.clone());
            // A cut can move a bare property to the front, or put two commas together.
            if !kept.map(meaning).eq(rest.iter().map(meaning)) {
                return Err(Problem::Entangled);
            }
        }
        Ok(edit)
    }
}

impl Edit {
    /// The text as QEMU gets it, with this device in the place of the pool. Without one the pool's place is
    /// left as it is, and QEMU refuses it.
    pub(super) fn apply(&self, text: &[u8], chosen: Option<MdevUuid>) -> Vec<u8> {
        let chosen = self.pool.clone().zip(chosen).map(|(span, uuid)| {
            let path = sysfsdev(uuid);
            let item = match self.form {
                Form::KeyValue => format!("sysfsdev={path}"),
                Form::Json => format!("\"sysfsdev\":\"{path}\""),
            };
            (span, item.into_bytes())
        });
        let cuts = self.cuts.iter().map(|cut| (cut.clone(), Vec::new()));
        let mut edits: Vec<_> = cuts.chain(chosen).collect();
        edits.sort_by_key(|(span, _)| span.start);
        item::splice(text, &edits)
    }
}

/// The property of ours that has this name.
fn ours(name: &[u8]) -> Option<&'static str> {
    [AUTOCREATE, POOL]
        .into_iter()
        .find(|property| property.as_bytes() == name)
}

/// The model of a driver to which QEMU gives mediated devices.
fn model_of(driver: &[u8]) -> Option<Model> {
    match driver {
        b"vfio-pci" | b"vfio-pci-nohotplug" => Some(Model::VfioPci),
        b"vfio-ccw" => Some(Model::VfioCcw),
        b"vfio-ap" => Some(Model::VfioAp),
        _ => None,
    }
}
