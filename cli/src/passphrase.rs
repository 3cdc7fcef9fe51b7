//! The passphrase: from the environment or typed without echo, never from the command line, where others could see it.

use crate::settings::Asking;
use thiserror::Error;
use zeroize::Zeroizing;

/// Why there is no passphrase.
#[derive(Debug, Error)]
pub(crate) enum PassphraseError {
    /// An empty one protects nothing.
    #[error("the passphrase is empty; give one, or use --key-file FILE")]
    Empty,
    /// Typed differently the second time.
    #[error("the two passphrases differ; run the command again")]
    Differ,
    /// The environment's is not text.
    #[error("CONCLAVE_PASSPHRASE is not UTF-8 text; set it to text, or use --key-file FILE")]
    NotText,
    /// Nobody to ask.
    #[error("no passphrase: no terminal to ask on ({0}); set CONCLAVE_PASSPHRASE, or use --key-file FILE")]
    NoTerminal(std::io::Error),
}

/// The passphrase.
pub(crate) fn obtain(asking: Asking) -> Result<Zeroizing<String>, PassphraseError> {
    let passphrase = match std::env::var("CONCLAVE_PASSPHRASE") {
        Ok(given) => Zeroizing::new(given),
        Err(std::env::VarError::NotUnicode(_)) => return Err(PassphraseError::NotText),
        Err(std::env::VarError::NotPresent) => typed(asking)?,
    };
    if passphrase.is_empty() { Err(PassphraseError::Empty) } else { Ok(passphrase) }
}

fn typed(asking: Asking) -> Result<Zeroizing<String>, PassphraseError> {
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(PassphraseError::NoTerminal)
    };
    let first = ask("Passphrase: ")?;
    if asking == Asking::New && ask("Again, to be sure: ")? != first {
        return Err(PassphraseError::Differ);
    }
    Ok(first)
}
