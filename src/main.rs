//! The `automdev` program: chooses the front, prints the one error, picks the exit status.

use std::process::ExitCode;

use automdev::cmd::Status;
use automdev::cmd::cli::Cli;
use clap::Parser;

fn main() -> ExitCode {
    let status = match Cli::try_parse() {
        Ok(cli) => cli.run().unwrap_or_else(|error| {
            eprintln!("automdev: {error:#}");
            Status::Failed
        }),
        Err(error) => {
            let status = if error.use_stderr() {
                Status::Usage
            } else {
                Status::Done
            };
            // Nobody is there to be told that printing failed.
            drop(error.print());
            status
        }
    };
    ExitCode::from(status.code())
}
