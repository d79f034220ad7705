//! TLS on connections (rustls): a certificate and its key from files, read again when the process is told to.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

/// What is spoken within, in the order of preference (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why files do not make a certificate. What they hold is never repeated.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("--tls-certificate {path} (EVERLOG_TLS_CERTIFICATE): {why}")]
    Certificate { path: String, why: String },
    #[error("--tls-key {path} (EVERLOG_TLS_KEY): {why}")]
    Key { path: String, why: String },
    #[error("--tls-certificate and --tls-key do not belong together, or are not taken: {0}")]
    Both(#[from] rustls::Error),
}

/// The certificate that new connections are shown.
#[derive(Clone)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({})", self.certificate.display())
    }
}

impl Tls {
    /// Reads the files: chains and keys in PEM (RFC 7468).
    pub fn open(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let config = read(&certificate, &key)?;
        Ok(Self { certificate, key, current: Arc::new(RwLock::new(config)) })
    }

    /// Reads the files again, for connections to come. If they are not taken, what there was stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = read(&self.certificate, &self.key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone().into()
    }
}

fn read(certificate: &PathBuf, key: &PathBuf) -> Result<Arc<ServerConfig>, TlsError> {
    let of_chain =
        |why: String| TlsError::Certificate { path: certificate.display().to_string(), why };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| of_chain(error.to_string()))?;
    if chain.is_empty() {
        return Err(of_chain("there is no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::Key {
        path: key.display().to_string(),
        why: error.to_string(),
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}
