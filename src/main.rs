//! Parses the command line, runs it, turns an error into an exit code.

use std::process::ExitCode;

use clap::Parser;
use everlog::cli::{self, CommandLine};

fn main() -> ExitCode {
    cli::run(CommandLine::parse())
}
