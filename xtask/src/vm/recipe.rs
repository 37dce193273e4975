//! What an image is made of, and the hash of it under which the image is cached.

use super::generation::Generation;

/// To be raised when an image changes by code that is not hashed (`build.rs`, say).
const VERSION: &str = "2";

/// What builds the sample drivers. The metapackages follow the generation's kernel.
pub(crate) const BUILDER_PACKAGES: [&str; 4] = ["linux-headers-amd64", "linux-source", "make", "xz-utils"];

/// What a host has.
pub(crate) const HOST_PACKAGES: [&str; 26] = [
    "linux-image-amd64",
    "systemd-sysv",
    "login",
    "udev",
    "dbus",
    "kmod",
    "apparmor",
    "libvirt-daemon-system",
    "libvirt-clients",
    "qemu-system-x86",
    "mdevctl",
    "strace",
    "libxml2-utils",
    "python3",
    "busybox-static",
    "procps",
    "psmisc",
    "iproute2",
    "less",
    "jq",
    "xz-utils",
    "openssh-client",
    "openssh-server",
    "ansible-core",
    "python3-apt",
    "qemu-utils",
];

/// Files of packages that no host needs: most of a kernel's drivers, for example. Patterns of dpkg's `path-exclude`.
/// Of the network's drivers `virtio_net` stays, which needs `net_failover`.
pub(crate) const LEFT_OUT: [&str; 25] = [
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "*/lib/modules/*/kernel/sound/*",
    "*/lib/modules/*/kernel/drivers/ata/*",
    "*/lib/modules/*/kernel/drivers/gpu/drm/amd/*",
    "*/lib/modules/*/kernel/drivers/gpu/drm/i915/*",
    "*/lib/modules/*/kernel/drivers/gpu/drm/nouveau/*",
    "*/lib/modules/*/kernel/drivers/gpu/drm/radeon/*",
    "*/lib/modules/*/kernel/drivers/gpu/drm/xe/*",
    "*/lib/modules/*/kernel/drivers/hid/*",
    "*/lib/modules/*/kernel/drivers/hwmon/*",
    "*/lib/modules/*/kernel/drivers/iio/*",
    "*/lib/modules/*/kernel/drivers/infiniband/*",
    "*/lib/modules/*/kernel/drivers/input/*",
    "*/lib/modules/*/kernel/drivers/isdn/*",
    "*/lib/modules/*/kernel/drivers/media/*",
    "*/lib/modules/*/kernel/drivers/mtd/*",
    "*/lib/modules/*/kernel/drivers/net/[!nv]*",
    "*/lib/modules/*/kernel/drivers/scsi/*",
    "*/lib/modules/*/kernel/drivers/staging/*",
    "*/lib/modules/*/kernel/drivers/usb/*",
    "*/lib/modules/*/kernel/net/bluetooth/*",
    "*/lib/modules/*/kernel/net/mac80211/*",
    "*/lib/modules/*/kernel/net/wireless/*",
];

/// A script that runs outside, on a builder's root.
pub(crate) const BUILD_MODULES: &str = include_str!("guest/build-modules.sh");

/// A script that runs outside, on a host's root.
pub(crate) const SETUP_ROOT: &str = include_str!("guest/setup-root.sh");

/// A script that runs outside: makes the image of a host's root.
pub(crate) const MAKE_FILE_SYSTEM: &str = include_str!("guest/make-file-system.sh");

/// The files that `SETUP_ROOT` finds in the root's `/setup`.
pub(crate) const SETUP_FILES: [(&str, &str); 6] = [
    (
        "automdev-vm-payload.service",
        include_str!("guest/automdev-vm-payload.service"),
    ),
    (
        "automdev-vm-run.service",
        include_str!("guest/automdev-vm-run.service"),
    ),
    ("initramfs-init.sh", include_str!("guest/initramfs-init.sh")),
    ("install-payload.sh", include_str!("guest/install-payload.sh")),
    ("profile.sh", include_str!("guest/profile.sh")),
    ("run-command.sh", include_str!("guest/run-command.sh")),
];

/// What a new host does once.
pub(crate) const WARM_UP: &str = include_str!("guest/warm-up.sh");

/// The name of `generation`'s image: another recipe has another name.
pub(crate) fn image_name(generation: Generation) -> String {
    let mut parts = vec![
        VERSION,
        generation.codename(),
        BUILD_MODULES,
        SETUP_ROOT,
        MAKE_FILE_SYSTEM,
        WARM_UP,
    ];
    parts.extend(BUILDER_PACKAGES);
    parts.extend(HOST_PACKAGES);
    parts.extend(LEFT_OUT);
    parts.extend(SETUP_FILES.iter().flat_map(|(name, text)| [*name, *text]));
    format!("{generation}-{}", hash(&parts))
}

/// Sixteen hexadecimal digits, FNV-1a's of 64 bits; where one part ends and the next begins matters.
fn hash(parts: &[&str]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.len().to_le_bytes().iter().chain(part.as_bytes()) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_tells_parts_apart() {
        let all = [
            hash(&["ab", "c"]),
            hash(&["a", "bc"]),
            hash(&["abc"]),
            hash(&["abc", ""]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert_eq!(one.len(), 16);
            assert!(!all[at + 1..].contains(one), "{all:?}");
        }
    }

    #[test]
    fn an_image_is_named_after_its_generation_and_recipe() {
        let [old, new] = Generation::ALL.map(image_name);
        assert!(old.starts_with("bookworm-") && new.starts_with("trixie-"));
        assert_ne!(
            old.split_once('-').expect("a dash").1,
            new.split_once('-').expect("a dash").1
        );
    }
}
