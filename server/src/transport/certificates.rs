//! The server's certificate, from files that may change while it runs.

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use thiserror::Error;

/// Where a certificate and its private key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's certificate, then those that lead from it to an authority.
    pub certificates: PathBuf,
    /// PEM: the private key of the first certificate.
    pub key: PathBuf,
}

/// Why a certificate cannot be used. Each says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("cannot read {}: {reason}; give a PEM file that the server's account may read", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no certificate in it.
    #[error("{} holds no certificate; give the server's, followed by its authorities'", file.display())]
    NoCertificate {
        /// Which.
        file: PathBuf,
    },
    /// The key is of a kind that is not supported, or is not the certificate's.
    #[error("the key in {} cannot be used with the certificate: {reason}; give the key that it was issued for", file.display())]
    Key {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A certificate that can be replaced while connections are made.
#[derive(Debug)]
pub(crate) struct Certificates {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads the files.
    pub(crate) fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(Arc::new(read(&files)?));
        Ok(Arc::new(Self { files, current }))
    }

    /// Reads the files again. If something is wrong with them, what was there before stays.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let new = Arc::new(read(&self.files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let unreadable = |file: &Path| {
        let file = file.to_owned();
        move |error: pem::Error| TlsError::File { file: file.clone(), reason: plain(&error) }
    };
    let certificates = CertificateDer::pem_file_iter(&files.certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable(&files.certificates))?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate { file: files.certificates.clone() });
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(unreadable(&files.key))?;
    let unusable =
        |error: rustls::Error| TlsError::Key { file: files.key.clone(), reason: error.to_string() };
    let key = CertifiedKey::from_der(certificates, key, &ring::default_provider()).map_err(unusable)?;
    key.keys_match().map_err(unusable)?;
    Ok(key)
}

/// What is wrong with a file, without anything that is in it.
fn plain(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it holds no such item".to_owned(),
        _ => "it is not PEM".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn certificate(dir: &Path) -> TlsFiles {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = TlsFiles { certificates: dir.join("cert.pem"), key: dir.join("key.pem") };
        fs::write(&files.certificates, made.cert.pem()).unwrap();
        fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn a_broken_file_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let files = certificate(dir.path());
        let certificates = Certificates::load(files.clone()).unwrap();
        let current = || certificates.current.read().unwrap().end_entity_cert().unwrap().to_vec();
        let first = current();
        certificate(dir.path());
        assert_eq!(current(), first);
        certificates.reload().unwrap();
        let second = current();
        assert_ne!(second, first);

        let keys = tempfile::tempdir().unwrap();
        fs::copy(certificate(keys.path()).key, &files.key).unwrap();
        assert!(matches!(certificates.reload(), Err(TlsError::Key { .. })));
        fs::write(&files.key, "not a key").unwrap();
        assert!(matches!(certificates.reload(), Err(TlsError::File { .. })));
        fs::write(&files.certificates, "").unwrap();
        assert!(matches!(certificates.reload(), Err(TlsError::NoCertificate { .. })));
        fs::remove_file(&files.certificates).unwrap();
        assert!(matches!(certificates.reload(), Err(TlsError::File { .. })));
        assert_eq!(current(), second);
    }
}
