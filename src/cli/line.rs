//! Lines for people: results on standard output, the rest on standard error.

use std::io::Write;

/// Writes a line of the result. A reader that has gone away ends the command quietly.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Writes a line about the work.
pub(super) fn complain(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stderr().lock(), "{text}")?)
}
