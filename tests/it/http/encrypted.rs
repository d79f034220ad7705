//! TLS on the port itself, and certificates that are read again.

use std::{fs, path::Path};

use everlog::http::tls::Tls;
use reqwest::{Certificate, Client, Version};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    process::{Process, everlog, fail},
    server::{Server, Setup},
};

/// A new certificate of this machine and its key, in files of a folder; the certificate, to be trusted.
fn certify(folder: &Path) -> Certificate {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("it is made");
    let pem = made.cert.pem();
    fs::write(folder.join("certificate.pem"), &pem).expect("it is written");
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("it is written");
    Certificate::from_pem(pem.as_bytes()).expect("it is one")
}

fn open(folder: &Path) -> Tls {
    let tls = Tls::open(folder.join("certificate.pem"), folder.join("key.pem"));
    tls.expect("the files are read")
}

/// A client with connections of its own that trusts one certificate.
#[expect(clippy::disallowed_methods, reason = "tests speak to the server as strangers do")]
fn trusting(certificate: &Certificate) -> Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = Client::builder().no_proxy().tls_certs_only([certificate.clone()]);
    client.build().expect("a client is built")
}

async fn start(folder: &Path) -> (Server, Tls, String) {
    let tls = open(folder);
    let server = Setup { tls: Some(tls.clone()), ..Setup::memory() }.start().await;
    let url = format!("https://localhost:{}/v1/logs/default", server.address.port());
    (server, tls, url)
}

#[tokio::test]
async fn what_is_said_is_encrypted() {
    let folder = TempDir::new().expect("a folder");
    let trusted = certify(folder.path());
    let (server, _, url) = start(folder.path()).await;
    let answer = trusting(&trusted).get(&url).send().await.expect("it answers");
    assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
    let stranger = certify(TempDir::new().expect("a folder").path());
    let refused = trusting(&stranger).get(&url).send().await;
    assert!(refused.is_err(), "a client trusts what it does not know");
    // Plain HTTP is no TLS: not a byte of an answer comes.
    let mut socket = tokio::net::TcpStream::connect(server.address).await.expect("it accepts");
    let plain = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(plain).await.expect("it takes them");
    let mut said = Vec::new();
    let _ = socket.read_to_end(&mut said).await;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(!said.contains("HTTP/1.1") && !said.contains("ok"), "{said}");
}

#[tokio::test]
async fn a_certificate_is_read_again_for_connections_to_come() {
    let folder = TempDir::new().expect("a folder");
    let first = certify(folder.path());
    let (_server, tls, url) = start(folder.path()).await;
    let kept = trusting(&first);
    kept.get(&url).send().await.expect("it answers");
    let second = certify(folder.path());
    assert!(trusting(&second).get(&url).send().await.is_err(), "nobody asked for it yet");
    tls.reload().expect("the files are read");
    trusting(&second).get(&url).send().await.expect("it answers");
    assert!(trusting(&first).get(&url).send().await.is_err(), "the first is gone");
    kept.get(&url).send().await.expect("what is open goes on");
}

#[tokio::test]
async fn files_that_are_not_taken_leave_what_there_was() {
    let folder = TempDir::new().expect("a folder");
    let trusted = certify(folder.path());
    let (_server, tls, url) = start(folder.path()).await;
    let key = fs::read(folder.path().join("key.pem")).expect("it is there");
    certify(folder.path());
    fs::write(folder.path().join("key.pem"), key).expect("it is written");
    let why = tls.reload().expect_err("the key is of another").to_string();
    assert!(why.contains("do not belong together"), "{why}");
    fs::write(folder.path().join("certificate.pem"), "secret-canary").expect("it is written");
    let why = tls.reload().expect_err("it is no certificate").to_string();
    assert!(why.contains("certificate.pem") && !why.contains("canary"), "{why}");
    fs::remove_file(folder.path().join("key.pem")).expect("it is there");
    tls.reload().expect_err("there is no key");
    trusting(&trusted).get(&url).send().await.expect("it answers as before");
}

#[tokio::test]
async fn the_binary_listens_anywhere_with_tls_and_reads_its_certificate_at_sighup() {
    let folder = TempDir::new().expect("a folder");
    let first = certify(folder.path());
    let mut command = everlog(folder.path());
    command.args(["serve", "--listen", "0.0.0.0:0", "--authenticate"]);
    command.args(["--tls-certificate", "certificate.pem", "--tls-key", "key.pem"]);
    let server = Process::start(command);
    let port = server.url.rsplit_once(':').expect("it has a port").1.to_owned();
    assert!(server.url.starts_with("https://0.0.0.0:"), "{}", server.url);
    let url = format!("https://localhost:{port}/livez");
    trusting(&first).get(&url).send().await.expect("it answers");
    let second = certify(folder.path());
    server.signal("HUP");
    let start = std::time::Instant::now();
    while trusting(&second).get(&url).send().await.is_err() {
        assert!(start.elapsed().as_secs() < 10, "it is never read again");
    }
    assert!(server.terminate().success());
}

#[test]
fn what_is_no_certificate_does_not_start() {
    let folder = TempDir::new().expect("a folder");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--tls-certificate", "certificate.pem"];
    let said = fail(folder.path(), &serve);
    assert!(said.contains("--tls-key"), "{said}");
    let both = [&serve[..], &["--tls-key", "key.pem"]].concat();
    let said = fail(folder.path(), &both);
    assert!(said.contains("--tls-certificate certificate.pem"), "{said}");
    certify(folder.path());
    fs::write(folder.path().join("key.pem"), "secret-canary").expect("it is written");
    let said = fail(folder.path(), &both);
    assert!(said.contains("--tls-key key.pem") && !said.contains("canary"), "{said}");
}
