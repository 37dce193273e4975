//! automdev creates VFIO mediated devices (mdevs) right before a virtual machine starts and removes them
//! when it has stopped.
//!
//! Four floors, each of which knows only those below it: the program (`main`), the fronts ([`cmd`]), what
//! touches the machine ([`host`]) and what is decided without touching anything ([`model`]).

pub mod cmd;
pub mod host;
pub mod model;
