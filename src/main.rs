//! Parses the command line, runs it, turns an error into an exit code.

use std::process::ExitCode;

use clap::Parser;
use everlog::cli::{self, CommandLine};

fn main() -> ExitCode {
    if std::env::args().any(|argument| cli::has_password(&argument)) {
        return cli::refuse_password();
    }
    cli::run(CommandLine::parse())
}
