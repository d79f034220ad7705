//! The HTTP client of the tests.

use reqwest::Client;

/// A client with connections of its own.
#[expect(clippy::disallowed_methods, reason = "the tests are clients")]
pub(crate) fn client() -> Client {
    // Another test of this process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().build().expect("a client")
}
