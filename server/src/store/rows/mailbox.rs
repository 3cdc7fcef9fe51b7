//! Mailboxes: what devices leave for each other, until it is fetched or too old.
//!
//! A mailbox has one record, which says what is in it, and a row for each letter. So it is known whether there is room
//! without reading any letter, and a number is never given twice.

use super::read::View;
use super::records::{self, LetterRecord, Listed, MailboxRecord, letter_key};
use super::stage::Stage;
use super::{Rows, Table};
use crate::limits::{ENTRY_OVERHEAD, MAX_LETTERS, MAX_MAILBOX_BYTES, MAX_SENDER_BYTES, SWEPT_MAILBOXES};
use crate::store::{LetterToKeep, Letters, LettersWanted, Rejected, StoreError, Written};
use conclave_wire::codec;
use conclave_wire::ids::{DeviceId, LetterNumber, Opaque, Timestamp};
use conclave_wire::letter::Letter;
use conclave_wire::limits::{LETTER_PATIENCE, MAX_LETTERS_PER_SENDER};

/// Letters that are read at once: the largest are a frame each.
const LETTERS: usize = 16;

impl<R: Rows> Stage<'_, R> {
    /// Puts a letter into a mailbox, if there is room.
    pub(super) fn keep_letter(
        &mut self,
        letter: &LetterToKeep,
    ) -> Result<Result<Written, Rejected>, StoreError> {
        let LetterToKeep { to, kind, group, from, body, now } = letter;
        if self.row(Table::Device, to.as_bytes())?.is_none() {
            return Ok(Err(Rejected::UnknownDevice));
        }
        let mut mailbox = self.mailbox(to)?;
        self.drop_letters(to, &mut mailbox, |listed| is_late(listed, *now));
        let bytes = body.len() as u64;
        let all = Taken::by(&mailbox.letters);
        let own = Taken::by(mailbox.letters.iter().filter(|listed| listed.from == *from));
        let has_room = all.has_room_for(bytes, MAX_LETTERS, MAX_MAILBOX_BYTES)
            && own.has_room_for(bytes, MAX_LETTERS_PER_SENDER, MAX_SENDER_BYTES);
        if !has_room {
            return Ok(Err(Rejected::MailboxFull));
        }
        let number = mailbox.last.next().ok_or(StoreError::Damaged("mailbox record"))?;
        mailbox.last = number;
        mailbox.letters.push(Listed { number, from: *from, bytes, came: *now });
        let record = LetterRecord { kind: *kind, group: *group, from: *from, body: Opaque(body.to_vec()) };
        self.put(Table::Letter, letter_key(to, number), codec::encode(&record));
        self.put_mailbox(to, &mailbox);
        Ok(Ok(Written::Done))
    }

    /// Empties a mailbox up to a letter.
    pub(super) fn forget_letters(
        &mut self,
        device: &DeviceId,
        through: LetterNumber,
    ) -> Result<Result<Written, Rejected>, StoreError> {
        let mut mailbox = self.mailbox(device)?;
        if self.drop_letters(device, &mut mailbox, |listed| listed.number <= through) {
            self.put_mailbox(device, &mailbox);
        }
        Ok(Ok(Written::Done))
    }

    /// Takes letters that are too old out of a few mailboxes, those after `after`.
    pub(super) fn sweep_mailboxes(
        &mut self,
        after: Option<DeviceId>,
        now: Timestamp,
    ) -> Result<Result<Written, Rejected>, StoreError> {
        let first = after.map(|device| [device.as_bytes(), &[0][..]].concat()).unwrap_or_default();
        let rows = self.rows.range(Table::Mailbox, &first, &[0xff; 33], SWEPT_MAILBOXES)?;
        let full = rows.len() >= SWEPT_MAILBOXES;
        let mut last = None;
        for (key, value) in rows {
            let device = DeviceId::from_bytes(records::fixed(key.as_ref(), "mailbox key")?);
            let mut mailbox = match self.changed(Table::Mailbox, key.as_ref()) {
                Some(_) => self.mailbox(&device)?,
                None => records::decode(value.as_ref())?,
            };
            if self.drop_letters(&device, &mut mailbox, |listed| is_late(listed, now)) {
                self.put_mailbox(&device, &mailbox);
            }
            last = Some(device);
        }
        Ok(Ok(Written::SweptTo(last.filter(|_| full))))
    }

    /// Whether any went.
    fn drop_letters(
        &mut self,
        device: &DeviceId,
        mailbox: &mut MailboxRecord,
        which: impl Fn(&Listed) -> bool,
    ) -> bool {
        let (gone, kept): (Vec<_>, Vec<_>) = mailbox.letters.drain(..).partition(which);
        mailbox.letters = kept;
        for listed in &gone {
            self.set(Table::Letter, letter_key(device, listed.number), None);
        }
        !gone.is_empty()
    }

    fn mailbox(&self, device: &DeviceId) -> Result<MailboxRecord, StoreError> {
        let row = self.row(Table::Mailbox, device.as_bytes())?;
        row.map_or_else(|| Ok(MailboxRecord::default()), |bytes| records::decode(&bytes))
    }

    /// Also an empty one stays: it knows which numbers were given.
    fn put_mailbox(&mut self, device: &DeviceId, mailbox: &MailboxRecord) {
        self.put(Table::Mailbox, device.as_bytes().to_vec(), codec::encode(mailbox));
    }
}

impl<R: Rows> View<R> {
    /// Letters of a mailbox, without those that are too old.
    pub(in crate::store) fn letters(
        &self,
        device: &DeviceId,
        LettersWanted { after, now, bounds }: LettersWanted,
    ) -> Result<Letters, StoreError> {
        let mailbox = self.record::<MailboxRecord>(Table::Mailbox, device.as_bytes())?.unwrap_or_default();
        let wanted = mailbox.letters.iter().filter(|it| it.number > after && !is_late(it, now));
        let (mut numbers, mut bytes, mut more) = (Vec::new(), 0, false);
        for listed in wanted {
            bytes += usize::try_from(listed.bytes).unwrap_or(usize::MAX).saturating_add(ENTRY_OVERHEAD);
            more = numbers.len() >= bounds.entries || (!numbers.is_empty() && bytes > bounds.bytes);
            if more {
                break;
            }
            numbers.push(listed.number);
        }
        let mut letters = Vec::new();
        for numbers in numbers.chunks(LETTERS) {
            let keys: Vec<_> = numbers.iter().map(|number| letter_key(device, *number)).collect();
            for (number, row) in numbers.iter().zip(self.0.get_all(Table::Letter, &keys)?) {
                let row = row.ok_or(StoreError::Damaged("mailbox record"))?;
                let LetterRecord { kind, group, from, body } = records::decode(row.as_ref())?;
                letters.push(Letter { number: *number, kind, group, from, body });
            }
        }
        Ok(Letters { letters, more })
    }
}

/// How much letters take of a mailbox.
struct Taken {
    letters: usize,
    bytes: u64,
}

impl Taken {
    fn by<'a>(letters: impl IntoIterator<Item = &'a Listed>) -> Self {
        letters.into_iter().fold(Self { letters: 0, bytes: 0 }, |taken, listed| Self {
            letters: taken.letters.saturating_add(1),
            bytes: taken.bytes.saturating_add(listed.bytes),
        })
    }

    fn has_room_for(&self, bytes: u64, max_letters: usize, max_bytes: u64) -> bool {
        self.letters < max_letters && self.bytes.saturating_add(bytes) <= max_bytes
    }
}

fn is_late(listed: &Listed, now: Timestamp) -> bool {
    now.since(listed.came) > LETTER_PATIENCE
}
