//! The `automdev` program.

fn main() {}
