//! Whatever the text, libvirt's XML of a node device is read or refused, and names that are read are names.

use automdev::model::nodedev::{self, NodeDevice};

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match NodeDevice::parse(text) {
        Ok(device) => {
            assert!(!device.mdev_type.as_str().contains('/'));
            for attribute in device.attributes {
                assert!(!attribute.value.contains('\0'));
                let mut parts = attribute.path.as_str().split('/');
                assert!(parts.all(|part| !matches!(part, "" | "." | "..")));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(name) = nodedev::kernel_name(text, &[]) {
        assert!(!name.as_str().contains('/') && !matches!(name.as_str(), "" | "." | ".."));
    }
}
