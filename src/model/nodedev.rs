//! libvirt's node devices: their XML (libvirt's `docs/formatnode.rst`) and their names for parents.

use std::fmt::{self, Write as _};

use serde::Deserialize;

use super::definition::{Attribute, Definition};
use super::names::{MdevUuid, NameError, ParentName, TypeName};

mod name;

pub use name::{KnownParent, kernel_name, libvirt_name};

/// What libvirt's XML says about a mediated device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDevice {
    /// Where it is, or is to be: the kernel's name, or libvirt's.
    pub parent: Option<NamedParent>,
    /// Which it is; one that is yet to be made may have none.
    pub uuid: Option<MdevUuid>,
    /// What it is.
    pub mdev_type: TypeName,
    /// What is written into it.
    pub attributes: Vec<Attribute>,
}

/// How libvirt's XML names a parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedParent {
    /// `<parent_addr>`: by the kernel's name.
    Kernel(ParentName),
    /// `<parent>`: by libvirt's.
    Libvirt(String),
}

/// Why a text is not the XML of a mediated device.
#[derive(Debug, thiserror::Error)]
pub enum NodeDeviceError {
    /// It is no XML, or its elements are not a node device's.
    #[error("it is not the XML of a node device: {0}")]
    Xml(String),
    /// It is another device.
    #[error("it is a device with {found}; only those with <capability type='mdev'> can be defined")]
    NotMdev {
        /// What it has instead.
        found: String,
    },
    /// It does not say what to make.
    #[error("its <capability> has no <type id='…'/>")]
    NoType,
    /// A name in it is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A value cannot be written.
    #[error("the value of {0} has a NUL character in it")]
    Nul(String),
}

#[derive(Deserialize)]
struct DeviceXml {
    parent: Option<String>,
    #[serde(default)]
    capability: Vec<CapabilityXml>,
}

#[derive(Deserialize)]
struct CapabilityXml {
    #[serde(rename = "@type", default)]
    kind: String,
    #[serde(rename = "type")]
    mdev_type: Option<TypeXml>,
    uuid: Option<String>,
    parent_addr: Option<String>,
    #[serde(rename = "attr", default)]
    attributes: Vec<AttributeXml>,
}

#[derive(Deserialize)]
struct TypeXml {
    #[serde(rename = "@id")]
    id: String,
}

#[derive(Deserialize)]
struct AttributeXml {
    #[serde(rename = "@name")]
    name: String,
    #[serde(rename = "@value", default)]
    value: String,
}

impl NodeDevice {
    /// Reads libvirt's XML, as `virsh nodedev-dumpxml` prints it and `virsh nodedev-define` takes it.
    ///
    /// # Errors
    /// See [`NodeDeviceError`].
    pub fn parse(text: &str) -> Result<Self, NodeDeviceError> {
        let device: DeviceXml =
            quick_xml::de::from_str(text).map_err(|error| NodeDeviceError::Xml(error.to_string()))?;
        let kinds: Vec<String> = device
            .capability
            .iter()
            .map(|one| format!("<capability type='{}'>", one.kind))
            .collect();
        let capability = device.capability.into_iter().find(|one| one.kind == "mdev");
        let capability = capability.ok_or_else(|| NodeDeviceError::NotMdev {
            found: if kinds.is_empty() {
                "no <capability>".to_owned()
            } else {
                kinds.join(", ")
            },
        })?;
        let parent = match (capability.parent_addr, device.parent) {
            (Some(address), _) => Some(NamedParent::Kernel(address.trim().parse()?)),
            // What libvirt has no device for hangs below the computer as a whole.
            (None, Some(name)) if name.trim() == COMPUTER => None,
            (None, Some(name)) => Some(NamedParent::Libvirt(name.trim().to_owned())),
            (None, None) => None,
        };
        let attributes = capability
            .attributes
            .into_iter()
            .map(|AttributeXml { name, value }| {
                if value.contains('\0') {
                    return Err(NodeDeviceError::Nul(name));
                }
                let path = name.parse()?;
                Ok(Attribute { path, value })
            });
        Ok(NodeDevice {
            parent,
            uuid: capability.uuid.map(|uuid| uuid.parse()).transpose()?,
            mdev_type: capability.mdev_type.ok_or(NodeDeviceError::NoType)?.id.parse()?,
            attributes: attributes.collect::<Result<_, _>>()?,
        })
    }
}

/// libvirt's XML of a device that is defined under a parent, which libvirt calls `libvirt_parent`.
#[must_use]
pub fn render(uuid: MdevUuid, parent: &ParentName, libvirt_parent: &str, definition: &Definition) -> String {
    let mut text = format!(
        "<device>\n  <parent>{}</parent>\n  <capability type='mdev'>\n    <type id='{}'/>\n    <uuid>{uuid}</uuid>\n    \
         <parent_addr>{}</parent_addr>\n",
        Escaped(libvirt_parent),
        Escaped(definition.mdev_type.as_str()),
        Escaped(parent.as_str())
    );
    for Attribute { path, value } in &definition.attributes {
        let (name, value) = (Escaped(path.as_str()), Escaped(value));
        writeln!(text, "    <attr name='{name}' value='{value}'/>").expect("a String takes it");
    }
    text.push_str("  </capability>\n</device>\n");
    text
}

/// Displays a text as it stands in an element or in an attribute between single quotes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '\'' => f.write_str("&apos;")?,
                // As they are, a reader takes them for spaces.
                '\t' | '\n' | '\r' => write!(f, "&#{};", u32::from(character))?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// libvirt's name of what all devices hang below.
const COMPUTER: &str = "computer";

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";

    fn device(parent: NamedParent, mdev_type: &str, attributes: &[&str]) -> NodeDevice {
        NodeDevice {
            parent: Some(parent),
            uuid: Some(UUID.parse().expect(UUID)),
            mdev_type: mdev_type.parse().expect(mdev_type),
            attributes: attributes.iter().map(|text| text.parse().expect(text)).collect(),
        }
    }

    fn kernel(name: &str) -> NamedParent {
        NamedParent::Kernel(name.parse().expect(name))
    }

    #[test]
    fn what_libvirt_prints_is_read() {
        let text = format!(
            "<device>\n  <name>mdev_c2177883_0000_41_00_0</name>\n  <path>/sys/devices/x</path>\n  \
             <parent>pci_0000_41_00_0</parent>\n  <driver>\n    <name>vfio_mdev</name>\n  </driver>\n  \
             <capability type='mdev'>\n    <type id='nvidia-63'/>\n    <uuid>{UUID}</uuid>\n    \
             <parent_addr>0000:41:00.0</parent_addr>\n    <iommuGroup number='3'/>\n    \
             <attr name='a' value='1'/>\n    <attr name='a' value='x y&#10;'/>\n  </capability>\n</device>\n"
        );
        let attributes = ["a=1", "a=x y\n"];
        let expected = device(kernel("0000:41:00.0"), "nvidia-63", &attributes);
        assert_eq!(NodeDevice::parse(&text).expect("good"), expected);
        let without_address = text.replace("<parent_addr>0000:41:00.0</parent_addr>", "");
        let by_name = NamedParent::Libvirt("pci_0000_41_00_0".to_owned());
        let expected = device(by_name, "nvidia-63", &attributes);
        assert_eq!(NodeDevice::parse(&without_address).expect("good"), expected);
    }

    #[test]
    fn little_is_needed() {
        let text = "<?xml version='1.0'?><!-- x --><device><capability type='mdev'><attr value='1' name='b'/>\
                    <type id='x'/><attr name='a' value='&lt;&#9;'/></capability><parent>computer</parent></device>";
        let device = NodeDevice::parse(text).expect("good");
        assert_eq!((device.parent, device.uuid), (None, None));
        let attributes: Vec<_> = device
            .attributes
            .iter()
            .map(|a| (a.path.as_str(), a.value.as_str()))
            .collect();
        assert_eq!(attributes, [("b", "1"), ("a", "<\t")]);
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for (parent, mdev_type, attributes) in [
            (
                "0000:41:00.0",
                "nvidia-63",
                &["nvidia/vgpu_params=a=1, b=\"2\"\n"][..],
            ),
            (
                "matrix",
                "vfio_ap-passthrough",
                &["assign_adapter=5", "assign_adapter=6"],
            ),
            ("0.0.0052", "vfio_ccw-io", &[]),
            ("<&'\">", "mtty-2", &["a=&<>'\"\t\r\nä ", "b= "]),
        ] {
            let device = device(kernel(parent), mdev_type, attributes);
            let definition = Definition {
                mdev_type: device.mdev_type.clone(),
                start: crate::model::definition::Start::Manual,
                attributes: device.attributes.clone(),
            };
            let text = render(
                UUID.parse().expect(UUID),
                &parent.parse().expect(parent),
                "<&'\">",
                &definition,
            );
            assert_eq!(NodeDevice::parse(&text).expect(&text), device, "{text}");
            roxmltree::Document::parse(&text).expect(&text);
        }
    }

    #[test]
    fn its_form_is_libvirts() {
        let definition = Definition::parse(
            br#"{"mdev_type":"vfio_ap-passthrough","attrs":[{"assign_adapter":"5"},{"a":"1\n"}]}"#,
        );
        let parent = "matrix".parse().expect("a name");
        assert_eq!(
            render(
                UUID.parse().expect(UUID),
                &parent,
                &libvirt_name(&parent, None),
                &definition.expect("good")
            ),
            format!(
                "<device>\n  <parent>ap_matrix</parent>\n  <capability type='mdev'>\n    \
                 <type id='vfio_ap-passthrough'/>\n    <uuid>{UUID}</uuid>\n    \
                 <parent_addr>matrix</parent_addr>\n    <attr name='assign_adapter' value='5'/>\n    \
                 <attr name='a' value='1&#10;'/>\n  </capability>\n</device>\n"
            )
        );
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for (text, message) in [
            ("", "not the XML of a node device"),
            ("<device>", "not the XML of a node device"),
            ("<device/>", "a device with no <capability>"),
            (
                "<device><capability type='pci'/><capability type='net'/></device>",
                "a device with <capability type='pci'>, <capability type='net'>;",
            ),
            ("<device><capability type='mdev'/></device>", "no <type id"),
            (
                "<device><capability type='mdev'><type/></capability></device>",
                "id",
            ),
            (
                "<device><capability type='mdev'><type id='..'/></capability></device>",
                "another folder",
            ),
            (
                "<device><capability type='mdev'><type id='x'/><uuid>1</uuid></capability></device>",
                "not a UUID",
            ),
            (
                "<device><capability type='mdev'><type id='x'/><parent_addr>a/b</parent_addr></capability></device>",
                "slash",
            ),
            (
                "<device><capability type='mdev'><type id='x'/><attr name='../a' value=''/></capability></device>",
                "another folder",
            ),
            (
                "<!DOCTYPE d [<!ENTITY e 'x'>]><device><capability type='mdev'><type id='&e;'/></capability></device>",
                "not the XML",
            ),
        ] {
            let error = NodeDevice::parse(text).expect_err(text).to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
