//! The mailbox: what others have left for this device.

use crate::client::Client;
use crate::connection::{done, unexpected};
use crate::error::ClientError;
use conclave_wire::ids::LetterNumber;
use conclave_wire::letter::{Letter, LetterKind};
use conclave_wire::reply::Reply;
use conclave_wire::request::Request;

/// Pages of one visit to the mailbox. A server that always has more gets no further attention before the next.
const MAX_PAGES: usize = 64;

impl Client {
    /// Reads the mailbox, if anything may be in it. What is wrong with it keeps nobody from reading messages.
    pub(crate) async fn visit_mailbox(&mut self) -> Result<(), ClientError> {
        if !self.session.letters_wait {
            return Ok(());
        }
        match self.read_letters().await {
            Err(error) if !keeps_from_reading(&error) => {
                tracing::warn!(%error, "the mailbox cannot be read");
            }
            read => read?,
        }
        self.session.letters_wait = false;
        self.local.check()
    }

    /// Reads the mailbox, does what the letters ask for, and empties it. Should the process die in between, they come
    /// again: no question is answered twice, and no answer taken twice.
    async fn read_letters(&mut self) -> Result<(), ClientError> {
        let mut after = LetterNumber(0);
        for _ in 0..MAX_PAGES {
            let (letters, more) = match self.request(Request::FetchLetters { after }).await? {
                Reply::Letters { letters, more } => (letters, more),
                other => return Err(unexpected(other)),
            };
            let Some(last) = letters.iter().map(|letter| letter.number).max() else { return Ok(()) };
            for letter in letters {
                self.read_letter(letter).await?;
            }
            done(self.request(Request::ForgetLetters { through: last }).await?)?;
            if !more || last <= after {
                return Ok(());
            }
            after = last;
        }
        Ok(())
    }

    /// A letter that is of no use is passed over, whoever wrote it; what keeps this device from reading it at all is
    /// an error.
    async fn read_letter(&mut self, letter: Letter) -> Result<(), ClientError> {
        let Letter { kind, group, from, body, .. } = letter;
        if !self.local.is_open(&group) {
            return Ok(());
        }
        let read = match kind {
            LetterKind::RepairRequest => self.answer(group, from, &body.0).await,
            LetterKind::RepairAnswer => self.take_answer(group, &body.0).await,
        };
        match read {
            Err(error) if keeps_from_reading(&error) => Err(error),
            Err(error) => {
                tracing::info!(%error, group = %group, "a letter came to nothing");
                self.local.check()
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Whether the letters are to be read later, and are not to blame.
fn keeps_from_reading(error: &ClientError) -> bool {
    error.is_temporary() || matches!(error, ClientError::Storage { .. })
}
