//! The two names of a parent: the kernel's, by which mdevctl's store goes, and libvirt's, which begins with
//! what kind of device it is and has an underscore for whatever is no letter or digit
//! (`udevGenerateDeviceName` of libvirt's `node_device_udev.c`).

use crate::model::names::{NameError, ParentName};

/// A parent that a host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownParent {
    /// The kernel's name.
    pub name: ParentName,
    /// What kind of device it is, as sysfs says: the last part of its `subsystem` link.
    pub subsystem: Option<String>,
}

/// The kernel's name of the parent that somebody names so: by its own name, by libvirt's, or by a PCI address
/// without its domain. What is none of the host's, and looks like neither of the latter two, is taken as it is.
///
/// # Errors
/// No parent can have such a name.
pub fn kernel_name(text: &str, known: &[KnownParent]) -> Result<ParentName, NameError> {
    if let Some(parent) = known.iter().find(|parent| parent.name.as_str() == text) {
        return Ok(parent.name.clone());
    }
    let is_meant = |parent: &&KnownParent| libvirt_name(&parent.name, parent.subsystem.as_deref()) == text;
    if let Some(parent) = known.iter().find(is_meant) {
        return Ok(parent.name.clone());
    }
    let parts: Vec<&str> = text.split('_').collect();
    let name = match parts.as_slice() {
        ["pci", domain, bus, device, function] => pci(domain, bus, device, function),
        ["css", system, set, channel] => subchannel(system, set, channel),
        ["ap", "matrix"] => Some(MATRIX.to_owned()),
        _ => pci_address(text),
    };
    name.as_deref().unwrap_or(text).parse()
}

/// libvirt's name of a parent of that subsystem; where nothing tells that, as good a guess as any.
#[must_use]
pub fn libvirt_name(parent: &ParentName, subsystem: Option<&str>) -> String {
    let name = parent.as_str();
    let kind = if name == MATRIX {
        Some("ap")
    } else if pci_address(name).is_some_and(|address| address == name) {
        Some("pci")
    } else if is_subchannel(name) {
        Some("css")
    } else {
        subsystem
    };
    let whole = kind.map_or_else(|| name.to_owned(), |kind| format!("{kind}_{name}"));
    whole.replace(|character: char| !character.is_ascii_alphanumeric(), "_")
}

/// The one device of an s390's crypto adapters.
const MATRIX: &str = "matrix";

/// A PCI address, with or without a domain, as the kernel writes it: `%04x:%02x:%02x.%d`.
fn pci_address(text: &str) -> Option<String> {
    let (rest, function) = text.split_once('.')?;
    let parts: Vec<&str> = rest.split(':').collect();
    match parts.as_slice() {
        [bus, device] => pci("0000", bus, device, function),
        [domain, bus, device] => pci(domain, bus, device, function),
        _ => None,
    }
}

fn pci(domain: &str, bus: &str, device: &str, function: &str) -> Option<String> {
    let is_good = (4..=8).contains(&domain.len())
        && bus.len() == 2
        && device.len() == 2
        && matches!(function.as_bytes(), [b'0'..=b'7'])
        && [domain, bus, device].iter().all(|part| is_hex(part));
    is_good.then(|| format!("{domain}:{bus}:{device}.{function}").to_ascii_lowercase())
}

/// A subchannel of an s390, as the kernel writes it: `0.%x.%04x`.
fn subchannel(system: &str, set: &str, channel: &str) -> Option<String> {
    let name = format!("{system}.{set}.{channel}").to_ascii_lowercase();
    is_subchannel(&name).then_some(name)
}

fn is_subchannel(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let [system, set, channel] = parts.as_slice() else {
        return false;
    };
    system.len() <= 2 && set.len() == 1 && channel.len() == 4 && parts.iter().all(|part| is_hex(part))
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str, subsystem: &str) -> KnownParent {
        KnownParent {
            name: name.parse().expect(name),
            subsystem: Some(subsystem.to_owned()),
        }
    }

    #[test]
    fn a_parent_is_known_by_each_of_its_names() {
        for (text, kernel, libvirt) in [
            ("0000:41:00.0", "0000:41:00.0", "pci_0000_41_00_0"),
            ("41:00.0", "0000:41:00.0", "pci_0000_41_00_0"),
            ("C1:00.7", "0000:c1:00.7", "pci_0000_c1_00_7"),
            ("pci_0000_41_00_0", "0000:41:00.0", "pci_0000_41_00_0"),
            ("10000:e1:00.0", "10000:e1:00.0", "pci_10000_e1_00_0"),
            ("pci_10000_e1_00_0", "10000:e1:00.0", "pci_10000_e1_00_0"),
            ("0.0.0052", "0.0.0052", "css_0_0_0052"),
            ("css_0_0_0052", "0.0.0052", "css_0_0_0052"),
            ("css_0_1_00AB", "0.1.00ab", "css_0_1_00ab"),
            ("ap_matrix", "matrix", "ap_matrix"),
            ("matrix", "matrix", "ap_matrix"),
            ("mtty", "mtty", "mtty"),
            // Not quite libvirt's, so somebody's own.
            ("pci_0000_41_00_8", "pci_0000_41_00_8", "pci_0000_41_00_8"),
            ("pci_0000_41_00", "pci_0000_41_00", "pci_0000_41_00"),
            ("css_0_0_52", "css_0_0_52", "css_0_0_52"),
            ("41:00", "41:00", "41_00"),
            ("0000:41:00.10", "0000:41:00.10", "0000_41_00_10"),
            ("4g:00.0", "4g:00.0", "4g_00_0"),
        ] {
            let name = kernel_name(text, &[]).expect(text);
            assert_eq!(name.as_str(), kernel, "{text}");
            assert_eq!(libvirt_name(&name, None), libvirt, "{text}");
        }
    }

    #[test]
    fn what_the_host_has_is_meant_before_anything_else() {
        let known = [
            known("mtty", "mtty"),
            known("pci_0000_41_00_0", "odd"),
            known("0000:42:00.0", "pci"),
            known("a.b-c", "platform"),
        ];
        for (text, kernel) in [
            ("mtty_mtty", "mtty"),
            ("mtty", "mtty"),
            ("pci_0000_41_00_0", "pci_0000_41_00_0"),
            ("pci_0000_42_00_0", "0000:42:00.0"),
            ("platform_a_b_c", "a.b-c"),
            ("mdpy_mdpy", "mdpy_mdpy"),
        ] {
            assert_eq!(kernel_name(text, &known).expect(text).as_str(), kernel, "{text}");
        }
    }

    #[test]
    fn what_no_parent_can_be_called_is_refused() {
        for text in ["", ".", "..", "a/b", "pci_0000_41_00_0/..", "\u{1b}"] {
            assert!(kernel_name(text, &[]).is_err(), "{text:?}");
        }
    }
}
