//! Why a command line is not one to start QEMU with.

use crate::model::names::{MdevUuid, NameError, Shown};

/// A `-device` that is wrong by what automdev adds to QEMU's properties, or by its device. Displays as one
/// line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("QEMU's argument {number}, {text}: {problem}", text = Shown(text))]
pub struct Refused {
    /// Which of QEMU's arguments; the first after the program is 1.
    pub number: usize,
    /// The argument itself; what is not UTF-8 is replaced.
    pub text: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a `-device`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The value of `autocreate`.
    #[error("autocreate is \"on\" or \"off\", not {value}", value = Shown(value))]
    Autocreate {
        /// What it is.
        value: String,
    },
    /// The value of `pool`.
    #[error(transparent)]
    Pool(#[from] NameError),
    /// `pool` without a name.
    #[error("pool needs the name of a pool: pool=NAME")]
    NoPool,
    /// `pool` where QEMU is told the device too.
    #[error("it has both pool and {property}: leave one of them out")]
    TwoSources {
        /// The other property.
        property: &'static str,
    },
    /// `pool` with `autocreate=off`.
    #[error("it has both pool and autocreate=off, and a device of a pool is always automdev's to create")]
    PoolOff,
    /// `autocreate=on` where there is neither `sysfsdev` nor `pool`.
    #[error("autocreate=on needs sysfsdev=/sys/bus/mdev/devices/UUID or pool=NAME beside it")]
    NoSource,
    /// A property of ours on a device that is none of VFIO's.
    #[error(
        "{property} is for the drivers vfio-pci, vfio-pci-nohotplug, vfio-ccw and vfio-ap, not for {driver}",
        driver = Shown(driver)
    )]
    Driver {
        /// The property.
        property: &'static str,
        /// The driver.
        driver: String,
    },
    /// Without what is ours QEMU would read the rest otherwise: a bare property would be the driver, or an
    /// empty one would double a comma.
    #[error(
        "write the driver first and no empty properties: without automdev's own QEMU would misread the rest"
    )]
    Entangled,
    /// A property of ours in a `-set`.
    #[error("{property} is understood in -device only: write it there")]
    InSet {
        /// The property.
        property: &'static str,
    },
    /// The path has a UUID that is not in the kernel's form.
    #[error("the kernel calls this device {uuid}: write it so")]
    Spelling {
        /// The device.
        uuid: MdevUuid,
    },
    /// Two `-device` are one mediated device.
    #[error("the mdev {uuid} is given by argument {first} already")]
    Twice {
        /// The device.
        uuid: MdevUuid,
        /// Which of QEMU's arguments gave it first.
        first: usize,
    },
}
