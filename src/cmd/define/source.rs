//! What says what is to be defined: the command line, or a file in one of two forms.

use std::path::Path;

use anyhow::anyhow;

use crate::cmd::Status;
use crate::cmd::input::Input;
use crate::model::definition::{Definition, Document, Start};
use crate::model::names::{MdevUuid, NameError, ParentName};
use crate::model::nodedev::{self, KnownParent, NamedParent, NodeDevice};

/// What is to be defined, as far as its source says.
pub(super) struct Source {
    pub(super) document: Document,
    /// The same as somebody else can read it.
    pub(super) text: String,
    pub(super) uuid: Option<MdevUuid>,
    parent: Option<NamedParent>,
}

impl Source {
    pub(super) fn new(definition: Definition) -> Self {
        let document = Document::new(definition);
        Source {
            text: document.render(),
            document,
            uuid: None,
            parent: None,
        }
    }

    /// Reads libvirt's XML or mdevctl's JSON, or ends with a status where what is wrong has been told.
    pub(super) fn read(file: &Path) -> anyhow::Result<Result<Self, Status>> {
        let input = match Input::read(Some(file)) {
            Ok(input) => input,
            Err(error) => return Ok(Err(error.report())),
        };
        let text = input.text.trim_start_matches('\u{feff}');
        let read = if text.trim().is_empty() {
            Err(anyhow!("there is nothing in it"))
        } else if text.trim_start().starts_with('<') {
            Source::of_xml(text.trim_start())
        } else {
            Source::of_json(text)
        };
        read.map(Ok).map_err(|error| error.context(input.name))
    }

    fn of_xml(text: &str) -> anyhow::Result<Self> {
        let device = NodeDevice::parse(text)?;
        let definition = Definition {
            mdev_type: device.mdev_type,
            start: Start::Manual,
            attributes: device.attributes,
        };
        Ok(Source {
            text: text.to_owned(),
            uuid: device.uuid,
            parent: device.parent,
            ..Source::new(definition)
        })
    }

    fn of_json(text: &str) -> anyhow::Result<Self> {
        if !text.trim_start().starts_with('{') {
            return Err(anyhow!(
                "it is neither libvirt's XML of a node device nor mdevctl's JSON of one device"
            ));
        }
        let document = Document::parse(text.as_bytes())?;
        Ok(Source {
            text: text.to_owned(),
            uuid: document.uuid(),
            document: document.without_uuid(),
            parent: None,
        })
    }

    pub(super) fn names_parent(&self) -> bool {
        self.parent.is_some()
    }

    /// The parent that the source names.
    pub(super) fn parent(&self, known: &[KnownParent]) -> Result<Option<ParentName>, NameError> {
        match &self.parent {
            Some(NamedParent::Kernel(name)) => Ok(Some(name.clone())),
            Some(NamedParent::Libvirt(name)) => nodedev::kernel_name(name, known).map(Some),
            None => Ok(None),
        }
    }
}
