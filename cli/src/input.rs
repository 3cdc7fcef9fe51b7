//! A message from standard input, read with a bound.

use conclave_client::ClientError;
use std::io::Read;
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
