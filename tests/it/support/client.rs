//! The HTTP client of the tests.

use std::time::Duration;

use reqwest::Client;

/// A client with connections of its own. What takes longer than any answer may is an error: once in
/// thousands of kills a request is left pending without a connection.
#[expect(clippy::disallowed_methods, reason = "the tests are clients")]
pub(crate) fn client() -> Client {
    // Another test of this process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(Duration::from_secs(60)).build().expect("a client")
}
