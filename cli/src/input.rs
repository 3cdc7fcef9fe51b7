//! What is read from files and standard input, with bounds.

use crate::escape;
use conclave_client::ClientError;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use thiserror::Error;

/// Why what was read is no message.
#[derive(Debug, Error)]
pub(crate) enum InputError {
    /// Empty, or too long: refused here just as the client would refuse it.
    #[error(transparent)]
    Length(ClientError),
    /// Not text.
    #[error("what was read is not UTF-8 text, from byte {0} on; send text, files come later")]
    NotText(usize),
    /// No invite where one should be.
    #[error("the invite in {file} cannot be read ({source}); give the file that holds it")]
    Invite {
        /// Which file.
        file: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The system's answer.
    #[error("standard input cannot be read ({0}); check where it comes from")]
    Read(#[from] std::io::Error),
}

/// Reads all of `source` as one message of at most `max` bytes. Reads one byte more than that and no further, so that
/// ten megabytes get their answer at once.
pub(crate) fn read_message(source: impl Read, max: usize) -> Result<String, InputError> {
    let bound = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    source.take(bound).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Err(InputError::Length(ClientError::MessageEmpty));
    }
    if bytes.len() > max {
        return Err(InputError::Length(ClientError::MessageTooLong { max }));
    }
    String::from_utf8(bytes).map_err(|error| InputError::NotText(error.utf8_error().valid_up_to()))
}

/// Longest invite.
const MAX_INVITE: u64 = 4096;

/// The operator's invite: from a file, or else from the environment, if there is one. Not from the command line, which
/// everybody on the machine may read.
pub(crate) fn invite(file: Option<&Path>) -> Result<Option<String>, InputError> {
    let Some(file) = file else { return Ok(std::env::var("CONCLAVE_INVITE").ok()) };
    let mut invite = String::new();
    let read = File::open(file).and_then(|opened| opened.take(MAX_INVITE).read_to_string(&mut invite));
    match read {
        Ok(_) => Ok(Some(invite.trim().to_owned())),
        Err(source) => {
            Err(InputError::Invite { file: escape::line(&file.display().to_string()).to_string(), source })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_texts() {
        assert_eq!(read_message("hi\nthere\n".as_bytes(), 9).unwrap(), "hi\nthere\n");
    }

    #[test]
    fn wrong_lengths() {
        let empty = read_message(&b""[..], 4).unwrap_err();
        assert!(matches!(empty, InputError::Length(ClientError::MessageEmpty)), "{empty:?}");
        let long = read_message(&b"12345"[..], 4).unwrap_err();
        assert!(matches!(long, InputError::Length(ClientError::MessageTooLong { max: 4 })), "{long:?}");
    }

    #[test]
    fn no_text() {
        let error = read_message(&b"abc\xff"[..], 9).unwrap_err();
        assert!(matches!(error, InputError::NotText(3)), "{error:?}");
    }

    /// Counts what is taken from it, and never ends.
    struct Endless(usize);

    impl Read for &mut Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            buffer.fill(b'x');
            self.0 += buffer.len();
            Ok(buffer.len())
        }
    }

    #[test]
    fn an_endless_input_is_not_read_to_its_end() {
        let mut source = Endless(0);
        assert!(read_message(&mut source, 1000).is_err());
        assert_eq!(source.0, 1001);
    }
}
