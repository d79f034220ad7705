//! The release binary: as a server on a free port, and as the clients that measure it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, ensure};
use serde_json::Value;

/// A server in a process of its own. Stopped in good order when it is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub url: String,
}

/// The binary, without the settings of whoever runs this.
fn everlog() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everlog"));
    let settings = std::env::vars().map(|(name, _)| name).filter(|n| n.starts_with("EVERLOG_"));
    settings.for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// Makes a store's schema.
pub(crate) fn migrate(store: &str) -> anyhow::Result<()> {
    let output = everlog().args(["migrate", "--store", store]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

impl Server {
    pub(crate) fn start(store: &str) -> anyhow::Result<Self> {
        let mut child = everlog()
            .args(["serve", "--listen", "127.0.0.1:0", "--store", store])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("its errors are piped")?);
        let mut welcome = String::new();
        let url = loop {
            let mut line = String::new();
            ensure!(lines.read_line(&mut line)? > 0, "it ended before it listened: {welcome}");
            welcome.push_str(&line);
            if let Some((_, url)) = line.split_once(" listens on ") {
                break url.trim().to_owned();
            }
        };
        // A full pipe would stop the process.
        std::thread::spawn(move || {
            let mut rest = Vec::new();
            let _ = lines.read_to_end(&mut rest);
        });
        Ok(Self { child, url })
    }

    /// Runs `everlog bench`; its report.
    pub(crate) fn bench<'a>(
        &self,
        arguments: impl Iterator<Item = &'a str>,
    ) -> anyhow::Result<Value> {
        let pid = self.child.id().to_string();
        let mut command = everlog();
        command.arg("bench").args(arguments).args(["--json", "--pid", &pid, "--url", &self.url]);
        let output = command.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        ensure!(output.status.success(), "{complaint} {said}");
        Ok(serde_json::from_str(&said)?)
    }

    /// Creates a log, or finds it.
    pub(crate) fn put_log(&self, log: &str, settings: &str) -> anyhow::Result<()> {
        let host = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host)?;
        let length = settings.len();
        write!(
            stream,
            "PUT /v1/logs/{log} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{settings}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 20"), "creating log {log}: {answer}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
