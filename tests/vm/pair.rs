//! Two hosts on one network, `near` and `far`: domains that move between them, and commands that ask both. These tests run in
//! `near` and log in to `far`; where there is no `far`, they fail.

mod fails;
mod hosts;
mod moves;
mod playbook;
mod side;
