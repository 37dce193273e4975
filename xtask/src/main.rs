//! The project's chores.

mod bench;
mod demo;
mod dist;
mod outcome;
mod test;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The project's chores"
)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Show the main job for real: a domain whose device exists only while it runs, and a refusal
    Demo,
    /// Run every test: format, lints, unit and scenario tests, the demonstration, tests on real hosts
    Test(test::Arguments),
    /// Make the packages: .deb, .rpm and an archive
    Dist(dist::Arguments),
    /// Measure what automdev costs, beside what it is compared with
    Bench(bench::Arguments),
    /// What it does in a host
    #[command(hide = true)]
    BenchInside(bench::Inside),
    /// Disposable Debian hosts with real libvirt, QEMU, mdevctl and sample mdev drivers
    Vm(vm::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.chore {
        Chore::Demo => demo::main(),
        Chore::Test(arguments) => test::main(&arguments),
        Chore::Dist(arguments) => dist::main(&arguments),
        Chore::Bench(arguments) => bench::main(&arguments),
        Chore::BenchInside(arguments) => bench::inside(&arguments),
        Chore::Vm(arguments) => vm::main(arguments),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
