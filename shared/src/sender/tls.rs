//! TLS for every connection we open: to endpoints and to AWS.
//!
//! The trusted authorities are Mozilla's, compiled in: reading the system's bundle at start
//! costs more than the rest of a cold start together. The price is that a revoked authority
//! leaves only with a new build. Not guaranteed: revocation of single certificates is not
//! checked.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// TLS 1.2 and 1.3 by `ring`, trusting Mozilla's authorities, speaking HTTP/1.1.
///
/// One value can serve several clients; clones share the session cache.
pub fn client_config() -> ClientConfig {
    config(public_roots())
}

/// Like [`client_config`], but also trusts the authorities in a PEM file, for receivers whose
/// certificates an organisation issues itself.
///
/// # Errors
///
/// The file cannot be read, holds no certificate, or holds one that is none.
pub fn client_config_with(extra_roots: &Path) -> Result<ClientConfig, String> {
    let name = extra_roots.display();
    let mut roots = public_roots();
    let before = roots.len();
    let certificates = CertificateDer::pem_file_iter(extra_roots)
        .map_err(|error| format!("cannot read the certificates in {name}: {error}"))?;
    for certificate in certificates {
        certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()))
            .map_err(|error| format!("{name} holds a certificate that cannot be used: {error}"))?;
    }
    if roots.len() == before {
        return Err(format!("{name} holds no certificate"));
    }
    Ok(config(roots))
}

fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

fn config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A client that is given a finished configuration adds no protocol names of its own.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}
