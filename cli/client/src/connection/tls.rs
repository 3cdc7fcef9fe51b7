//! Encryption on the way to a server: whom it trusts.

use crate::error::Source;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use tokio_tungstenite::Connector;

/// Trusts whom the machine trusts, or whom `SSL_CERT_FILE` and `SSL_CERT_DIR` name instead.
pub(super) fn connector() -> Result<Connector, Source> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Connector::Rustls(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

/// Why a server's certificate is not trusted, if that is what is wrong.
pub(super) fn distrust(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut source = Some(error);
    while let Some(error) = source {
        let within = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        let error: &(dyn std::error::Error + 'static) = match within {
            Some(within) => within,
            None => error,
        };
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref() {
            return Some(reason.to_string());
        }
        source = error.source();
    }
    None
}
