//! vodozemac's Megolm: one sender, one reader.

use super::{Talk, VODOZEMAC};
use crate::Failure;
use vodozemac::megolm::{GroupSession, InboundGroupSession, MegolmMessage, SessionConfig};

/// One sender's session and one reader's.
pub(crate) struct Megolm {
    sender: GroupSession,
    reader: InboundGroupSession,
}

impl Megolm {
    /// A new session.
    pub(crate) fn new() -> Self {
        let config = SessionConfig::default();
        let sender = GroupSession::new(config);
        let reader = InboundGroupSession::new(&sender.session_key(), config);
        Self { sender, reader }
    }
}

impl Talk for Megolm {
    fn name(&self) -> &'static str {
        VODOZEMAC
    }

    fn seal(&mut self, content: &[u8]) -> Result<Vec<u8>, Failure> {
        Ok(self.sender.encrypt(content).to_bytes())
    }

    fn open(&mut self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        Ok(self.reader.decrypt(&MegolmMessage::from_bytes(message)?)?.plaintext)
    }
}

/// Bytes of one inbound session in its shortest form.
pub(crate) fn exported_session_bytes() -> usize {
    Megolm::new().reader.export_at_first_known_index().to_bytes().len()
}
