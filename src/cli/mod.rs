//! The commands of the binary.

mod backup;
mod bench;
mod check;
mod client;
mod export;
mod health;
mod import;
mod key;
mod line;
mod migrate;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    config::{ServeSettings, StoreSettings, Unsafe},
    http, worker,
};

/// The event store you can use with curl.
#[derive(Debug, Parser)]
#[command(name = "everlog", version, about, max_term_width = 100)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a store over HTTP
    Serve(Box<ServeSettings>),
    /// Bring a store's schema up to date, and do nothing else
    Migrate(StoreSettings),
    /// Read a whole store and verify it: no holes, positions, ids, counts
    Check(StoreSettings),
    /// Copy a SQLite store as of one moment, also while it is served
    Backup(backup::Settings),
    /// Publish the events of a file (NDJSON, also gzipped) through a running server
    Import(import::Settings),
    /// Write the events of a running server to a file or to standard output, one a line
    Export(export::Settings),
    /// Measure a running server (on plain http://) with clients of our own
    #[command(subcommand)]
    Bench(Box<bench::Settings>),
    /// Make, list and revoke the keys of a store
    #[command(subcommand)]
    Key(Box<key::Command>),
    /// Ask a running server whether it is ready
    Health(client::Server),
    /// Print the OpenAPI document
    Openapi {
        /// All of it, what generators make clients of, or that as OpenAPI 3.0
        #[arg(long, value_enum, default_value = "full", value_name = "EDITION")]
        edition: Edition,
    },
    /// Run the code of projectors, for a server that starts it
    #[command(hide = true)]
    ProjectorWorker,
}

/// An OpenAPI document.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Edition {
    Full,
    Sdk,
    #[value(name = "sdk-3.0")]
    Sdk30,
}

/// Something is wrong with the settings (sysexits.h): to start again will not help.
const EX_CONFIG: u8 = 78;

/// Whether an argument is the URL of a database with a password in it.
#[must_use]
pub fn has_password(argument: &str) -> bool {
    let rest = argument.split_once("postgres://").or_else(|| argument.split_once("postgresql://"));
    let authority = rest.and_then(|(_, rest)| rest.split(['/', '?']).next());
    let user = authority.and_then(|authority| authority.rsplit_once('@'));
    user.is_some_and(|(user, _)| user.contains(':')) || argument.contains("password=")
}

/// Whoever lists the processes of a machine sees their arguments.
#[must_use]
pub fn refuse_password() -> ExitCode {
    line::tell(
        "everlog: a password stands in an argument, which every user of this machine can see: set EVERLOG_STORE to the URL, \
         or PGPASSWORD to the password, or keep it in ~/.pgpass",
    );
    ExitCode::from(EX_CONFIG)
}

/// Runs a command to its end.
#[must_use]
pub fn run(line: CommandLine) -> ExitCode {
    // It has no use for a runtime.
    if matches!(line.command, Command::ProjectorWorker) {
        return worker::work();
    }
    // A load on one thread leaves the other cores to the server that is measured.
    let mut builder = match &line.command {
        Command::Bench(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let done = runtime.block_on(async {
        match line.command {
            Command::Serve(settings) => serve::serve(*settings).await,
            Command::Migrate(settings) => migrate::migrate(&settings).await,
            Command::Check(settings) => check::check(&settings).await,
            Command::Backup(settings) => backup::backup(settings).await,
            Command::Import(settings) => import::import(&settings).await,
            Command::Export(settings) => export::export(&settings).await,
            Command::Bench(settings) => bench::bench(&settings).await,
            Command::Key(command) => key::key(*command).await,
            Command::Health(server) => health::health(&server).await,
            Command::Openapi { edition } => {
                let edition = match edition {
                    Edition::Full => http::Edition::Full,
                    Edition::Sdk => http::Edition::Sdk,
                    Edition::Sdk30 => http::Edition::Sdk30,
                };
                line::print(http::document(edition).trim_end())
            }
            Command::ProjectorWorker => Ok(()),
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    line::tell(&format!("everlog: {error:#}"));
    if error.is::<Unsafe>() { ExitCode::from(EX_CONFIG) } else { ExitCode::FAILURE }
}
