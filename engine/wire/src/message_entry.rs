//! What a log entry of kind message holds: one message, or a run of them.

use crate::codec::DecodeError;
use crate::message::{Flags, Header, MessageView};
use crate::run::RunView;

/// The body of a message entry, parsed in place and not yet verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageEntry<'a> {
    /// One message.
    Single(MessageView<'a>),
    /// A run of messages.
    Run(RunView<'a>),
}

impl<'a> MessageEntry<'a> {
    /// Parses as what its flags say; checks form only.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.get(1) == Some(&(Flags::Run as u8)) {
            RunView::parse(bytes).map(Self::Run)
        } else {
            MessageView::parse(bytes).map(Self::Single)
        }
    }

    /// Position of the message, or of the first one of the run.
    pub fn header(&self) -> &Header {
        match self {
            Self::Single(message) => &message.header,
            Self::Run(run) => &run.header,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Epoch, Generation, LeafIndex, MessageIndex};
    use crate::message::{self, MAX_MESSAGE_BYTES};
    use crate::run::{self, MAX_RUN_BYTES};
    use crate::signature::Signature;

    #[test]
    fn flags_decide() {
        let header =
            Header { epoch: Epoch(1), leaf: LeafIndex(2), generation: Generation(3), index: MessageIndex(4) };
        let (link, hedge, ciphertext): (_, _, &[u8]) = ([5; 16], [6; 8], &[7; 48]);
        let signature = Signature::from_bytes([8; 64]);
        let single = message::assemble(&header, &link, &hedge, ciphertext, &signature);
        let run = run::assemble(&header, &link, &hedge, &[ciphertext; 2], &signature);
        assert!(matches!(MessageEntry::parse(&single), Ok(MessageEntry::Single(_))));
        assert!(matches!(MessageEntry::parse(&run), Ok(MessageEntry::Run(_))));
        assert_eq!(MessageEntry::parse(&single).unwrap().header(), &header);
        assert_eq!(MessageEntry::parse(&run).unwrap().header(), &header);
        for flags in [2, 3, 255] {
            let mut other = single.clone();
            other[1] = flags;
            assert!(matches!(MessageEntry::parse(&other), Err(DecodeError::Malformed { .. })));
        }
    }

    /// Each is held to its own bound: a run's does not make room for longer messages.
    #[test]
    fn bounds() {
        let too_large = |flags: u8, bytes: usize| {
            let mut long = vec![flags; bytes];
            long[0] = 1;
            matches!(MessageEntry::parse(&long), Err(DecodeError::TooLarge { .. }))
        };
        assert!(!too_large(0, MAX_MESSAGE_BYTES) && too_large(0, MAX_MESSAGE_BYTES + 1));
        assert!(!too_large(1, MAX_RUN_BYTES) && too_large(1, MAX_RUN_BYTES + 1));
        assert!(matches!(MessageEntry::parse(&[]), Err(DecodeError::Empty { .. })));
        assert!(matches!(MessageEntry::parse(&[2, 1]), Err(DecodeError::UnknownVersion { version: 2, .. })));
    }
}
