//! Whatever the bytes, a definition is read or refused in words; what is read is written and read again as the same, in
//! mdevctl's form and in libvirt's.

use automdev::model::definition::{Definition, Document};
use automdev::model::names::{MdevUuid, ParentName, is_unprintable};
use automdev::model::nodedev::{self, NodeDevice};

pub(crate) fn check(bytes: &[u8]) {
    let read = Definition::parse(bytes);
    let document = Document::parse(bytes);
    let definition = match read {
        Ok(definition) => definition,
        Err(error) => {
            let error = error.to_string();
            assert!(!error.contains(is_unprintable), "{error:?}");
            assert!(document.is_err(), "what cannot be used cannot be changed either");
            return;
        }
    };
    for attribute in &definition.attributes {
        let parts = attribute.path.as_str().split('/');
        assert!(parts.into_iter().all(|part| !matches!(part, "" | "." | "..")));
    }
    // Who only uses it reads past what belongs to others, be that no text or too large a number.
    let Ok(document) = document else { return };
    let text = document.render();
    let again = Document::parse(text.as_bytes()).expect("what is written can be read");
    assert_eq!(again.render(), text);
    assert_eq!(Definition::parse(text.as_bytes()).ok(), Some(definition.clone()));
    let uuid: MdevUuid = "c2177883-f1bb-47f0-914d-32a22e3a8804".parse().expect("a UUID");
    let parent: ParentName = "mtty".parse().expect("a name");
    let xml = nodedev::render(uuid, &parent, "mtty", &definition);
    // Some characters have no place in XML, whatever the form.
    if let Ok(device) = NodeDevice::parse(&xml) {
        assert_eq!(device.uuid, Some(uuid));
        assert_eq!(device.mdev_type, definition.mdev_type);
        assert_eq!(device.attributes, definition.attributes, "{xml}");
    }
}
