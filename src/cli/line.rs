//! Lines for people: results on standard output, the rest on standard error.

use std::io::Write;

/// Writes a line of the result. A reader that has gone away ends the command quietly.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    heard(writeln!(std::io::stdout().lock(), "{text}"))?;
    Ok(())
}

/// Whether somebody still reads what was written. That nobody does (`| head`) is no failure.
pub(super) fn heard(written: std::io::Result<()>) -> std::io::Result<bool> {
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// Writes a line about the work, if anybody listens: it goes on either way.
pub(super) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
